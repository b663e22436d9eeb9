//! The records: one measurement of one schedule of one program.

use std::path::Path;
use std::sync::Arc;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};

use super::environments::Named;
use super::summary::Verdict;
use super::tally::{self, Counts, Kind};
use super::{claims, column, connection, result_json, runs};
use crate::clock;
use crate::error::{Error, Result};
use crate::identity::key;
use crate::measurement::{IfExists, Outcome};
use crate::mutation;

/// A stored measurement, undecoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// SHA-256 of program hash and schedule, 64 hexadecimal digits.
    pub key: String,
    /// The program that was scheduled.
    pub program_hash: String,
    /// The schedule's normal form.
    pub schedule: String,
    /// The result as JSON (`result_json`).
    pub result_json: String,
    /// Host it was recorded on.
    pub hostname: String,
    /// User who recorded it.
    pub username: String,
    /// When it was first recorded, UTC, ISO 8601.
    pub creation_date: String,
    /// When it was last overwritten.
    pub update_date: String,
    /// The project it was recorded for.
    pub source_project: String,
    /// A column that holds no text; it is shown as far as it can be.
    pub damaged_column: Option<&'static str>,
}

pub(super) const COLUMNS: &str = "r.key, r.program_hash, r.schedule, r.result_json, r.hostname, r.username, \
                       r.creation_date, r.update_date, r.source_project";

/// Their names, in that order.
pub(in crate::storage) const COLUMN_NAMES: [&str; 9] = [
    "key",
    "program_hash",
    "schedule",
    "result_json",
    "hostname",
    "username",
    "creation_date",
    "update_date",
    "source_project",
];

impl Record {
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let mut damaged_column = None;
        let mut column = |index: usize| -> rusqlite::Result<String> {
            let (text, is_text) = column::read(row, index)?;
            if !is_text {
                damaged_column.get_or_insert(COLUMN_NAMES[index]);
            }
            Ok(text)
        };
        Ok(Self {
            key: column(0)?,
            program_hash: column(1)?,
            schedule: column(2)?,
            result_json: column(3)?,
            hostname: column(4)?,
            username: column(5)?,
            creation_date: column(6)?,
            update_date: column(7)?,
            source_project: column(8)?,
            damaged_column,
        })
    }

    /// What was measured.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRecord`] where it cannot be decoded.
    pub fn outcome(&self) -> Result<Outcome> {
        let corrupt = |cause| Error::CorruptRecord { key: self.key.clone(), cause };
        if let Some(column) = self.damaged_column {
            return Err(corrupt(format!("its column {column} holds no text")));
        }
        // A key names program and schedule: a changed schedule would pass its times off as another one's.
        let of_normal = key::key_of_normal(&self.program_hash, &self.schedule);
        let names_another = of_normal.as_str() != self.key
            && key::make_key(&self.program_hash, &self.schedule).as_str() != self.key;
        if names_another && !mutation::off("read-checks-keys") {
            return Err(corrupt(
                "its program and schedule have another key: one of them was changed".to_owned(),
            ));
        }
        result_json::decode(&self.result_json).map_err(corrupt)
    }
}

/// A record together with its program's first name and source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordOfProgram {
    /// The record.
    pub record: Record,
    /// First name of its program.
    pub program_name: String,
    /// Source of its program.
    pub source_code: String,
    /// The program is not in the store: name and source are empty.
    pub is_orphan: bool,
    /// A column of the program that holds no text.
    pub damaged_program_column: Option<&'static str>,
}

impl RecordOfProgram {
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let is_orphan = row.get_ref(11)? == ValueRef::Null;
        let mut damaged_program_column = None;
        let mut column = |index: usize, name: &'static str| -> rusqlite::Result<String> {
            let (text, is_text) = column::read(row, index)?;
            if !is_orphan && !is_text {
                damaged_program_column.get_or_insert(name);
            }
            Ok(text)
        };
        let (program_name, source_code) = (column(9, "program_name")?, column(10, "source_code")?);
        Ok(Self {
            record: Record::from_row(row)?,
            is_orphan,
            damaged_program_column,
            program_name,
            source_code,
        })
    }

    /// This record, if nothing of it and its program would have to be made up.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRecord`] where a column holds no text, or the program is missing.
    pub fn whole(self) -> Result<Self> {
        let hash = &self.record.program_hash;
        let cause = match (self.record.damaged_column, self.damaged_program_column) {
            (Some(column), _) => format!("its column {column} holds no text"),
            (None, Some(column)) => format!("the column {column} of its program {hash} holds no text"),
            (None, None) if self.is_orphan => format!("its program {hash} is not in the store"),
            (None, None) => return Ok(self),
        };
        Err(Error::CorruptRecord { key: self.record.key, cause })
    }
}

