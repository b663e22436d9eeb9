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
use crate::clock;
use crate::lock::wait::HURRIED_POLL;

/// Waits shorter than this end by themselves wherever several processes come and go.
pub(super) const LONG_WAIT: Duration = Duration::from_millis(200);
/// How long a holder that saw a waiter stays away: the waiter polls once in this time, whatever its jitter.
pub(super) const REST: Duration = HURRIED_POLL.saturating_mul(2);

/// The request of one waiter, `.lock_<host>_<pid>_waiting<seconds since 1970>_<random>`, withdrawn when dropped.
#[derive(Default)]
pub(super) struct Request {
    asked: Option<(Inode, TemporaryName)>,
    /// When it was first put to anybody: as another name of the lock file it has no time of its own.
    began: Option<u64>,
}

impl Request {
    /// Asks the holder of the lock file `inode` at `lock_path` for room, once for each holder.
    pub(super) fn put_to(&mut self, lock_path: &Path, inode: Inode) {
        if self.asked.as_ref().is_some_and(|(asked, _)| *asked == inode) {
            return;
        }
        let began = *self.began.get_or_insert_with(clock::unix_seconds_whole);
        let name = TemporaryName(scratch_path(lock_path, &format!("waiting{began}_")));
        // Where it is refused (another user's lock file with mode 0600) the waiter depends on luck.
        self.asked = fs::hard_link(lock_path, &name.0).is_ok().then_some((inode, name));
    }
}

/// Who has asked for room at `lock_path`, and how long ago by the clocks of both, in seconds: for people.
pub(in crate::lock) fn waiting(lock_path: &Path) -> Vec<(String, Duration)> {
    let mut found = Vec::new();
    for entry in
        lock_path.parent().into_iter().filter_map(|parent| fs::read_dir(parent).ok()).flatten().flatten()
    {
        let name = entry.file_name();
        let request = name.to_str().and_then(|name| name.strip_prefix(".lock_")?.split_once("_waiting"));
        // `<host>_<pid>`; a host name may hold an underscore.
        let Some((maker, asked)) = request else { continue };
        let Some((host, pid)) = maker.rsplit_once('_') else { continue };
        let began = asked.split_once('_').and_then(|(began, _)| began.parse().ok());
        let waited = began.map_or(0, |began| clock::unix_seconds_whole().saturating_sub(began));
        found.push((format!("process {pid} on {host}"), Duration::from_secs(waited)));
    }
    found
}
