//! How lookups reach the database: under the lock, or, where the directory may not be written, without it and
//! validated afterwards.

mod validated;

use rusqlite::Connection;

use crate::error::Result;
use crate::lock::{self, Access, Interrupt, Place, Tenure};

/// How a store is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadMode {
    /// In a tenure of its own: what the hard-link protocol asks for.
    Locked,
    /// Without any trace in the directory; accepted only if nobody wrote meanwhile.
    Validated,
}

/// A consistent state of the database, for the length of one read.
pub struct Snapshot<'a> {
    connection: &'a Connection,
    tenure: Option<&'a Tenure>,
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
    match mode {
        ReadMode::Locked => lock::run(place, Access::Read, interrupt, |tenure| {
            work(&Snapshot { connection: tenure.connection(), tenure: Some(tenure) })
        }),
        ReadMode::Validated => {
            validated::read(place, interrupt, |connection| work(&Snapshot { connection, tenure: None }))
        }
    }
}