/// Who records: what every row of one client has in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorder {
    /// Host name.
    pub hostname: String,
    /// User name.
    pub username: String,
    /// Project.
    pub source_project: String,
    /// Where it measures, as canonical JSON (`environments`).
    pub environment: Option<Arc<str>>,
}

/// A record to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord<'a> {
    /// Key of the record.
    pub key: &'a str,
    /// Hash of its program, which must be stored already.
    pub program_hash: &'a str,
    /// Normal form of the schedule.
    pub schedule: &'a str,
    /// The result as JSON.
    pub result_json: &'a str,
}

/// Writes a record, in the environment that `named` names. What becomes of one that is there is up to `if_exists`:
/// what is replaced goes into the history. `true` if it wrote, and `counts` has what that changes of the numbers of
/// records.
///
/// # Errors
///
/// [`Error::UnknownProgram`] where the program is not stored, [`Error::Sqlite`].
pub(crate) fn put(
    connection: &Connection,
    path: &Path,
    recorder: &Recorder,
    named: &Named<'_>,
    record: &NewRecord<'_>,
    if_exists: IfExists,
    counts: &mut Counts,
) -> Result<bool> {
    // No UPSERT: its DO UPDATE would renew creation_date's neighbours by name here and by position in the original.
    let insert = "INSERT INTO records (key, program_hash, schedule, result_json, hostname, username,
                                       creation_date, update_date, source_project)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)";
    let update = "UPDATE records SET program_hash = ?2, schedule = ?3, result_json = ?4, hostname = ?5,
                                     username = ?6, update_date = ?7, source_project = ?8
                  WHERE key = ?1";
    let exists = exists(connection, path, record.key)?;
    if exists && if_exists == IfExists::Keep {
        return Ok(false);
    }
    // It was measured: that this failed before is nobody's concern any more.
    claims::forget_failure(connection, path, record.key)?;
    let result_json = named.in_result(connection, path, record.result_json)?;
    let sql = match (exists, if_exists) {
        (false, _) => insert,
        (true, IfExists::Append) => {
            return runs::append(connection, path, recorder, record.key, &result_json).map(|()| true);
        }
        (true, _) => {
            runs::keep_current(connection, path, record.key)?;
            update
        }
    };
    if exists {
        count_out(connection, path, record.key, counts)?;
    }
    let Recorder { hostname, username, source_project, .. } = recorder;
    let verdict = Verdict::of(Some(record.result_json));
    let kind = Kind { source_project: source_project.clone(), username: username.clone(), verdict };
    *counts.entry(kind).or_default() += 1;
    let values = params![
        record.key,
        record.program_hash,
        record.schedule,
        result_json,
        hostname,
        username,
        clock::now_iso(),
        source_project,
    ];
    match connection.prepare_cached(sql).and_then(|mut statement| statement.execute(values)) {
        Ok(_) if sql == insert => Ok(true),
        Ok(_) => raise_epoch(connection, path).map(|()| true),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(Error::UnknownProgram(record.program_hash.to_owned()))
        }
        Err(error) => Err(Error::sqlite(path, "writing a record")(error)),
    }
}

/// Takes the record under `key`, which is about to go, out of the numbers of records.
fn count_out(connection: &Connection, path: &Path, key: &str, counts: &mut Counts) -> Result<()> {
    let kind = connection
        .prepare_cached("SELECT source_project, username, result_json FROM records WHERE key = ?1")
        .and_then(|mut select| select.query_row([key], tally::kind_of).optional())
        .map_err(Error::sqlite(path, "counting records"))?;
    if let Some(kind) = kind {
        *counts.entry(kind).or_default() -= 1;
    }
    Ok(())
}

/// What others remember of records may be gone.
fn raise_epoch(connection: &Connection, path: &Path) -> Result<()> {
    if mutation::off("raise-epoch") { Ok(()) } else { connection::raise_epoch(connection, path) }
}

/// Is there a record under `key`?
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn exists(connection: &Connection, path: &Path, key: &str) -> Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM records WHERE key = ?1")
        .and_then(|mut select| select.exists([key]))
        .map_err(Error::sqlite(path, "looking a record up"))
}

