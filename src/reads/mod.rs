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

use self::lock_free::Accepted;
use crate::error::Result;
use crate::identity::HexDigest;
use crate::lock::{self, Interrupt, Place, Tenure};
use crate::storage::{connection, records};

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

/// Do short reads of the store at `place` go without the lock?
pub(crate) fn are_lock_free(place: &Place, mode: ReadMode) -> bool {
    mode == ReadMode::Validated || (mode == ReadMode::Shared && place.coherent && lock::is_sealed(place))
}

/// The records under `keys`, from `hits` or from the store.
///
/// # Errors
///
/// Those of [`read`]; [`Error::CorruptRecord`](crate::Error::CorruptRecord).
pub(crate) fn find(
    place: &Place,
    hits: &Hits,
    mode: ReadMode,
    interrupt: &dyn Interrupt,
    keys: &[HexDigest],
) -> Result<Vec<Option<Arc<Hit>>>> {
    let get = |connection: &Connection, key: &HexDigest| {
        records::get(connection, &place.db_path, key.as_str())?.map(Hit::of).transpose()
    };
    if mode != ReadMode::Shared || !place.coherent {
        return read(place, mode, interrupt, |snapshot| {
            keys.iter().map(|key| get(snapshot.connection, key)).collect()
        });
    }
    if let Some(found) = hits.all(place, keys)? {
        return Ok(found.into_iter().map(Some).collect());
    }
    let accepted = lock_free::read(place, interrupt, |connection, stamp| {
        let one = |key: &HexDigest| match hits.under(stamp, key) {
            Some(hit) => Ok(Some(hit)),
            None => get(connection, key),
        };
        let all = || keys.iter().map(one).collect::<Result<Vec<_>>>();
        if keys.len() > 1 { connection::in_one_read(connection, &place.db_path, all) } else { all() }
    })?;
    let Some(Accepted { value: found, stamp, sequence }) = accepted else {
        return in_tenure(place, interrupt, |snapshot| {
            keys.iter().map(|key| get(snapshot.connection, key)).collect()
        });
    };
    hits.accept(stamp, &sequence);
    for (key, hit) in keys.iter().zip(&found) {
        if let Some(hit) = hit {
            hits.put(stamp, *key, hit);
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
        let accepted =
            lock_free::read(place, interrupt, |connection, _| work(&Snapshot { connection, tenure: None }))?;
        if let Some(accepted) = accepted {
            return Ok(accepted.value);
        }
    }
    match mode {
        ReadMode::Shared | ReadMode::Locked => in_tenure(place, interrupt, work),
        ReadMode::Validated => {
            validated::read(place, interrupt, |connection| work(&Snapshot { connection, tenure: None }))
        }
    }
}

/// Runs `work` on one consistent state of the store, if that can be had at once and without the lock.
///
/// # Errors
///
/// Those of the lock, of SQLite, and of `work`.
pub(crate) fn glance<T>(place: &Place, work: impl FnMut(&Connection) -> Result<T>) -> Result<Option<T>> {
    if place.coherent { lock_free::glance(place, work) } else { Ok(None) }
}

fn in_tenure<T>(
    place: &Place,
    interrupt: &dyn Interrupt,
    mut work: impl FnMut(&Snapshot<'_>) -> Result<T>,
) -> Result<T> {
    place.read_counts.locked.fetch_add(1, Ordering::Relaxed);
    lock::read(place, interrupt, |tenure| {
        work(&Snapshot { connection: tenure.connection(), tenure: Some(tenure) })
    })
}
