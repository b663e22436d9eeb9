//! The claims: who measures which pair just now, or failed to, and since when which node has seen that.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{column, schema};
use crate::error::{Error, Result};

/// A claim as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredClaim {
    /// Key of the record that is to come.
    pub(crate) key: String,
    /// Tells this claim from every other one of all times.
    pub(crate) id: String,
    /// How often it was renewed.
    pub(crate) beat: i64,
    /// Milliseconds without a renewal after which it is given up.
    pub(crate) lease_ms: i64,
    /// The process that has it, as the lock prints an owner.
    pub(crate) owner: String,
    pub(crate) username: String,
    pub(crate) program_name: String,
    /// Normal form.
    pub(crate) schedule: String,
    /// Why the measurement failed. Such a claim is nobody's.
    pub(crate) failure: Option<String>,
    /// Since when the observer that asks has seen this beat, in milliseconds of its own clock.
    pub(crate) seen_since_ms: Option<i64>,
}

const SELECT: &str =
    "SELECT c.key, c.claim, c.beat, c.lease_ms, c.owner, c.username, c.program_name, c.schedule,
                             c.failure, o.since_ms
                      FROM claims c LEFT JOIN claim_observations o
                        ON o.key = c.key AND o.claim = c.claim AND o.beat = c.beat AND o.observer = ?1";

impl StoredClaim {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: column::text(row, 0)?,
            id: column::text(row, 1)?,
            beat: row.get(2)?,
            lease_ms: row.get(3)?,
            owner: column::text(row, 4)?,
            username: column::text(row, 5)?,
            program_name: column::text(row, 6)?,
            schedule: column::text(row, 7)?,
            failure: row.get(8)?,
            seen_since_ms: row.get(9)?,
        })
    }
}

/// The claim on the record `key`, with what `observer` has seen of it. A store that only the original has written has
/// none.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn get(
    connection: &Connection,
    path: &Path,
    key: &str,
    observer: &str,
) -> Result<Option<StoredClaim>> {
    if !schema::has_additions(connection, path)? {
        return Ok(None);
    }
    connection
        .prepare_cached(&format!("{SELECT} WHERE c.key = ?2"))
        .and_then(|mut select| select.query_row([observer, key], StoredClaim::from_row).optional())
        .map_err(Error::sqlite(path, "reading a claim"))
}

/// All claims, in the order in which they were made.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn all(connection: &Connection, path: &Path, observer: &str) -> Result<Vec<StoredClaim>> {
    if !schema::has_additions(connection, path)? {
        return Ok(Vec::new());
    }
    connection
        .prepare_cached(&format!("{SELECT} ORDER BY c.rowid"))
        .and_then(|mut select| select.query_map([observer], StoredClaim::from_row)?.collect())
        .map_err(Error::sqlite(path, "reading claims"))
}

/// Makes a claim, in the place of one on the same record.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn put(connection: &Connection, path: &Path, claim: &StoredClaim) -> Result<()> {
    forget(connection, path, &claim.key)?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO claims (key, claim, beat, lease_ms, owner, username, program_name, schedule)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                claim.key,
                claim.id,
                claim.beat,
                claim.lease_ms,
                claim.owner,
                claim.username,
                claim.program_name,
                claim.schedule,
            ])
        })
        .map(|_| ())
        .map_err(Error::sqlite(path, "making a claim"))
}

/// Renews the claim `id`. Answers its new beat; `None` if it is lost.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn renew(connection: &Connection, path: &Path, key: &str, id: &str) -> Result<Option<i64>> {
    let failed = |error| Error::sqlite(path, "renewing a claim")(error);
    let renewed = connection
        .prepare_cached("UPDATE claims SET beat = beat + 1 WHERE key = ?1 AND claim = ?2 AND failure IS NULL")
        .and_then(|mut update| update.execute([key, id]))
        .map_err(failed)?;
    if renewed == 0 {
        return Ok(None);
    }
    forget(connection, path, key)?;
    connection
        .prepare_cached("SELECT beat FROM claims WHERE key = ?1")
        .and_then(|mut select| select.query_row([key], |row| row.get(0)))
        .map(Some)
        .map_err(failed)
}

/// Ends the claim `id` with what its owner says went wrong. `false` if it is lost.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn fail(connection: &Connection, path: &Path, key: &str, id: &str, message: &str) -> Result<bool> {
    connection
        .prepare_cached("UPDATE claims SET failure = ?3 WHERE key = ?1 AND claim = ?2")
        .and_then(|mut update| update.execute([key, id, message]))
        .map(|changed| changed > 0)
        .map_err(Error::sqlite(path, "noting a failure"))
}

/// Removes the claim `id`. `false` if it is lost.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn remove(connection: &Connection, path: &Path, key: &str, id: &str) -> Result<bool> {
    let removed = connection
        .prepare_cached("DELETE FROM claims WHERE key = ?1 AND claim = ?2 AND failure IS NULL")
        .and_then(|mut delete| delete.execute([key, id]))
        .map_err(Error::sqlite(path, "ending a claim"))?;
    if removed > 0 {
        forget(connection, path, key)?;
    }
    Ok(removed > 0)
}

/// Notes that `observer` sees this beat of the claim `id`, since `since_ms` of its clock.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn observe(
    connection: &Connection,
    path: &Path,
    (key, id, beat): (&str, &str, i64),
    observer: &str,
    since_ms: i64,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO claim_observations (key, observer, claim, beat, since_ms)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .and_then(|mut insert| insert.execute(params![key, observer, id, beat, since_ms]))
        .map(|_| ())
        .map_err(Error::sqlite(path, "noting a look at a claim"))
}

/// Forgets that measuring `key` has failed: it is recorded now, or is to be measured anew.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(super) fn forget_failure(connection: &Connection, path: &Path, key: &str) -> Result<()> {
    let ended = match connection.prepare_cached("DELETE FROM claims WHERE key = ?1 AND failure IS NOT NULL") {
        // A table of this name that is another program's has no failures: records are written all the same.
        Err(rusqlite::Error::SqlInputError { .. }) => Ok(0),
        prepared => prepared.and_then(|mut delete| delete.execute([key])),
    };
    ended
        .map_err(Error::sqlite(path, "ending a claim"))
        .and_then(|ended| if ended > 0 { forget(connection, path, key) } else { Ok(()) })
}

/// Removes what was seen of an earlier state of the claim on `key`.
fn forget(connection: &Connection, path: &Path, key: &str) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM claim_observations WHERE key = ?1")
        .and_then(|mut delete| delete.execute([key]))
        .map(|_| ())
        .map_err(Error::sqlite(path, "forgetting looks at a claim"))
}
