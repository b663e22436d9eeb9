//! How many records there are of each kind, kept by the transactions that write them: `count` and `stats` of a million
//! records read a few rows.
//!
//! The original's clients, and whoever else writes the file, know nothing of it. So the table says under which change
//! counter of the file it was right, and every transaction of ours that found it right says the next one. SQLite raises
//! the counter with every transaction of anybody: after one that did not count, the table is right under no counter
//! that the file will ever have, until it is counted anew.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::summary::Verdict;
use super::{column, connection as sqlite, schema};
use crate::error::{Error, Result};
use crate::mutation;

/// In the column of verdicts: not a kind of records, but the change counter under which all others are right.
const COUNTER: i64 = -1;

const ROWS_BETWEEN: u64 = 4096;

/// What is counted apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    pub(crate) source_project: String,
    pub(crate) username: String,
    pub(crate) verdict: Verdict,
}

/// Numbers of records by kind; in a running transaction, by how many they change.
pub(crate) type Counts = BTreeMap<Kind, i64>;

/// The counts, if they are right.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn read(connection: &Connection, path: &Path) -> Result<Option<Counts>> {
    if !is_right(connection, path)? {
        return Ok(None);
    }
    connection
        .prepare_cached(
            "SELECT source_project, username, verdict, records FROM tally WHERE verdict >= 0 AND records > 0",
        )
        .and_then(|mut select| {
            let kind = |row: &Row<'_>| {
                let verdict = Verdict::from_number(row.get(2)?);
                Ok((
                    Kind { source_project: column::text(row, 0)?, username: column::text(row, 1)?, verdict },
                    row.get(3)?,
                ))
            };
            select.query_map([], kind)?.collect::<rusqlite::Result<_>>()
        })
        .map(Some)
        .map_err(Error::sqlite(path, "reading the counts"))
}

/// Is the table there, and right?
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn is_right(connection: &Connection, path: &Path) -> Result<bool> {
    Ok(schema::has_additions(connection, path)? && right_under(connection, path)?.is_some())
}

/// The change counter of the file as it was before the running transaction, if the table, which is there, is right
/// under it.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn right_under(connection: &Connection, path: &Path) -> Result<Option<u32>> {
    let counter: Option<u32> = connection
        .prepare_cached("SELECT records FROM tally WHERE verdict = ?1")
        .and_then(|mut select| select.query_row([COUNTER], |row| row.get(0)).optional())
        .map_err(Error::sqlite(path, "reading the counts"))?;
    let found = sqlite::change_counter(connection, path)?;
    let is_right = |counter: &u32| *counter == found || mutation::off("tally-knows-the-counter");
    Ok(counter.filter(is_right).map(|_| found))
}

/// Says, in a transaction that began with the change counter `before`, that the table is right after it.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn vouch(connection: &Connection, path: &Path, before: u32) -> Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO tally VALUES ('', '', ?1, ?2)")
        .and_then(|mut replace| replace.execute(params![COUNTER, before.wrapping_add(1)]))
        .map(|_| ())
        .map_err(Error::sqlite(path, "counting records"))
}

/// Says that the table is right under no counter: one that is wrong now could be that of the file later, as the copies
/// that SQLite makes begin to count at 1.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn distrust(connection: &Connection, path: &Path) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM tally WHERE verdict = ?1")
        .and_then(|mut delete| delete.execute([COUNTER]))
        .map(|_| ())
        .map_err(Error::sqlite(path, "counting records"))
}

/// Adds `changes` to the table, in a running transaction.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn add(connection: &Connection, path: &Path, changes: &Counts) -> Result<()> {
    let failed = |error| Error::sqlite(path, "counting records")(error);
    let mut upsert = connection
        .prepare_cached(
            "INSERT INTO tally VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET records = records + excluded.records",
        )
        .map_err(failed)?;
    for (kind, change) in changes.iter().filter(|(_, change)| **change != 0) {
        let values = params![kind.source_project, kind.username, kind.verdict.number(), change];
        upsert.execute(values).map_err(failed)?;
    }
    Ok(())
}

/// Counts all records, in a running transaction. `between` is called after every few thousand rows.
///
/// # Errors
///
/// [`Error::Sqlite`] and those of `between`.
pub(crate) fn recount(
    connection: &Connection,
    path: &Path,
    between: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    let counts = scan(connection, path, between)?;
    connection.execute("DELETE FROM tally", []).map_err(Error::sqlite(path, "counting records"))?;
    add(connection, path, &counts)?;
    vouch(connection, path, sqlite::change_counter(connection, path)?)
}

/// Which kind a row of `source_project`, `username` and `result_json` is.
pub(super) fn kind_of(row: &Row<'_>) -> rusqlite::Result<Kind> {
    Ok(Kind {
        source_project: column::text(row, 0)?,
        username: column::text(row, 1)?,
        verdict: Verdict::of(row.get_ref(2)?.as_str().ok()),
    })
}

/// Counts all records without the table.
///
/// # Errors
///
/// [`Error::Sqlite`] and those of `between`.
pub(crate) fn scan(
    connection: &Connection,
    path: &Path,
    between: &mut dyn FnMut() -> Result<()>,
) -> Result<Counts> {
    let failed = |error| Error::sqlite(path, "reading records")(error);
    let mut counts = Counts::new();
    let mut select =
        connection.prepare("SELECT source_project, username, result_json FROM records").map_err(failed)?;
    let mut rows = select.query([]).map_err(failed)?;
    let mut seen: u64 = 0;
    while let Some(row) = rows.next().map_err(failed)? {
        *counts.entry(kind_of(row).map_err(failed)?).or_default() += 1;
        seen += 1;
        if seen.is_multiple_of(ROWS_BETWEEN) {
            between()?;
        }
    }
    Ok(counts)
}
