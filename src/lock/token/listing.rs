//! The lock directory, kept open between two tenures of this process: on a file server an opening is a request.

use std::process;
use std::sync::Mutex;

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
        let (directory, owner) = self.0.try_lock().ok()?.take()?;
        (owner == process::id() || mutation::off("own-listing")).then_some(directory)
    }

    /// Keeps `directory` for the next look.
    pub(super) fn keep(&self, directory: Option<Dir>) {
        if let Ok(mut kept) = self.0.try_lock() {
            *kept = directory.map(|directory| (directory, process::id()));
        }
    }

    /// Closes what is kept.
    pub(crate) fn close(&self) {
        self.keep(None);
    }
}

impl std::fmt::Debug for Listing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listing")
    }
}

#[cfg(test)]
mod tests {
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
}
