//! The original's lock: a file that exists while somebody works, taken with `link()` and given back with `unlink()`.
//!
//! It is as careful as that protocol allows. What it cannot promise, because other clients of it break locks by the
//! wall clock and everybody must unlink by *path*, is written down in `docs/design.md`; the token protocol cures it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use nix::errno::Errno;
use rand::RngExt;

use super::gate::{Closed, Gate};
use super::holder::Holder;
use super::queue::{self, Request};
use super::stale::Watch;
use super::wait::{Patience, Wait};
use crate::error::{Error, Result};
use crate::mutation;
use crate::{clock, scratch};

/// Lock files are padded to this size, so that a renewal replaces all of one by one write of equal length.
const PAYLOAD_BYTES: usize = 512;
/// Held locks renew their time stamp when it is older than this share of the stale timeout.
const RENEWALS_PER_TIMEOUT: u32 = 4;

/// A hard-link lock at one path.
#[derive(Debug, Clone)]
pub struct HardLink {
    /// The lock file.
    pub path: PathBuf,
    /// Mode of lock files: 0666, so that every user of a shared store can read whose lock it is, or 0600.
    pub mode: u32,
    /// A lock unchanged for this long, watched all the while, is broken.
    pub stale_timeout: Duration,
    /// Wait out the stale timeout beside a lock that claims to be older than it, whatever the caller's patience.
    /// The original breaks such a lock at once, by comparing clocks; this keeps its scripts working without that.
    pub outwait_old_claims: bool,
}

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
    gate: Closed,
}

/// Device and inode number: which file, whatever its name.
pub(super) type Inode = (u64, u64);

fn inode(metadata: &fs::Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}

/// What a poll saw at the lock path.
#[derive(Debug, PartialEq)]
struct Sighting {
    inode: Inode,
    changed: (i64, i64),
    /// `None` where the file cannot be read: other users' originals may create it with mode 0600.
    content: Option<Vec<u8>>,
}

/// What one attempt came to.
enum Poll {
    Linked(Ticket),
    /// By whom, unless they let go between the attempt and the look.
    Taken(Option<(Inode, Holder)>),
}

impl Sighting {
    fn holder(&self) -> Holder {
        self.content.as_deref().map(Holder::parse).unwrap_or_default()
    }
}

impl HardLink {
    /// Takes the lock, waiting for it as long as `patience` lasts.
    ///
    /// # Errors
    ///
    /// [`Error::LockTimeout`] names the holder; [`Error::Lock`] where the file system refuses, which no waiting
    /// cures; [`Error::Sealed`] where a directory stands at the path; [`Error::Interrupted`].
    pub fn acquire(&self, patience: Patience<'_>) -> Result<Held> {
        let gate = Gate::of(&self.path);
        let mut wait = Wait::begin(patience);
        let mut watch = Watch::new(self.stale_timeout);
        let mut looked = false;
        let mut extended = false;
        let mut holder: Option<(Inode, Holder)> = None;
        let mut request = Request::default();
        if !mutation::off("rest-for-waiters") {
            wait.rest(gate.rest_left())?;
        }
        loop {
            if let Some(closed) = gate.try_close() {
                // The first poll links at once: a free lock costs no look.
                match self.poll(looked, &mut watch)? {
                    Poll::Linked(ticket) => return Ok(ticket.into_held(self, closed)),
                    Poll::Taken(by) => holder = by,
                }
                looked = true;
            }
            if let Some((inode, _)) = &holder
                && wait.elapsed() > queue::LONG_WAIT
            {
                request.put_to(&self.path, *inode);
                wait.hurry();
            }
            if wait.is_over() {
                let claims_age =
                    |(_, h): &(Inode, Holder)| h.claimed_age() > Some(self.stale_timeout.as_secs_f64());
                let worth_it = watch.is_nearly_over()
                    || (self.outwait_old_claims && holder.as_ref().is_some_and(claims_age));
                if extended || !worth_it {
                    return Err(self.timed_out(wait.elapsed(), holder));
                }
                extended = true;
                wait.extend_to(wait.elapsed() + self.stale_timeout.mul_f64(1.25) + Duration::from_secs(1));
            }
            wait.pause()?;
        }
    }

