//! What a node's client process keeps of the contents of files, where neither the kernel nor `O_DIRECT` reaches it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::options::Cache;
use super::server::Result;

/// Contents by inode number, and when they were read. A new file that gets the number of one that is gone seems to hold
/// what that held.
#[derive(Debug)]
pub struct Copies {
    timeout: Option<Duration>,
    kept: Mutex<HashMap<u64, (Instant, Vec<u8>)>>,
}

impl Copies {
    pub fn new(cache: Cache) -> Self {
        let timeout = if let Cache::Copied(timeout) = cache { Some(timeout) } else { None };
        Self { timeout, kept: Mutex::default() }
    }

    /// Is this a node with copies at all?
    pub fn are_kept(&self) -> bool {
        self.timeout.is_some()
    }

    /// Part of a file, from the copy if there is one. `read` reads so many bytes at an offset.
    pub fn read(
        &self,
        number: u64,
        (offset, length): (u64, usize),
        read: impl FnOnce(u64, usize) -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        const ALL: usize = 1 << 24;
        let Some(timeout) = self.timeout else { return read(offset, length) };
        let mut kept = self.kept();
        if kept.get(&number).is_none_or(|(when, _)| when.elapsed() > timeout) {
            kept.insert(number, (Instant::now(), read(0, ALL)?));
        }
        let whole = &kept[&number].1;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(whole.len());
        Ok(whole[from..whole.len().min(from + length)].to_vec())
    }

    /// The node itself has changed this file.
    pub fn drop_of(&self, number: u64) {
        self.kept().remove(&number);
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<u64, (Instant, Vec<u8>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
