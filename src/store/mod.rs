//! The store: identity, lock, reads and storage joined into the API that the Python package shows.
//!
//! Every call may fail as the lock, the file system or SQLite fail; what a call adds to that is said where it stands.

mod admin;
mod adopt;
mod buffer;
mod claims;
mod copies;
mod history;
mod lookup;
mod merge;
mod open;
mod record;
mod sealing;
mod search;
mod verify;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

pub use adopt::{Adopted, Foreign};
pub use buffer::{Buffer, HandedOver, Limits};
pub use claims::{Candidate, ClaimOptions};
pub use copies::Exported;
pub use merge::MergedPage;
pub use open::{Options, Protocol};
pub use sealing::{break_lock, lock_info, repair_lock};

use self::record::Finds;

use crate::commit::{self, Answer, CommitCounts, Group};
use crate::error::{Error, Result};
use crate::identity::dialect::Dialect;
use crate::lock::{Interrupt, Place, ReadCounts, Tenure, Waits};
use crate::reads::{self, HitCounts, Hits, ReadMode, Snapshot};
use crate::storage::records::Recorder;
use crate::storage::sharing::Sharing;

/// An open store. What it keeps open between calls is one process's own: it may be used from threads and after a fork.
#[derive(Debug)]
pub struct Store {
    place: Place,
    group: Group,
    finds: Finds,
    hits: Hits,
    read_mode: ReadMode,
    /// Why writing is not possible, apart from the CPU check.
    read_only: Option<String>,
    recorder: RwLock<Recorder>,
    dialects: Vec<Dialect>,
    sharing: Sharing,
    cpu_mismatch: Option<String>,
    writes_allowed: bool,
    closed: AtomicBool,
}

impl Store {
    fn read<T>(&self, interrupt: &dyn Interrupt, work: impl FnMut(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        self.check_open()?;
        reads::read(&self.place, self.read_mode, interrupt, work)
    }

    /// A read that looks at much of the store.
    fn read_long<T>(
        &self,
        interrupt: &dyn Interrupt,
        work: impl FnMut(&Snapshot<'_>) -> Result<T>,
    ) -> Result<T> {
        self.check_open()?;
        let mode = if self.read_mode == ReadMode::Shared { ReadMode::Locked } else { self.read_mode };
        reads::read(&self.place, mode, interrupt, work)
    }

    fn write<T: Answer>(
        &self,
        interrupt: &dyn Interrupt,
        work: impl FnMut(&Tenure<'_>) -> Result<T>,
    ) -> Result<T> {
        self.check_open()?;
        self.check_writes()?;
        commit::write(&self.place, interrupt, work)
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::Closed { path: self.place.db_path.clone() });
        }
        Ok(())
    }

    /// Fails where this store may not be written.
    ///
    /// # Errors
    ///
    /// [`Error::ReadOnly`] or [`Error::CpuMismatch`].
    pub fn check_writes(&self) -> Result<()> {
        match &self.read_only {
            Some(why) => Err(Error::ReadOnly { path: self.place.db_path.clone(), why: why.clone() }),
            None if !self.writes_allowed => Err(Error::CpuMismatch),
            None => Ok(()),
        }
    }

    /// Ends the use of this store: later calls fail.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.place.close_kept();
    }

    /// Has it been closed?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Who records from here on.
    pub fn recorder(&self) -> Recorder {
        self.recorder.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records for another project from here on.
    pub fn set_source_project(&self, source_project: String) {
        self.recorder.write().unwrap_or_else(PoisonError::into_inner).source_project = source_project;
    }

    /// The database file, symbolic links resolved.
    #[must_use]
    pub fn db_path(&self) -> &Path {
        &self.place.db_path
    }

    /// How this store's reads went so far.
    #[must_use]
    pub fn read_counts(&self) -> &ReadCounts {
        &self.place.read_counts
    }

    /// How long this process waited for the lock of this store.
    #[must_use]
    pub fn waits(&self) -> &Waits {
        &self.place.waits
    }

    /// How this store's batches went so far.
    #[must_use]
    pub fn commit_counts(&self) -> &CommitCounts {
        &self.group.counts
    }

    /// How often lookups were answered from memory, and what that takes.
    #[must_use]
    pub fn hit_counts(&self) -> HitCounts {
        self.hits.counts()
    }

    /// May records be written?
    #[must_use]
    pub fn writes_allowed(&self) -> bool {
        self.writes_allowed
    }

    /// How the store's kind of node differs from this one, a line for each difference; `None` where it does not, or
    /// where the caller allowed it.
    #[must_use]
    pub fn cpu_mismatch(&self) -> Option<&str> {
        self.cpu_mismatch.as_deref()
    }
}

/// Called between the pieces of a long read: lets the caller stop it, and shows waiters that it is alive.
fn between(snapshot: &Snapshot<'_>, interrupt: &dyn Interrupt) -> Result<()> {
    if interrupt.pending() {
        return Err(Error::Interrupted);
    }
    snapshot.renew()
}
