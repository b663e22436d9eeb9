//! Which batches were committed: asked when a tenure ended without a word on its transaction.
//!
//! A process numbers its batches and repeats one whose outcome it does not know under the same number. The number of
//! its last one stands in the same transaction as what it wrote, so that a batch is applied exactly once.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::{Error, Result};

/// Processes whose last batch is remembered.
const REMEMBERED: i64 = 100_000;

/// One batch of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) client: String,
    pub(crate) number: u64,
}

/// The answer that `batch` had, if it was committed.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn answer(connection: &Connection, path: &Path, batch: &Batch) -> Result<Option<i64>> {
    if crate::mutation::off("applied") {
        return Ok(None);
    }
    connection
        .prepare_cached("SELECT answer FROM applied WHERE client = ?1 AND number = ?2")
        .and_then(|mut select| {
            select.query_row(params![batch.client, batch.number], |row| row.get(0)).optional()
        })
        .map_err(Error::sqlite(path, "asking whether a batch was committed"))
}

/// Notes, in the running transaction, that `batch` is part of it.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn note(connection: &Connection, path: &Path, batch: &Batch, answer: i64) -> Result<()> {
    let failed = |error| Error::sqlite(path, "noting a batch")(error);
    let known = connection
        .prepare_cached("UPDATE applied SET number = ?2, answer = ?3 WHERE client = ?1")
        .and_then(|mut update| update.execute(params![batch.client, batch.number, answer]))
        .map_err(failed)?;
    if known > 0 {
        return Ok(());
    }
    connection
        .prepare_cached("INSERT INTO applied (client, number, answer) VALUES (?1, ?2, ?3)")
        .and_then(|mut insert| insert.execute(params![batch.client, batch.number, answer]))
        .map_err(failed)?;
    // A row keeps its rowid when it is updated, so the oldest processes go first.
    connection
        .prepare_cached("DELETE FROM applied WHERE rowid <= ?1")
        .and_then(|mut delete| delete.execute([connection.last_insert_rowid() - REMEMBERED]))
        .map(|_| ())
        .map_err(failed)
}
