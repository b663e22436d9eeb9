//! Which batches were committed: asked when a tenure ended without a word on its transaction.
//!
//! A thread numbers its batches and repeats one whose outcome it does not know under the same number. The number of
//! its last one stands in the same transaction as what it wrote, so that a batch is applied exactly once.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::{Error, Result};

/// Clients whose last batch is remembered.
const REMEMBERED: i64 = 100_000;

/// One batch of one client.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BatchId {
    client: String,
    number: u64,
}

impl BatchId {
    pub(crate) fn new(client: String, number: u64) -> Self {
        Self { client, number }
    }

    /// Batches of one process in the order in which they were made.
    pub(crate) fn order(&self) -> (&str, u64) {
        (self.client.split('-').next().unwrap_or_default(), self.number)
    }

    /// Reads what [`Display`] has written.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (client, number) = text.split_once('.')?;
        let known = client.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        (known && !client.is_empty()).then_some(())?;
        Some(Self { client: client.to_owned(), number: number.parse().ok()? })
    }
}

impl Display for BatchId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.client, self.number)
    }
}

/// What the store knows of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing.
    New,
    /// It was committed, with this answer.
    Committed(i64),
    /// A later one of its client was: nobody waits for this one any more.
    Past,
}

/// What the store knows of `batch`.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn known(connection: &Connection, path: &Path, batch: &BatchId) -> Result<Known> {
    if crate::mutation::off("applied") {
        return Ok(Known::New);
    }
    let last: Option<(u64, i64)> = connection
        .prepare_cached("SELECT number, answer FROM applied WHERE client = ?1")
        .and_then(|mut select| {
            select.query_row([&batch.client], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(Error::sqlite(path, "asking whether a batch was committed"))?;
    Ok(match last {
        Some((number, answer)) if number == batch.number => Known::Committed(answer),
        Some((number, _)) if number > batch.number => Known::Past,
        _ => Known::New,
    })
}

/// Notes, in the running transaction, that `batch` is part of it.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn note(connection: &Connection, path: &Path, batch: &BatchId, answer: i64) -> Result<()> {
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
    // A row keeps its rowid when it is updated, so the oldest clients go first.
    connection
        .prepare_cached("DELETE FROM applied WHERE rowid <= ?1")
        .and_then(|mut delete| delete.execute([connection.last_insert_rowid() - REMEMBERED]))
        .map(|_| ())
        .map_err(failed)
}
