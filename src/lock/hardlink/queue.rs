//! Fairness: a process that works without a pause must not keep all others out.
//!
//! A holder that releases and takes the lock again at once leaves a gap of microseconds, which a waiter that polls
//! finds only by luck. So a waiter that has waited for long gives the lock file another name, which costs the holder
//! nothing to see: it looks at the file anyway before it removes it, and then rests for a moment, in which the waiter
//! polls often. Clients of the original neither see the name nor mind it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::ticket::{Inode, TemporaryName, scratch_path};
use crate::lock::wait::HURRIED_POLL;

/// Waits shorter than this end by themselves wherever several processes come and go.
pub(super) const LONG_WAIT: Duration = Duration::from_millis(200);
/// How long a holder that saw a waiter stays away: the waiter polls once in this time, whatever its jitter.
pub(super) const REST: Duration = HURRIED_POLL.saturating_mul(2);

/// The request of one waiter, withdrawn when dropped.
#[derive(Default)]
pub(super) struct Request(Option<(Inode, TemporaryName)>);

impl Request {
    /// Asks the holder of the lock file `inode` at `lock_path` for room, once for each holder.
    pub(super) fn put_to(&mut self, lock_path: &Path, inode: Inode) {
        if self.0.as_ref().is_some_and(|(asked, _)| *asked == inode) {
            return;
        }
        let name = TemporaryName(scratch_path(lock_path, "waiting"));
        // Where it is refused (another user's lock file with mode 0600) the waiter depends on luck.
        self.0 = fs::hard_link(lock_path, &name.0).is_ok().then_some((inode, name));
    }
}

/// Who has asked for room at `lock_path`, and how long ago by the file server's clock.
pub(in crate::lock) fn waiting(lock_path: &Path) -> Vec<(String, Duration)> {
    let mut found = Vec::new();
    for entry in
        lock_path.parent().into_iter().filter_map(|parent| fs::read_dir(parent).ok()).flatten().flatten()
    {
        let name = entry.file_name();
        let request = name.to_str().and_then(|name| name.strip_prefix(".lock_")?.split_once("_waiting"));
        // `<host>_<pid>`; a host name may hold an underscore.
        let Some((host, pid)) = request.and_then(|(maker, _)| maker.rsplit_once('_')) else { continue };
        let asked = entry.metadata().ok().and_then(|metadata| metadata.modified().ok()?.elapsed().ok());
        found.push((format!("process {pid} on {host}"), asked.unwrap_or_default()));
    }
    found
}
