//! One thread at a time within a process: threads wait for each other here, without a request to the file server.
//!
//! A gate belongs to a process id, so that a forked child neither waits for a thread that did not survive the fork
//! nor opens a gate that its parent closed.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

const GATES: usize = 1024;
/// 0 = open, else the id of the process that closed it. A fixed table needs no registry that a fork could catch
/// locked; two stores that share a gate only wait for each other, and no thread ever holds two.
static TABLE: [AtomicU32; GATES] = [const { AtomicU32::new(0) }; GATES];

/// The gate of one lock path in this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate(&'static AtomicU32);

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
        let seen = self.0.load(Ordering::Acquire);
        if seen == me {
            return None;
        }
        let won = self.0.compare_exchange(seen, me, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        won.then_some(Closed { gate: self, owner: me })
    }
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
            self.gate.0.store(0, Ordering::Release);
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
    fn a_gate_closed_by_another_process_is_open_to_its_child() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let gate = Gate::of(&directory.path().join("b.db.lock"));
        gate.0.store(process::id().wrapping_add(1), Ordering::Release);
        assert!(gate.try_close().is_some());
    }
}
