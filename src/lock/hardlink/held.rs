//! A lock that is held: confirmed, renewed, released.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::process;
use std::thread;
use std::time::Duration;

use super::HardLink;
use super::queue;
use super::ticket::{self, Inode, Ticket, inode};
use crate::clock;
use crate::error::{Error, Result};
use crate::lock::errors::{is_ambiguous, refused};
use crate::lock::gate::{Closed, Gate};
use crate::mutation;

/// Held locks renew their time stamp when it is older than this share of the stale timeout.
const RENEWALS_PER_TIMEOUT: u32 = 4;
/// A lost reply is asked about this often before the file system is given up.
const RETRIES: u32 = 8;

/// A lock that this process holds.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    /// Kept open: the inode number cannot be given to another file while this one exists.
    file: File,
    identity: Inode,
    owner: u32,
    renewal_period: Duration,
    renewed: Duration,
    released: bool,
    gate: Gate,
    _closed: Option<Closed>,
}

impl Held {
    /// The lock that `ticket` has become; its temporary name goes.
    pub(super) fn of(ticket: Ticket, lock: &HardLink, gate: Gate, closed: Option<Closed>) -> Self {
        mutation::reached("enter");
        Self {
            path: lock.path.clone(),
            identity: ticket.inode,
            owner: process::id(),
            renewal_period: lock.stale_timeout / RENEWALS_PER_TIMEOUT,
            renewed: ticket.written,
            file: ticket.file,
            released: false,
            gate,
            _closed: closed,
        }
    }

    /// Is the file at the lock path still ours? Asked before a commit: whoever lost the lock must not write.
    ///
    /// # Errors
    ///
    /// [`Error::LockLost`] where it is another's or gone.
    pub fn confirm(&self) -> Result<()> {
        if self.is_ours() || mutation::off("confirm-before-commit") {
            return Ok(());
        }
        Err(Error::LockLost { path: self.path.clone() })
    }

    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|metadata| inode(&metadata) == self.identity)
    }

    /// Renews the time stamp when it is due, for work that may last longer than the stale timeout: watchers see a
    /// changed lock, and the original's clients a young one.
    ///
    /// # Errors
    ///
    /// [`Error::LockLost`] as [`Held::confirm`]; [`Error::Lock`] where the file cannot be written.
    pub fn renew_if_due(&mut self) -> Result<()> {
        let now = clock::since_boot();
        if now.saturating_sub(self.renewed) < self.renewal_period || mutation::off("renewal") {
            return Ok(());
        }
        self.confirm()?;
        self.file
            .write_all_at(&ticket::payload(), 0)
            .map_err(|source| refused(&self.path, "renewing it", source))?;
        self.renewed = now;
        Ok(())
    }

    /// Gives the lock back.
    ///
    /// # Errors
    ///
    /// [`Error::Lock`] where the lock file cannot be removed: everybody else will wait until it is stale.
    pub fn release(mut self) -> Result<()> {
        self.unlink()
    }

    /// Removes the lock file only if it is ours: after a take-over another's lock stands there. A forked child
    /// never touches its parent's.
    fn unlink(&mut self) -> Result<()> {
        if self.released || process::id() != self.owner {
            return Ok(());
        }
        self.released = true;
        mutation::reached("leave");
        let metadata = fs::symlink_metadata(&self.path).ok();
        let ours = metadata.filter(|metadata| inode(metadata) == self.identity);
        if ours.is_none() && !mutation::off("release-own-inode") {
            return Ok(());
        }
        if ours.is_some_and(|metadata| metadata.nlink() > 1) {
            self.gate.rest_for(queue::REST);
        }
        let mut tries = 0;
        loop {
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                // The reply may have been lost: gone, or by now another's, is released.
                Err(error) if is_ambiguous(&error) && tries < RETRIES && !mutation::off("lost-replies") => {
                    if !self.is_ours() {
                        return Ok(());
                    }
                    tries += 1;
                    thread::sleep(Duration::from_millis(1 << tries));
                }
                other => return other.map_err(|source| refused(&self.path, "releasing it", source)),
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.unlink();
    }
}