/// The record under `key`.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn get(connection: &Connection, path: &Path, key: &str) -> Result<Option<Record>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM records r WHERE r.key = ?1"))
        .and_then(|mut select| select.query_row([key], Record::from_row).optional())
        .map_err(Error::sqlite(path, "looking a record up"))
}

/// The record under `key` together with its program.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn get_with_program(connection: &Connection, path: &Path, key: &str) -> Result<Option<RecordOfProgram>> {
    connection
        .prepare_cached(&with_program("r.key = ?1"))
        .and_then(|mut select| select.query_row([key], RecordOfProgram::from_row).optional())
        .map_err(Error::sqlite(path, "looking a record up"))
}

/// All records of a program, oldest first.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn of_program(connection: &Connection, path: &Path, program_hash: &str) -> Result<Vec<RecordOfProgram>> {
    connection
        .prepare_cached(&with_program("r.program_hash = ?1"))
        .and_then(|mut select| select.query_map([program_hash], RecordOfProgram::from_row)?.collect())
        .map_err(Error::sqlite(path, "reading records"))
}

/// A LEFT JOIN: a record whose program is lost must not look as if it were not there.
fn with_program(condition: &str) -> String {
    format!(
        "SELECT {COLUMNS}, p.program_name, p.source_code, p.program_hash
         FROM records r LEFT JOIN programs p ON r.program_hash = p.program_hash
         WHERE {condition} ORDER BY r.creation_date, r.rowid"
    )
}

/// Removes a record and its history. `true` if it was there.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn delete(connection: &Connection, path: &Path, key: &str) -> Result<bool> {
    let mut counts = Counts::new();
    count_out(connection, path, key, &mut counts)?;
    tally::add(connection, path, &counts)?;
    let removed = connection
        .execute("DELETE FROM records WHERE key = ?1", [key])
        .map_err(Error::sqlite(path, "deleting a record"))?;
    if removed > 0 {
        runs::delete(connection, path, key)?;
        claims::forget_failure(connection, path, key)?;
        raise_epoch(connection, path)?;
    }
    Ok(removed > 0)
}

/// Number of records.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn count(connection: &Connection, path: &Path) -> Result<u64> {
    if let Some(counts) = tally::read(connection, path)? {
        return Ok(u64::try_from(counts.values().sum::<i64>()).unwrap_or_default());
    }
    connection
        .query_row("SELECT COUNT(*) FROM records", [], |row| row.get(0))
        .map_err(Error::sqlite(path, "counting records"))
}

/// Which keys to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Page<'a> {
    /// At most this many; 0 = all, and then `offset` is ignored, as the original does. Not negative.
    pub limit: i64,
    /// Leave this many out first.
    pub offset: i64,
    /// Begin behind this key. Costs the same for every page, unlike `offset`.
    pub after: Option<&'a str>,
}

/// Keys in the order in which the records were created.
///
/// # Errors
///
/// [`Error::InvalidArgument`] where `after` is not in the store, [`Error::Sqlite`].
pub fn keys(connection: &Connection, path: &Path, page: Page<'_>) -> Result<Vec<String>> {
    let failed = |error| Error::sqlite(path, "listing keys")(error);
    let (limit, offset) = if page.limit == 0 { (-1, 0) } else { (page.limit, page.offset) };
    let Some(after) = page.after else {
        return connection
            .prepare_cached("SELECT key FROM records ORDER BY creation_date, rowid LIMIT ?1 OFFSET ?2")
            .and_then(|mut select| {
                select.query_map(params![limit, offset], |row| column::text(row, 0))?.collect()
            })
            .map_err(failed);
    };
    let place: Option<(Value, i64)> = connection
        .query_row("SELECT creation_date, rowid FROM records WHERE key = ?1", [after], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
        .map_err(failed)?;
    let Some((date, rowid)) = place else {
        return Err(Error::InvalidArgument(format!("after: no record has the key {after}")));
    };
    connection
        .prepare_cached(
            "SELECT key FROM records WHERE (creation_date, rowid) > (?1, ?2)
             ORDER BY creation_date, rowid LIMIT ?3 OFFSET ?4",
        )
        .and_then(|mut select| {
            select.query_map(params![date, rowid, limit, offset], |row| column::text(row, 0))?.collect()
        })
        .map_err(failed)
}
