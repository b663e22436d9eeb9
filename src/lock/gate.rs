//! What the threads of one process know of a lock without asking the file server: whether one of them is inside, and
//! whether to let others go first.
//!
//! A gate belongs to a process id, so that a forked child neither waits for a thread that did not survive the fork
//! nor opens a gate that its parent closed.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock;

const GATES: usize = 1024;
/// A fixed table needs no registry that a fork could catch locked; two stores that share a slot only wait for each
/// other, and no thread ever holds two.
static TABLE: [Slot; GATES] =
    [const { Slot { owner: AtomicU32::new(0), thread: AtomicU64::new(0), rest_until: AtomicU64::new(0) } };
        GATES];

#[derive(Debug)]
struct Slot {
    /// 0 = open, else the id of the process that closed it.
    owner: AtomicU32,
    /// Which of its threads has closed it.
    thread: AtomicU64,
    /// Milliseconds since boot.
    rest_until: AtomicU64,
}

/// The gate of one lock path in this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate(&'static Slot);

impl Gate {
    /// The gate of the lock at `lock_path`, the same for every path to its directory.
    pub(crate) fn of(lock_path: &Path) -> Self {
        let directory = lock_path.parent().and_then(|parent| parent.metadata().ok());
        let identity = directory.map(|meta| (meta.dev(), meta.ino()));
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((identity, lock_path.file_name()));
        let index = usize::try_from(hash % GATES as u64).unwrap_or(0);
        Self(&TABLE[index])
    }

    /// Closes the gate, if it is open or was closed by a process that this one was forked from.
    pub(crate) fn try_close(self) -> Option<Closed> {
        let me = process::id();
        let seen = self.0.owner.load(Ordering::Acquire);
        if seen == me && !crate::mutation::off("gate") {
            return None;
        }
        self.close_after(seen, me)
    }

    /// The same for a process `me` that has `seen` it open, or closed by another process.
    fn close_after(self, seen: u32, me: u32) -> Option<Closed> {
        // Whoever lost the race must not make a `Closed`: dropped, it would open the gate of the one who won.
        self.0.owner.compare_exchange(seen, me, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        self.0.thread.store(this_thread(), Ordering::Relaxed);
        Some(Closed { gate: self, owner: me })
    }

    /// Has this very thread closed it? Then it would wait for itself: it was interrupted by a signal handler.
    pub(crate) fn is_closed_by_this_thread(self) -> bool {
        self.0.owner.load(Ordering::Acquire) == process::id()
            && self.0.thread.load(Ordering::Relaxed) == this_thread()
    }

    /// Keeps this process away from the lock for `time`, so that others get in.
    pub(crate) fn rest_for(self, time: Duration) {
        self.0.rest_until.store(milliseconds(clock::since_boot() + time), Ordering::Relaxed);
    }

    /// How long this process should still stay away.
    pub(crate) fn rest_left(self) -> Duration {
        let until = self.0.rest_until.load(Ordering::Relaxed);
        Duration::from_millis(until.saturating_sub(milliseconds(clock::since_boot())))
    }
}

/// A number that no other thread of this process has, from 1 on.
fn this_thread() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static NUMBER: u64 = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

fn milliseconds(since_boot: Duration) -> u64 {
    u64::try_from(since_boot.as_millis()).unwrap_or(u64::MAX)
}

/// A closed gate; it opens when this is dropped by the process that closed it.
#[derive(Debug)]
pub(crate) struct Closed {
    gate: Gate,
    owner: u32,
}

impl Drop for Closed {
    fn drop(&mut self) {
        if process::id() == self.owner {
            self.gate.0.owner.store(0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_at_a_time_passes() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let gate = Gate::of(&directory.path().join("a.db.lock"));
        let closed = gate.try_close().expect("open");
        assert!(gate.try_close().is_none());
        drop(closed);
        assert!(gate.try_close().is_some());
    }

    #[test]
    fn a_lost_race_leaves_the_gate_closed() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let gate = Gate::of(&directory.path().join("e.db.lock"));
        let seen = gate.0.owner.load(Ordering::Acquire);
        let _closed = gate.try_close().expect("open");
        assert!(gate.close_after(seen, process::id()).is_none());
        assert!(gate.try_close().is_none(), "opened by the one that lost");
    }

    #[test]
    fn a_thread_knows_that_it_would_wait_for_itself() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let gate = Gate::of(&directory.path().join("d.db.lock"));
        assert!(!gate.is_closed_by_this_thread());
        let _closed = gate.try_close().expect("open");
        assert!(gate.is_closed_by_this_thread());
        assert!(!std::thread::spawn(move || gate.is_closed_by_this_thread()).join().expect("no panic"));
    }

    #[test]
    fn a_rest_ends_by_itself() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let gate = Gate::of(&directory.path().join("c.db.lock"));
        assert!(gate.rest_left().is_zero());
        gate.rest_for(Duration::from_millis(20));
        assert!(!gate.rest_left().is_zero());
        std::thread::sleep(gate.rest_left());
        assert!(gate.rest_left().is_zero());
    }

    #[test]
    fn a_gate_closed_by_another_process_is_open_to_its_child() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let gate = Gate::of(&directory.path().join("b.db.lock"));
        gate.0.owner.store(process::id().wrapping_add(1), Ordering::Release);
        assert!(gate.try_close().is_some());
    }
}
