//! The original's lock: a file that exists while somebody works, taken with `link()` and given back with `unlink()`.
//!
//! It is as careful as that protocol allows. What it cannot promise, because other clients of it break locks by the
//! wall clock and everybody must unlink by *path*, is written down in `docs/design.md`; the token protocol cures it.

mod errors;
mod held;
mod queue;
mod ticket;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

pub use held::Held;

use self::errors::{is_ambiguous, refused};
use self::queue::Request;
use self::ticket::{Inode, Ticket, inode, scratch_path};
use super::gate::Gate;
use super::holder::Holder;
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
                    Poll::Linked(ticket) => return Ok(Held::of(ticket, self, closed)),
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
        // Opening a pipe would wait for a writer.
        let content =
            metadata.is_file().then(|| File::open(&self.path).ok()).flatten().and_then(|mut file| {
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
