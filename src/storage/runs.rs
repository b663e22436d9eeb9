//! All runs of a schedule: the record, which lookups find, and in the table `runs` what it has superseded and what was
//! appended beside it. Nothing there is ever changed; it goes when its record is deleted.

use std::path::Path;

use rusqlite::{Connection, Row, params};
use serde_json::{Map, Value};

use super::records::{self, Record, Recorder};
use super::{environments, result_json, schema};
use crate::clock;
use crate::error::{Error, Result};
use crate::mutation;

/// One run of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// It as a record; both dates are those of the run.
    pub record: Record,
    /// Where it was made; `None`: nobody has said.
    pub environment: Option<Map<String, Value>>,
    /// Is it what a lookup finds?
    pub is_current: bool,
}

/// Puts the record under `key`, which is about to be replaced, into the history. Damage is no run: a store is whole again
/// when what was damaged is measured again.
pub(super) fn keep_current(connection: &Connection, path: &Path, key: &str) -> Result<()> {
    let is_run = records::get(connection, path, key)?.is_some_and(|record| record.outcome().is_ok());
    if !is_run || mutation::off("overwrite-keeps-history") {
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO runs (key, result_json, hostname, username, date, source_project)
             SELECT key, result_json, hostname, username, update_date, source_project FROM records WHERE key = ?1",
        )
        .and_then(|mut insert| insert.execute([key]))
        .map(|_| ())
        .map_err(Error::sqlite(path, "keeping a run"))
}

/// Puts a run beside the record under its key.
pub(super) fn append(
    connection: &Connection,
    path: &Path,
    recorder: &Recorder,
    key: &str,
    result_json: &str,
) -> Result<()> {
    let Recorder { hostname, username, source_project, .. } = recorder;
    let values = params![key, result_json, hostname, username, clock::now_iso(), source_project];
    connection
        .prepare_cached(
            "INSERT INTO runs (key, result_json, hostname, username, date, source_project)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .and_then(|mut insert| insert.execute(values))
        .map(|_| ())
        .map_err(Error::sqlite(path, "appending a run"))
}

/// Forgets the history of the record under `key`.
pub(super) fn delete(connection: &Connection, path: &Path, key: &str) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM runs WHERE key = ?1")
        .and_then(|mut delete| delete.execute([key]))
        .map(|_| ())
        .map_err(Error::sqlite(path, "deleting a history"))
}

/// Has any record a history? Needs the table.
pub(super) fn are_there(connection: &Connection, path: &Path) -> Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM runs")
        .and_then(|mut select| select.exists([]))
        .map_err(Error::sqlite(path, "looking for runs"))
}

/// All runs under `key` by their dates, oldest first.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn all(connection: &Connection, path: &Path, key: &str) -> Result<Vec<Run>> {
    let history = "SELECT r.key, c.program_hash, c.schedule, r.result_json, r.hostname, r.username,
                          r.date, r.date, r.source_project, 0, r.id
                   FROM runs r JOIN records c ON c.key = r.key WHERE r.key = ?1 UNION ALL";
    // A store that only the original has written has no history.
    let history = if schema::has_runs(connection, path)? { history } else { "" };
    let sql = format!(
        "{history} SELECT key, program_hash, schedule, result_json, hostname, username,
                          update_date, update_date, source_project, 1, rowid
                   FROM records WHERE key = ?1 ORDER BY 8, 10, 11"
    );
    let mut runs: Vec<Run> = connection
        .prepare_cached(&sql)
        .and_then(|mut select| select.query_map([key], from_row)?.collect())
        .map_err(Error::sqlite(path, "reading runs"))?;
    for run in &mut runs {
        if let Some(number) = result_json::environment(&run.record.result_json) {
            let text = environments::get(connection, path, number)?;
            run.environment = text.and_then(|text| serde_json::from_str(&text).ok());
        }
    }
    Ok(runs)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run { record: Record::from_row(row)?, environment: None, is_current: row.get(9)? })
}
