//! What a process has opened, and a forked child of it leaves alone.

use std::mem;
use std::process;

use crate::mutation;

/// Something of the process that made it. In a child it cannot be had, and is not dropped: a child that closed its
/// parent's connection would roll its transaction back, and one that read by its descriptor would move its position.
/// After a child has closed all that it was given, the number of a descriptor may be another file's, too.
pub(super) struct Own<T> {
    /// `None` only while it is taken out.
    value: Option<T>,
    owner: u32,
}

impl<T> Own<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value: Some(value), owner: process::id() }
    }

    fn is_mine(&self) -> bool {
        self.owner == process::id() || mutation::off("own-after-a-fork")
    }

    /// The value, of this process.
    pub(super) fn into_inner(mut self) -> Option<T> {
        if self.is_mine() { self.value.take() } else { None }
    }

    /// The same, to change it where it is.
    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        if self.is_mine() { self.value.as_mut() } else { None }
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        if !self.is_mine() {
            mem::forget(self.value.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    /// A value, and what a parent process made of it.
    fn of_a_parent() -> (Rc<()>, Own<Rc<()>>) {
        let value = Rc::new(());
        let own = Own { value: Some(Rc::clone(&value)), owner: process::id() + 1 };
        (value, own)
    }

    #[test]
    fn a_process_has_its_own_and_drops_it() {
        let value = Rc::new(());
        let mut own = Own::new(Rc::clone(&value));
        assert!(own.get_mut().is_some());
        assert!(own.into_inner().is_some());
        drop(Own::new(Rc::clone(&value)));
        assert_eq!(Rc::strong_count(&value), 1);
    }

    #[test]
    fn a_forked_child_does_not_get_its_parents() {
        assert!(of_a_parent().1.get_mut().is_none());
        assert!(of_a_parent().1.into_inner().is_none());
        let taken = mutation::without("own-after-a-fork", || of_a_parent().1.into_inner());
        assert!(taken.is_some(), "the promise is kept without it: this test cannot see it fail");
    }

    #[test]
    fn a_forked_child_does_not_drop_its_parents() {
        let remain = || {
            let (value, own) = of_a_parent();
            drop(own);
            Rc::strong_count(&value)
        };
        assert_eq!(remain(), 2);
        let dropped = mutation::without("own-after-a-fork", remain);
        assert_eq!(dropped, 1, "the promise is kept without it: this test cannot see it fail");
    }
}
