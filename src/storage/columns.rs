//! Reading many records: which rows, found by an index where one serves, and what belongs to them in other tables.

use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::records::COLUMN_NAMES;
use super::{column, environments, schema};
use crate::error::{Error, Result};

/// A row of the table of records, as it is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) rowid: i64,
    pub(crate) key: &'a str,
    pub(crate) program_hash: &'a str,
    pub(crate) schedule: &'a str,
    pub(crate) result_json: &'a str,
    pub(crate) hostname: &'a str,
    pub(crate) username: &'a str,
    pub(crate) creation_date: &'a str,
    pub(crate) update_date: &'a str,
    pub(crate) source_project: &'a str,
}

/// A row of which a column holds no text.
#[derive(Debug)]
pub(crate) struct NoText {
    pub(crate) rowid: i64,
    pub(crate) key: String,
    pub(crate) column: &'static str,
}

/// Which rows to read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rows<'a> {
    /// Those behind this rowid, in their order, and at most so many.
    Behind(i64, Option<usize>),
    /// These, in this order.
    Listed(&'a [i64]),
}

/// A statement gets so many numbers of rows, so that their text stays small.
const LISTED_AT_ONCE: usize = 4096;

/// Calls `visit` for every row until it breaks.
pub(crate) fn each(
    connection: &Connection,
    path: &Path,
    rows: Rows<'_>,
    mut visit: impl FnMut(std::result::Result<Stored<'_>, NoText>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let failed = |error| Error::sqlite(path, "reading records")(error);
    let columns = COLUMN_NAMES.join(", ");
    match rows {
        Rows::Behind(rowid, limit) => {
            let sql =
                format!("SELECT rowid, {columns} FROM records WHERE rowid > ?1 ORDER BY rowid LIMIT ?2");
            let limit = limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
            let mut select = connection.prepare(&sql).map_err(failed)?;
            let mut found = select.query([rowid, limit]).map_err(failed)?;
            while let Some(row) = found.next().map_err(failed)? {
                if visit(stored(row).map_err(failed)?)?.is_break() {
                    return Ok(());
                }
            }
        }
        Rows::Listed(rowids) => {
            // One statement for many, whose cursor goes on from row to row: most are neighbours.
            let columns = COLUMN_NAMES.map(|name| format!("records.{name}")).join(", ");
            let sql = format!(
                "SELECT records.rowid, {columns} FROM json_each(?1) AS listed CROSS JOIN records \
                 ON records.rowid = listed.value"
            );
            let mut select = connection.prepare(&sql).map_err(failed)?;
            for some in rowids.chunks(LISTED_AT_ONCE) {
                let mut found = select.query([serde_json::json!(some).to_string()]).map_err(failed)?;
                while let Some(row) = found.next().map_err(failed)? {
                    if visit(stored(row).map_err(failed)?)?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}

fn stored<'a>(row: &'a Row<'_>) -> rusqlite::Result<std::result::Result<Stored<'a>, NoText>> {
    let rowid = row.get(0)?;
    let mut texts = [""; COLUMN_NAMES.len()];
    for (index, text) in texts.iter_mut().enumerate() {
        match row.get_ref(index + 1)?.as_str() {
            Ok(found) => *text = found,
            Err(_) => {
                return Ok(Err(NoText { rowid, key: column::text(row, 1)?, column: COLUMN_NAMES[index] }));
            }
        }
    }
    let [
        key,
        program_hash,
        schedule,
        result_json,
        hostname,
        username,
        creation_date,
        update_date,
        source_project,
    ] = texts;
    Ok(Ok(Stored {
        rowid,
        key,
        program_hash,
        schedule,
        result_json,
        hostname,
        username,
        creation_date,
        update_date,
        source_project,
    }))
}

/// Rows among which all that are wanted are: an index finds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Narrow {
    /// No index serves.
    Everything,
    /// With one of these keys.
    Keys(Vec<String>),
    /// Of the programs with these hashes.
    Programs(Vec<String>),
    /// Of the programs with these first names.
    Named(Vec<String>),
    /// With a creation date whose text is not before the first and before the second.
    Created(String, String),
}

impl Narrow {
    fn condition(&self) -> String {
        match self {
            Self::Everything => "1".to_owned(),
            Self::Keys(keys) => format!("key IN ({})", placeholders(keys)),
            Self::Programs(hashes) => format!("program_hash IN ({})", placeholders(hashes)),
            Self::Named(names) => format!(
                "program_hash IN (SELECT program_hash FROM programs WHERE program_name IN ({}))",
                placeholders(names)
            ),
            Self::Created(..) => "creation_date >= ? AND creation_date < ?".to_owned(),
        }
    }

    fn values(&self) -> Vec<&str> {
        match self {
            Self::Everything => Vec::new(),
            Self::Keys(texts) | Self::Programs(texts) | Self::Named(texts) => {
                texts.iter().map(String::as_str).collect()
            }
            Self::Created(from, until) => vec![from, until],
        }
    }

    /// The statement that finds the rows.
    fn sql(&self) -> String {
        format!("SELECT rowid FROM records WHERE {}", self.condition())
    }
}

fn placeholders(values: &[String]) -> String {
    vec!["?"; values.len()].join(", ")
}

/// The rows that an index finds, in the order in which they were recorded; `None` where none serves.
pub(crate) fn narrowed(connection: &Connection, path: &Path, narrow: &Narrow) -> Result<Option<Vec<i64>>> {
    if *narrow == Narrow::Everything {
        return Ok(None);
    }
    let mut rowids: Vec<i64> = connection
        .prepare(&narrow.sql())
        .and_then(|mut select| {
            select.query_map(params_from_iter(narrow.values()), |row| row.get(0))?.collect()
        })
        .map_err(Error::sqlite(path, "finding records"))?;
    rowids.sort_unstable();
    Ok(Some(rowids))
}

/// What SQLite does to find these rows, a line for each step.
pub(crate) fn plan(connection: &Connection, path: &Path, narrow: &Narrow) -> Result<Vec<String>> {
    let sql = match narrow {
        Narrow::Everything => {
            format!("SELECT {} FROM records WHERE rowid > 0 ORDER BY rowid", COLUMN_NAMES.join(", "))
        }
        other => other.sql(),
    };
    connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .and_then(|mut select| {
            select.query_map(params_from_iter(narrow.values()), |row| column::text(row, 3))?.collect()
        })
        .map_err(Error::sqlite(path, "planning a search"))
}

/// What records show of their program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProgramOf {
    /// Its first name.
    pub(crate) name: String,
    /// Its source, where that was asked for.
    pub(crate) source: Option<String>,
    /// A column that holds no text.
    pub(crate) damaged_column: Option<&'static str>,
}

/// The program with this hash.
pub(crate) fn program(
    connection: &Connection,
    path: &Path,
    program_hash: &str,
    with_source: bool,
) -> Result<Option<ProgramOf>> {
    let source = if with_source { "source_code" } else { "NULL" };
    connection
        .prepare_cached(&format!("SELECT program_name, {source} FROM programs WHERE program_hash = ?1"))
        .and_then(|mut select| {
            let found = select.query_row([program_hash], |row| {
                let damaged =
                    [(0, "program_name"), (1, "source_code")].into_iter().take(1 + usize::from(with_source));
                let mut damaged_column = None;
                for (index, name) in damaged {
                    if !column::is_text(row, index)? {
                        damaged_column.get_or_insert(name);
                    }
                }
                let source = with_source.then(|| column::text(row, 1)).transpose()?;
                Ok(ProgramOf { name: column::text(row, 0)?, source, damaged_column })
            });
            found.optional()
        })
        .map_err(Error::sqlite(path, "reading a program"))
}

/// The result under `key`, if that is the record of the program without a schedule.
pub(crate) fn unscheduled(
    connection: &Connection,
    path: &Path,
    key: &str,
    program_hash: &str,
) -> Result<Option<String>> {
    connection
        .prepare_cached(
            "SELECT result_json FROM records WHERE key = ?1 AND program_hash = ?2 AND schedule = ''",
        )
        .and_then(|mut select| select.query_row([key, program_hash], |row| column::text(row, 0)).optional())
        .map_err(Error::sqlite(path, "looking a record up"))
}

/// The environment with this number, as JSON; a store may lack it, and the table.
pub(crate) fn environment(connection: &Connection, path: &Path, number: i64) -> Result<Option<String>> {
    if !schema::has_additions(connection, path)? {
        return Ok(None);
    }
    environments::get(connection, path, number)
}
