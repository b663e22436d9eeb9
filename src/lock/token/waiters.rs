//! Fairness: a process that works without a pause must not keep all others out.
//!
//! A holder that releases the token and takes it again at once leaves a gap of microseconds, which a waiter that polls
//! finds only by luck. So a waiter that has waited for long leaves a mark in the directory, and whoever takes the token
//! twice in a row lets others go first when it sees one, and takes the mark away: it counts once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::directory::{Directory, Scan};
use super::held::Held;
use super::name::Count;
use super::owner::Owner;
use crate::clock;
use crate::error::Result;
use crate::lock::wait::{HURRIED_POLL, Wait};

/// Shorter waits end by themselves wherever several processes come and go.
pub(super) const LONG_WAIT: Duration = Duration::from_millis(200);
/// How long a process that had the token last stays away: a waiter polls once in this time, whatever its jitter.
const REST: Duration = HURRIED_POLL.saturating_mul(2);
/// Files that nobody touches are purged on scratch file systems; ours are touched when they are older than this.
const OLD: Duration = Duration::from_secs(24 * 3600);
const LOOK_AT_AGE_EVERY: Duration = Duration::from_secs(3600);

/// The mark of one waiter, `w.<milliseconds waited>.<owner>`, withdrawn when dropped.
pub(super) struct Mark<'a> {
    directory: &'a Directory,
    name: Option<String>,
    set: Duration,
}

impl<'a> Mark<'a> {
    pub(super) fn new(directory: &'a Directory) -> Self {
        Self { directory, name: None, set: Duration::ZERO }
    }

    /// Marks that this process has waited for `waited`; again from time to time, as holders take marks away.
    pub(super) fn renew(&mut self, waited: Duration) {
        let now = clock::since_boot();
        if self.name.is_some() && now.saturating_sub(self.set) < LONG_WAIT {
            return;
        }
        self.withdraw();
        let name = format!("w.{}.{}", waited.as_millis(), Owner::me());
        self.directory.mark(&name);
        (self.name, self.set) = (Some(name), now);
    }

    fn withdraw(&mut self) {
        if let Some(name) = self.name.take() {
            self.directory.discard(&name);
        }
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// Who waits, and for how long, as a mark says.
pub(crate) fn read_mark(name: &str) -> Option<(Duration, Owner)> {
    let mut fields = name.strip_prefix("w.")?.split('.');
    let waited = fields.next()?.parse().ok().map(Duration::from_millis)?;
    Some((waited, Owner::parse(&mut fields)?))
}

/// The last tenure of this process, as a generation. Several stores of one process share it: at worst one rests for
/// nothing.
static LAST: AtomicU64 = AtomicU64::new(0);
/// When this process last looked at the age of a token, in seconds since boot.
static AGE_LOOKED_AT: AtomicU64 = AtomicU64::new(0);

/// What one acquisition leaves to others.
#[derive(Default)]
pub(super) struct Courtesy {
    rested: bool,
}

impl Courtesy {
    /// Rests where this process was the last holder and others have waited for long. `true`: look again.
    pub(super) fn lets_others_first(
        &mut self,
        directory: &Directory,
        free: Count,
        scan: &Scan,
        wait: &Wait<'_>,
    ) -> Result<bool> {
        let mine_last = LAST.load(Ordering::Relaxed) == free.generation;
        if self.rested || !mine_last || scan.marks.is_empty() || crate::mutation::off("rest-for-waiters") {
            return Ok(false);
        }
        self.rested = true;
        wait.rest(REST)?;
        // A waiter that is still there marks again.
        for mark in &scan.marks {
            directory.discard(mark);
        }
        Ok(true)
    }

    /// Notes that the token was taken.
    pub(super) fn taken(directory: &Directory, held: &Held) {
        LAST.store(held.count().generation, Ordering::Relaxed);
        let now = clock::since_boot().as_secs();
        let looked = AGE_LOOKED_AT.load(Ordering::Relaxed);
        if now.saturating_sub(looked) < LOOK_AT_AGE_EVERY.as_secs() && looked != 0 {
            return;
        }
        AGE_LOOKED_AT.store(now.max(1), Ordering::Relaxed);
        let name = held.name();
        if directory.age(&name).is_some_and(|age| age > OLD) {
            directory.touch(&name);
        }
    }
}
