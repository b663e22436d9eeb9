//! How often each process asked for what.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::operation::Op;

/// Requests by process and kind, those that failed included.
#[derive(Debug, Default)]
pub struct Counters(Mutex<BTreeMap<(u32, Op), u64>>);

impl Counters {
    /// All requests of a kind.
    pub fn total(&self, op: Op) -> u64 {
        self.counts().iter().filter(|((_, other), _)| *other == op).map(|(_, count)| count).sum()
    }

    /// The requests of a kind of one process.
    pub fn by(&self, pid: u32, op: Op) -> u64 {
        self.counts().get(&(pid, op)).copied().unwrap_or(0)
    }

    /// Everything that was counted, by process and kind.
    pub fn all(&self) -> BTreeMap<(u32, Op), u64> {
        self.counts().clone()
    }

    /// Begin again at zero.
    pub fn reset(&self) {
        self.counts().clear();
    }

    pub(super) fn add(&self, pid: u32, op: Op) {
        *self.counts().entry((pid, op)).or_default() += 1;
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<(u32, Op), u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
