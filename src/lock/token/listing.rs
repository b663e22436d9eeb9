//! The lock directory, kept open between two tenures of this process: on a file server an opening is a request.

use std::sync::Mutex;

use nix::dir::Dir;

use super::super::own::Own;

/// The descriptor by which this process found the token that it took last: that token was renamed by path, so the path
/// led to this directory. Of one that has been replaced since, the names lead nowhere, and it is not kept again.
#[derive(Default)]
pub(crate) struct Listing(Mutex<Option<Own<Dir>>>);

impl Listing {
    /// What is kept, for one look. Two looks at once would disturb each other: they share one position.
    pub(super) fn take(&self) -> Option<Dir> {
        // A fork may have caught the lock. Its child shares the position with its parent, and opens its own.
        self.0.try_lock().ok()?.take()?.into_inner()
    }

    /// Keeps `directory` for the next look.
    pub(super) fn keep(&self, directory: Option<Dir>) {
        if let Ok(mut kept) = self.0.try_lock() {
            *kept = directory.map(Own::new);
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
