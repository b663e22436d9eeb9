//! Where a store is, how it is locked, and what this process keeps open of it.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::gate::Gate;
use super::hardlink::HardLink;
use super::kept::Kept;
use super::token::{Directory, Listing};
use super::waits::Waits;

/// Where a store is and how it is locked.
#[derive(Debug, Clone)]
pub struct Place {
    /// The database file, symbolic links resolved.
    pub db_path: PathBuf,
    /// How tenures of it exclude each other.
    pub locking: Locking,
    /// How long to wait for a tenure.
    pub lock_timeout: Duration,
    /// Keep the database open between tenures: only where every node sees what another has written at once.
    pub coherent: bool,
    /// What tenures keep open.
    pub(crate) kept: Arc<Kept>,
    /// What readers without the lock keep open.
    pub(crate) readers: Arc<Kept>,
    /// The lock directory, while it is kept open.
    pub(crate) listing: Arc<Listing>,
    /// See [`Place::gate`].
    pub(crate) gate: OnceLock<Gate>,
    /// How reads went.
    pub read_counts: Arc<ReadCounts>,
    /// How long tenures were waited for.
    pub waits: Arc<Waits>,
}

/// How many reads went which way, since the store was opened.
#[derive(Debug, Default)]
pub struct ReadCounts {
    /// Without the lock, accepted.
    pub accepted: AtomicU64,
    /// Attempts without the lock that somebody's writing spoilt.
    pub rejected: AtomicU64,
    /// In a tenure.
    pub locked: AtomicU64,
}

impl Place {
    /// The store at `db_path`, with nothing kept open.
    #[must_use]
    pub fn new(db_path: PathBuf, locking: Locking, lock_timeout: Duration, coherent: bool) -> Self {
        Self {
            db_path,
            locking,
            lock_timeout,
            coherent,
            kept: Arc::default(),
            readers: Arc::default(),
            listing: Arc::default(),
            gate: OnceLock::new(),
            read_counts: Arc::default(),
            waits: Arc::default(),
        }
    }

    /// Where the threads of this process wait for each other.
    pub(crate) fn gate(&self) -> Gate {
        *self.gate.get_or_init(|| Gate::of(&self.lock_path()))
    }

    /// Closes what is kept open.
    pub(crate) fn close_kept(&self) {
        self.kept.clear();
        self.readers.clear();
        self.listing.close();
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        super::lock_path(&self.db_path)
    }

    /// The lock directory of a sealed store; there may be none.
    pub(crate) fn directory(&self) -> Directory {
        let shared = match &self.locking {
            Locking::Here(lock) => lock.mode & 0o066 != 0,
            Locking::HeldByCaller => true,
        };
        let listing = Arc::clone(&self.listing);
        Directory { path: self.lock_path(), shared, coherent: self.coherent, listing }
    }
}

/// How tenures exclude each other.
#[derive(Debug, Clone)]
pub enum Locking {
    /// By what stands at the lock path: a directory is the token lock, a file or nothing this hard-link lock.
    Here(HardLink),
    /// The caller holds a hard-link lock already; nothing is locked here.
    HeldByCaller,
}
