//! What the kernel holds references to: inodes and open files.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::stat::fstat;

/// The kernel's number of the mount point.
const ROOT: u64 = 1;

#[derive(Debug)]
struct Known {
    fd: Arc<OwnedFd>,
    lookups: u64,
}

/// A descriptor (`O_PATH`) for every inode the kernel knows. It keeps the inode alive, so that its number, which
/// is the kernel's name for it, cannot come to mean another file.
#[derive(Debug)]
pub struct Inodes {
    root: Arc<OwnedFd>,
    known: Mutex<HashMap<u64, Known>>,
}

impl Inodes {
    pub fn new(root: OwnedFd) -> Self {
        Self { root: Arc::new(root), known: Mutex::default() }
    }

    pub fn get(&self, number: u64) -> Result<Arc<OwnedFd>, Errno> {
        if number == ROOT {
            return Ok(Arc::clone(&self.root));
        }
        self.known().get(&number).map(|known| Arc::clone(&known.fd)).ok_or(Errno::ESTALE)
    }

    /// The kernel is about to learn of this inode once more.
    pub fn remember(&self, number: u64, fd: OwnedFd) {
        self.known().entry(number).or_insert_with(|| Known { fd: Arc::new(fd), lookups: 0 }).lookups += 1;
    }

    pub fn forget(&self, number: u64, lookups: u64) {
        let mut known = self.known();
        if let Some(inode) = known.get_mut(&number) {
            inode.lookups = inode.lookups.saturating_sub(lookups);
            if inode.lookups == 0 {
                known.remove(&number);
            }
        }
    }

    pub fn number_of(fd: impl AsFd) -> Result<u64, Errno> {
        Ok(fstat(fd)?.st_ino)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Open files or directories by the number the kernel was given for them.
#[derive(Debug)]
pub struct Handles<T> {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<T>>>,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self { next: AtomicU64::new(1), open: Mutex::default() }
    }
}

impl<T> Handles<T> {
    pub fn put(&self, value: T) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open().insert(number, Arc::new(value));
        number
    }

    pub fn get(&self, number: u64) -> Result<Arc<T>, Errno> {
        self.open().get(&number).map(Arc::clone).ok_or(Errno::EBADF)
    }

    pub fn close(&self, number: u64) {
        self.open().remove(&number);
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<T>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
