//! The original's lock: a file that exists while somebody works, taken with `link()` and given back with `unlink()`.
//!
//! It is as careful as that protocol allows. What it cannot promise, because other clients of it break locks by the
//! wall clock and everybody must unlink by *path*, is written down in `docs/design.md`; the token protocol cures it.

mod breaker;
mod held;
mod holder;
mod queue;
mod ticket;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use held::Held;
pub(super) use holder::Holder;
pub(super) use queue::waiting;

use self::breaker::Breaker;
use self::queue::Request;
use self::ticket::{Inode, Ticket, inode, scratch_path};
use super::errors::{is_ambiguous, refused};
use super::gate::Gate;
use super::stale::Watch;
use super::wait::{Patience, Wait};
use crate::error::{Error, Result};
use crate::mutation;
use crate::{clock, scratch};

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
    /// Threads of one process wait for each other without asking the file server. Not for a lock that its holder may
    /// keep while it takes another: two paths may share a gate.
    pub gated: bool,
}

/// What a poll saw at the lock path.
#[derive(Debug, Clone, PartialEq)]
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
        self.acquire_within(&mut Wait::begin(patience))
    }

    /// The same, as a part of a longer wait.
    pub(super) fn acquire_within(&self, wait: &mut Wait<'_>) -> Result<Held> {
        let gate = Gate::of(&self.path);
        let mut watch = Watch::new(self.stale_timeout);
        let mut looked = false;
        let mut extended = false;
        let mut holder: Option<(Inode, Holder)> = None;
        let mut request = Request::default();
        if !mutation::off("rest-for-waiters") {
            wait.rest(gate.rest_left())?;
        }
        loop {
            let entered = if self.gated { gate.try_close().map(Some) } else { Some(None) };
            if let Some(closed) = entered {
                // The first poll links at once: a free lock costs no look.
                match self.poll(looked, &mut watch)? {
                    Poll::Linked(ticket) => return Ok(Held::of(ticket, self, gate, closed)),
                    Poll::Taken(by) => holder = by,
                }
                looked = true;
            }
            if let Some((_, holder)) = &holder {
                wait.report(holder);
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

    /// Removes the lock file that stands there, whoever holds it: for people who know that its holder is gone.
    pub(super) fn break_by_force(&self) -> Result<()> {
        match self.sight(&self.path)? {
            Some(judged) => self.break_lock(&judged, true).map(|_| ()),
            None => Ok(()),
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
        let Some(sighting) = self.sight(&self.path)? else {
            watch.forget();
            return Ok(None);
        };
        let ended = clock::since_boot();
        let holder = sighting.holder();
        let (inode, judged) = (sighting.inode, sighting.clone());
        let stale = watch.observe(sighting, began, ended);
        if (stale || holder.is_provably_dead()) && self.break_lock(&judged, stale)? {
            watch.forget();
            return Ok(None);
        }
        Ok(Some((inode, holder)))
    }

    fn sight(&self, path: &Path) -> Result<Option<Sighting>> {
        let refused = |source| self.refused("looking at it", source);
        let metadata = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound || is_ambiguous(&error) => return Ok(None),
            other => other.map_err(refused)?,
        };
        if metadata.is_dir() {
            return Err(Error::Sealed { path: path.to_path_buf() });
        }
        // Opening a pipe would wait for a writer.
        let content = metadata.is_file().then(|| File::open(path).ok()).flatten().and_then(|mut file| {
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

    /// Removes the lock file, if it is still the one that was judged. `false` if somebody else is doing so.
    ///
    /// The name is moved aside first: had a new holder come between the look and the move, it can be put back.
    fn break_lock(&self, judged: &Sighting, stale: bool) -> Result<bool> {
        let Some(_right) = Breaker::try_take(judged.inode, !stale) else { return Ok(false) };
        let aside = scratch_path(&self.path, "broken");
        // Looked at again under the right: whoever had it before may have removed the lock and taken it. All of it is
        // compared, because a file system gives the inode of a removed lock to the next one.
        if self.sight(&self.path)?.as_ref() != Some(judged) && !mutation::off("look-again") {
            return Ok(true);
        }
        mutation::reached(if stale { "silent-holder-replaced" } else { "ended-holder-replaced" });
        match fs::rename(&self.path, &aside) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
            other => other.map_err(|source| self.refused("breaking the lock of a dead holder", source))?,
        }
        if self.sight(&aside)?.is_some_and(|moved| moved != *judged) && !mutation::off("look-again") {
            let _ = fs::hard_link(&aside, &self.path);
        }
        let _ = fs::remove_file(&aside);
        if let Some(directory) = self.path.parent() {
            scratch::sweep(directory);
        }
        Ok(true)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lock_in(directory: &Path) -> HardLink {
        let stale_timeout = Duration::from_secs(600);
        HardLink {
            path: directory.join("s.db.lock"),
            mode: 0o666,
            stale_timeout,
            outwait_old_claims: false,
            gated: true,
        }
    }

    /// Judges a dead holder's lock; before it is removed, the next holder's lock stands there, in the same inode.
    fn break_too_late() -> bool {
        let directory = tempfile::tempdir().expect("temporary directory");
        let lock = lock_in(directory.path());
        fs::write(&lock.path, "of the dead").expect("written");
        let judged = lock.sight(&lock.path).expect("looked").expect("there");
        fs::write(&lock.path, "of the living").expect("written");
        lock.break_lock(&judged, true).expect("looked again");
        fs::read(&lock.path).is_ok_and(|content| content == b"of the living")
    }

    #[test]
    fn a_new_lock_in_the_inode_of_a_dead_one_is_left_alone() {
        assert!(break_too_late());
        assert!(!mutation::without("look-again", break_too_late), "the promise holds without its mechanism");
    }

    #[test]
    fn a_lock_that_somebody_else_is_breaking_is_left_to_them() {
        let two_break = || {
            let directory = tempfile::tempdir().expect("temporary directory");
            let lock = lock_in(directory.path());
            fs::write(&lock.path, "of the dead").expect("written");
            let judged = lock.sight(&lock.path).expect("looked").expect("there");
            let _other = Breaker::try_take(judged.inode, true);
            lock.break_lock(&judged, false).expect("asked")
        };
        assert!(!two_break());
        assert!(mutation::without("one-breaker", two_break), "the promise holds without its mechanism");
    }
}
