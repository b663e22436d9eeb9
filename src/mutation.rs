//! Switches that turn one safety mechanism off, so that a test can show that it notices.
//!
//! A test that passes with its mechanism switched off proves nothing. Each mechanism asks
//! [`off`] by name; outside tests, which set the cargo feature `mutations`, the answer is the constant `false` and the
//! question disappears from the program.

/// Is the mechanism called `name` switched off?
#[cfg(not(any(test, feature = "mutations")))]
#[inline(always)]
#[allow(clippy::inline_always)] // the constant must vanish at every call
pub(crate) const fn off(_name: &str) -> bool {
    false
}

#[cfg(any(test, feature = "mutations"))]
pub use switches::{off, switch_off, without};

#[cfg(any(test, feature = "mutations"))]
mod switches {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        static OFF: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
    }

    /// Is the mechanism called `name` switched off in this thread?
    #[must_use]
    pub fn off(name: &str) -> bool {
        OFF.with_borrow(|set| set.contains(name))
    }

    /// Switches the mechanism called `name` off for the rest of this thread's life.
    pub fn switch_off(name: &str) {
        OFF.with_borrow_mut(|set| set.insert(name.to_owned()));
    }

    /// Runs `body` in this thread with the mechanism called `name` switched off.
    pub fn without<T>(name: &str, body: impl FnOnce() -> T) -> T {
        struct Restore<'a>(&'a str);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                OFF.with_borrow_mut(|set| set.remove(self.0));
            }
        }
        OFF.with_borrow_mut(|set| set.insert(name.to_owned()));
        let _restore = Restore(name);
        body()
    }
}
