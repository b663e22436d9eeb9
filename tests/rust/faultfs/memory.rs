//! What a node with a cache remembers of attributes.
//!
//! The kernel remembers them as well, but asks again after every read, for the time of the last access: without
//! this a node would see by chance what it is meant not to see yet.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::stat::FileStat;

/// Attributes by inode number, and when they were read.
#[derive(Debug)]
pub struct Memory {
    timeout: Duration,
    known: Mutex<HashMap<u64, (Instant, FileStat)>>,
}

impl Memory {
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, known: Mutex::default() }
    }

    /// What is remembered of an inode, and for how long still.
    pub fn recall(&self, number: u64) -> Option<(FileStat, Duration)> {
        let (read, stat) = *self.known().get(&number)?;
        let rest = self.timeout.checked_sub(read.elapsed())?;
        Some((stat, rest))
    }

    /// Remember what was just read, and say for how long.
    pub fn keep(&self, number: u64, stat: &FileStat) -> Duration {
        if !self.timeout.is_zero() {
            self.known().insert(number, (Instant::now(), *stat));
        }
        self.timeout
    }

    /// The node itself has changed this file.
    pub fn forget(&self, number: u64) {
        self.known().remove(&number);
    }

    /// The node itself has changed names, and with them directories and numbers of links.
    pub fn forget_all(&self) {
        self.known().clear();
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u64, (Instant, FileStat)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
