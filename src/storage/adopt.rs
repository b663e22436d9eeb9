//! Records that were made elsewhere: they keep the host, user, dates, project and environment that they were made with.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, params};

use super::claims;
use super::environments::Named;
use super::records::{NewRecord, Recorder};
use super::summary::Verdict;
use super::tally::{Counts, Kind};
use crate::error::{Error, Result};

/// Where a record comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Host, user, project and environment.
    pub recorder: Recorder,
    /// When it was first recorded, UTC, ISO 8601.
    pub creation_date: String,
    /// When it was last overwritten.
    pub update_date: String,
}

/// A run that a record has superseded, or that was appended beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// The result as JSON.
    pub result_json: String,
    /// Host, user, project and environment.
    pub recorder: Recorder,
    /// When it was recorded.
    pub date: String,
}

/// Writes a record with its history where there is none under its key. `true` if it wrote, and `counts` has what that
/// changes of the numbers of records.
///
/// # Errors
///
/// [`Error::UnknownProgram`] where the program is not stored, [`Error::Sqlite`].
pub(crate) fn put(
    connection: &Connection,
    path: &Path,
    record: &NewRecord<'_>,
    origin: &Origin,
    history: &[Past],
    counts: &mut Counts,
) -> Result<bool> {
    let Recorder { hostname, username, source_project, environment } = &origin.recorder;
    let named = Named::new(environment.as_deref());
    let values = params![
        record.key,
        record.program_hash,
        record.schedule,
        named.in_result(connection, path, record.result_json)?,
        hostname,
        username,
        origin.creation_date,
        origin.update_date,
        source_project,
    ];
    let sql = "INSERT INTO records (key, program_hash, schedule, result_json, hostname, username,
                                    creation_date, update_date, source_project)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (key) DO NOTHING";
    match connection.prepare_cached(sql).and_then(|mut insert| insert.execute(values)) {
        Ok(0) => return Ok(false),
        Ok(_) => {}
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            return Err(Error::UnknownProgram(record.program_hash.to_owned()));
        }
        Err(error) => return Err(Error::sqlite(path, "writing a record")(error)),
    }
    claims::forget_failure(connection, path, record.key)?;
    let verdict = Verdict::of(Some(record.result_json));
    let kind = Kind { source_project: source_project.clone(), username: username.clone(), verdict };
    *counts.entry(kind).or_default() += 1;
    for past in history {
        put_past(connection, path, record.key, past)?;
    }
    Ok(true)
}

fn put_past(connection: &Connection, path: &Path, key: &str, past: &Past) -> Result<()> {
    let Recorder { hostname, username, source_project, environment } = &past.recorder;
    let result_json =
        Named::new(environment.as_deref()).in_result(connection, path, &past.result_json)?.into_owned();
    connection
        .prepare_cached(
            "INSERT INTO runs (key, result_json, hostname, username, date, source_project)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .and_then(|mut insert| {
            insert.execute(params![key, result_json, hostname, username, past.date, source_project])
        })
        .map(|_| ())
        .map_err(Error::sqlite(path, "writing a run"))
}
