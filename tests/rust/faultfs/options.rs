//! How a mount behaves when nothing goes wrong.

use std::sync::Arc;
use std::time::Duration;

use super::log::Log;

/// What the kernel may remember on behalf of a mount. Two mounts over one directory are two nodes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Cache {
    /// Nothing: every mount sees every change at once, and appends are atomic. Lustre and GPFS are so.
    #[default]
    Coherent,
    /// Names, missing names, attributes and listings for this long. Content until the file is opened again.
    Reopened(Duration),
    /// Names, missing names, attributes and listings for this long. Content also when the file is opened
    /// again, until its size is seen to have changed: what is overwritten in place elsewhere stays unseen.
    Cached(Duration),
    /// As `Reopened`, and the client process itself keeps copies of files for this long, with which it answers every
    /// read, `O_DIRECT` or not, until the node itself changes the file. It opens a file when that is first used: then,
    /// and not before, one that is gone is ESTALE. `GlusterFS` is so, with copies of small files.
    Copied(Duration),
}

impl Cache {
    pub(super) fn timeout(self) -> Duration {
        match self {
            Self::Coherent => Duration::ZERO,
            Self::Reopened(timeout) | Self::Cached(timeout) | Self::Copied(timeout) => timeout,
        }
    }
}

/// What becomes of `fcntl` and `flock` locks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Locks {
    /// Every request fails with ENOSYS, as on a Lustre file system mounted without `flock`.
    #[default]
    Refused,
    /// They work, but only between the clients of one mount, as with Lustre's `localflock`.
    Local,
}

/// How a mount behaves when nothing goes wrong.
#[derive(Clone, Debug)]
pub struct Options {
    pub cache: Cache,
    pub locks: Locks,
    /// Where changes are logged. Mounts over one directory must share one log.
    pub log: Option<Arc<Log>>,
    /// Whether `fsync` reaches the disk below. Power cuts are computed from the log: they do not need it.
    pub sync_backing: bool,
    /// How many requests are served at once: each one that is delayed or stopped keeps a thread.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        let (cache, locks) = Default::default();
        Self { cache, locks, log: None, sync_backing: false, threads: 16 }
    }
}