    fn poll(&self, look_first: bool, watch: &mut Watch<Sighting>) -> Result<Poll> {
        if look_first && let Some(holder) = self.look(watch)? {
            return Ok(Poll::Taken(Some(holder)));
        }
        let ticket = Ticket::create(&self.path, self.mode)?;
        if ticket.link_to(&self.path)? {
            return Ok(Poll::Linked(ticket));
        }
        drop(ticket);
        Ok(Poll::Taken(self.look(watch)?))
    }

    /// Who holds the lock now? Breaks it where its holder is dead or has been silent for the whole timeout.
    fn look(&self, watch: &mut Watch<Sighting>) -> Result<Option<(Inode, Holder)>> {
        let began = clock::since_boot();
        let Some(sighting) = self.sight()? else {
            watch.forget();
            return Ok(None);
        };
        let ended = clock::since_boot();
        let holder = sighting.holder();
        let (inode, dead) = (sighting.inode, holder.is_provably_dead());
        if watch.observe(sighting, began, ended) || dead {
            self.break_lock(inode)?;
            watch.forget();
            return Ok(None);
        }
        Ok(Some((inode, holder)))
    }

    fn sight(&self) -> Result<Option<Sighting>> {
        let refused = |source| self.refused("looking at it", source);
        let metadata = match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound || is_ambiguous(&error) => return Ok(None),
            other => other.map_err(refused)?,
        };
        if metadata.is_dir() {
            return Err(Error::Sealed { path: self.path.clone() });
        }
        let content = File::open(&self.path).ok().and_then(|mut file| {
            // Of the same file as the metadata, or not at all.
            let same = file.metadata().is_ok_and(|opened| inode(&opened) == inode(&metadata));
            let mut bytes = Vec::new();
            (same && file.read_to_end(&mut bytes).is_ok()).then_some(bytes)
        });
        Ok(Some(Sighting {
            inode: inode(&metadata),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
            content,
        }))
    }

    /// Removes the lock file, if it is still the one that was judged.
    ///
    /// The name is moved aside first: had a new holder come between the look and the move, it can be put back.
    fn break_lock(&self, judged: Inode) -> Result<()> {
        let aside = scratch_path(&self.path, "broken");
        let still_there = fs::symlink_metadata(&self.path).is_ok_and(|metadata| inode(&metadata) == judged);
        if !still_there {
            return Ok(());
        }
        match fs::rename(&self.path, &aside) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other.map_err(|source| self.refused("breaking the lock of a dead holder", source))?,
        }
        let moved = fs::symlink_metadata(&aside).map(|metadata| inode(&metadata));
        if moved.is_ok_and(|moved| moved != judged) {
            let _ = fs::hard_link(&aside, &self.path);
        }
        let _ = fs::remove_file(&aside);
        if let Some(directory) = self.path.parent() {
            scratch::sweep(directory);
        }
        Ok(())
    }

    fn timed_out(&self, waited: Duration, holder: Option<(Inode, Holder)>) -> Error {
        let holder = holder
            .map_or_else(|| "another thread of this process".to_owned(), |(_, holder)| holder.to_string());
        Error::LockTimeout { path: self.path.clone(), waited, holder }
    }

    fn refused(&self, action: &'static str, source: io::Error) -> Error {
        refused(&self.path, action, source)
    }
}

fn refused(path: &Path, action: &'static str, source: io::Error) -> Error {
    let advice = match Errno::from_raw(source.raw_os_error().unwrap_or(0)) {
        Errno::EACCES | Errno::EPERM => {
            "; every user of a store must be able to create and remove files in its directory \
             (the owner can run: chmod 0777 on it, and chmod -t if it is sticky)"
        }
        Errno::EROFS => "; the file system is read-only: open the store with read_only=True",
        Errno::ENOSPC | Errno::EDQUOT => "; there is no room for a lock file: free space or raise the quota",
        Errno::ENOENT => "; its directory does not exist",
        Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EXDEV | Errno::EMLINK => {
            "; this file system has no hard links: the hard-link protocol cannot work on it"
        }
        _ => "",
    };
    Error::Lock { path: path.to_path_buf(), action, source, advice }
}

