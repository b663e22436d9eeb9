//! How lookups reach the database: without the lock and validated afterwards, or under it.
//!
//! A sealed store on a coherent file system is read without the lock (`lock_free`), and so is any store in a directory
//! that may not be written (`validated`). Everywhere else, and where a read takes long, it is a tenure.

mod lock_free;
mod validated;

use std::sync::atomic::Ordering;

use rusqlite::Connection;

use crate::error::Result;
use crate::lock::{self, Interrupt, Place, Tenure};

/// How a store is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadMode {
    /// Without the lock where that is safe, else in a tenure of its own.
    Shared,
    /// In a tenure of its own: for reads that take long, which a writer would send back again and again.
    Locked,
    /// Without any trace in the directory; accepted only if nobody wrote meanwhile.
    Validated,
}

/// A consistent state of the database, for the length of one read.
pub struct Snapshot<'a> {
    connection: &'a Connection,
    tenure: Option<&'a Tenure<'a>>,
}

impl Snapshot<'_> {
    /// The open database.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        self.connection
    }

    /// Long reads call this between their pieces, see [`Tenure::renew`].
    ///
    /// # Errors
    ///
    /// Those of [`Tenure::renew`].
    pub fn renew(&self) -> Result<()> {
        self.tenure.map_or(Ok(()), Tenure::renew)
    }
}

/// Runs `work` on one consistent state of the store. It may run more than once: only the last result counts.
///
/// # Errors
///
/// Those of the lock, of SQLite, and of `work`.
pub fn read<T>(
    place: &Place,
    mode: ReadMode,
    interrupt: &dyn Interrupt,
    mut work: impl FnMut(&Snapshot<'_>) -> Result<T>,
) -> Result<T> {
    if mode == ReadMode::Shared && place.coherent {
        let found =
            lock_free::read(place, interrupt, |connection| work(&Snapshot { connection, tenure: None }))?;
        if let Some(found) = found {
            return Ok(found);
        }
    }
    match mode {
        ReadMode::Shared | ReadMode::Locked => {
            place.read_counts.locked.fetch_add(1, Ordering::Relaxed);
            lock::read(place, interrupt, |tenure| {
                work(&Snapshot { connection: tenure.connection(), tenure: Some(tenure) })
            })
        }
        ReadMode::Validated => {
            validated::read(place, interrupt, |connection| work(&Snapshot { connection, tenure: None }))
        }
    }
}
