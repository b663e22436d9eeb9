//! How lookups reach the database: without the lock and validated afterwards, or under it.
//!
//! A sealed store on a coherent file system is read without the lock (`lock_free`), and so is any store in a directory
//! that may not be written (`validated`). Everywhere else, and where a read takes long, it is a tenure.

mod hits;
mod lock_free;
mod validated;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::Connection;

use self::hits::Stamp;
use crate::error::Result;
use crate::identity::HexDigest;
use crate::lock::{self, Interrupt, Place, Tenure};
use crate::storage::records;

pub(crate) use hits::Hits;
pub use hits::{Hit, HitCounts};

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
    stamp: Option<Stamp>,
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

/// The records under `keys`, from what this process remembers of the store or from the store.
///
/// # Errors
///
/// Those of [`read`]; [`Error::CorruptRecord`](crate::Error::CorruptRecord).
pub fn find(
    place: &Place,
    mode: ReadMode,
    interrupt: &dyn Interrupt,
    keys: &[HexDigest],
) -> Result<Vec<Option<Arc<Hit>>>> {
    if mode == ReadMode::Shared
        && let Some(hits) = place.hits.all(place, keys)?
    {
        return Ok(hits.into_iter().map(Some).collect());
    }
    let (stamp, found) = read(place, mode, interrupt, |snapshot| {
        let one = |key: &HexDigest| match snapshot.stamp.and_then(|stamp| place.hits.under(stamp, key)) {
            Some(hit) => Ok(Some(hit)),
            None => records::get(snapshot.connection, &place.db_path, key.as_str())?.map(Hit::of).transpose(),
        };
        Ok((snapshot.stamp, keys.iter().map(one).collect::<Result<Vec<_>>>()?))
    })?;
    if let Some(stamp) = stamp {
        for (key, hit) in keys.iter().zip(&found) {
            if let Some(hit) = hit {
                place.hits.put(stamp, *key, hit);
            }
        }
    }
    Ok(found)
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
        let found = lock_free::read(place, interrupt, |connection, stamp| {
            work(&Snapshot { connection, tenure: None, stamp: Some(stamp) })
        })?;
        if let Some(found) = found {
            return Ok(found);
        }
    }
    match mode {
        ReadMode::Shared | ReadMode::Locked => {
            place.read_counts.locked.fetch_add(1, Ordering::Relaxed);
            lock::read(place, interrupt, |tenure| {
                work(&Snapshot { connection: tenure.connection(), tenure: Some(tenure), stamp: None })
            })
        }
        ReadMode::Validated => validated::read(place, interrupt, |connection| {
            work(&Snapshot { connection, tenure: None, stamp: None })
        }),
    }
}