/// Errors after which the operation may or may not have happened, as network file systems report lost replies.
fn is_ambiguous(error: &io::Error) -> bool {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    matches!(
        errno,
        Errno::EEXIST | Errno::EIO | Errno::EINTR | Errno::ESTALE | Errno::ETIMEDOUT | Errno::EREMOTEIO
    )
}

/// A name of this process beside the lock.
pub(super) fn scratch_path(lock_path: &Path, kind: &str) -> PathBuf {
    let random: u64 = rand::rng().random();
    lock_path.with_file_name(format!("{}{kind}{random:016x}", scratch::lock_prefix()))
}

/// The temporary file whose second name becomes the lock.
struct Ticket {
    name: TemporaryName,
    file: File,
    inode: Inode,
    written: Duration,
}

/// A name that is removed when it is dropped; the file lives on under its other name, if it has one.
pub(super) struct TemporaryName(pub(super) PathBuf);

impl Drop for TemporaryName {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Ticket {
    fn create(lock_path: &Path, mode: u32) -> Result<Self> {
        let name = TemporaryName(scratch_path(lock_path, ""));
        let written = clock::since_boot();
        let create = || {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name.0)?;
            // Exactly this mode, whatever the umask.
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            file.write_all_at(&payload(), 0)?;
            let inode = inode(&file.metadata()?);
            Ok((file, inode))
        };
        let (file, inode) =
            create().map_err(|source| refused(lock_path, "creating a temporary file beside it", source))?;
        Ok(Self { name, file, inode, written })
    }

    /// Gives this file the lock's name. After an error that may hide a success the file itself tells: its inode
    /// stands at the lock path, or it has two names.
    fn link_to(&self, lock_path: &Path) -> Result<bool> {
        match fs::hard_link(&self.name.0, lock_path) {
            Ok(()) => Ok(true),
            Err(error) if is_ambiguous(&error) => {
                let named =
                    fs::symlink_metadata(lock_path).is_ok_and(|metadata| inode(&metadata) == self.inode);
                Ok(named || self.file.metadata().is_ok_and(|metadata| metadata.nlink() >= 2))
            }
            // Our temporary name was swept away: not held, try again.
            Err(error)
                if error.kind() == ErrorKind::NotFound && lock_path.parent().is_some_and(Path::is_dir) =>
            {
                Ok(false)
            }
            Err(source) => Err(refused(lock_path, "linking it", source)),
        }
    }

    fn into_held(self, lock: &HardLink, gate: Closed) -> Held {
        Held {
            path: lock.path.clone(),
            file: self.file,
            identity: self.inode,
            owner: process::id(),
            renewal_period: lock.stale_timeout / RENEWALS_PER_TIMEOUT,
            renewed: self.written,
            released: false,
            gate,
        }
    }
}

impl Held {
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
        self.file.write_all_at(&payload(), 0).map_err(|source| refused(&self.path, "renewing it", source))?;
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
        let metadata = fs::symlink_metadata(&self.path).ok();
        let ours = metadata.filter(|metadata| inode(metadata) == self.identity);
        if ours.is_none() && !mutation::off("release-own-inode") {
            return Ok(());
        }
        if ours.is_some_and(|metadata| metadata.nlink() > 1) {
            self.gate.gate().rest_for(queue::REST);
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map_err(|source| refused(&self.path, "releasing it", source)),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.unlink();
    }
}

fn payload() -> Vec<u8> {
    let mut bytes = Holder::me().to_json();
    let padded = bytes.len().next_multiple_of(PAYLOAD_BYTES);
    bytes.resize(padded, b' ');
    bytes
}
