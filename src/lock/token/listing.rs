//! The lock directory, kept open between two tenures of this process: on a file server an opening is a request.

use std::mem;
use std::process;
use std::sync::{Mutex, PoisonError};

use nix::dir::Dir;

use crate::mutation;

/// The descriptor by which this process found the token that it took last: that token was renamed by path, so the path
/// led to this directory. Of one that has been replaced since, the names lead nowhere, and it is not kept again.
#[derive(Default)]
pub(crate) struct Listing(Mutex<Option<(Dir, u32)>>);

impl Listing {
    /// What is kept, for one look. Two looks at once would disturb each other: they share one position.
    pub(super) fn take(&self) -> Option<Dir> {
        // A fork may have caught the lock. Its child shares the position with its parent, and opens its own.
        own(self.0.try_lock().ok()?.take()?)
    }

    /// Keeps `directory` for the next look.
    pub(super) fn keep(&self, directory: Option<Dir>) {
        if let Ok(mut kept) = self.0.try_lock() {
            let kept = mem::replace(&mut *kept, directory.map(|directory| (directory, process::id())));
            drop(kept.and_then(own));
        }
    }

    /// Closes what is kept.
    pub(crate) fn close(&self) {
        self.keep(None);
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        let kept = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        drop(kept.and_then(own));
    }
}

/// The directory, if this process has opened it. A child does not close its parent's: the number may be another file's by
/// now, as of a daemon that has closed all it was given.
fn own((directory, owner): (Dir, u32)) -> Option<Dir> {
    if owner == process::id() || mutation::off("own-listing") {
        return Some(directory);
    }
    mem::forget(directory);
    None
}

impl std::fmt::Debug for Listing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listing")
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use nix::fcntl::OFlag;
    use nix::sys::stat::Mode;

    use super::*;

    #[test]
    fn a_forked_child_does_not_read_by_its_parents_descriptor() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let take = |owner| {
            let opened = Dir::open(directory.path(), OFlag::O_DIRECTORY, Mode::empty()).expect("opened");
            Listing(Mutex::new(Some((opened, owner)))).take()
        };
        let (me, parent) = (process::id(), process::id() + 1);
        assert!(take(me).is_some());
        assert!(take(parent).is_none());
        let taken = mutation::without("own-listing", || take(parent));
        assert!(taken.is_some(), "the promise is kept without it: this test cannot see it fail");
    }

    #[test]
    fn a_forked_child_does_not_close_its_parents_descriptor() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let stays_open = || {
            let opened = Dir::open(directory.path(), OFlag::O_DIRECTORY, Mode::empty()).expect("opened");
            let link = format!("/proc/self/fd/{}", opened.as_raw_fd());
            drop(Listing(Mutex::new(Some((opened, process::id() + 1)))));
            // Tests beside this one may have taken the number of a closed one.
            std::fs::read_link(link).is_ok_and(|target| target == directory.path())
        };
        assert!(stays_open());
        let stays = mutation::without("own-listing", stays_open);
        assert!(!stays, "the promise is kept without it: this test cannot see it fail");
    }
}
