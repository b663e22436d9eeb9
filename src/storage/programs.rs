//! The programs: one row per normal form of a source, under every name it was recorded with.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row};

use super::{column, schema};
use crate::error::{Error, Result};

/// A stored program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// SHA-256 of the normal form, 64 hexadecimal digits.
    pub program_hash: String,
    /// The name it was first recorded under.
    pub program_name: String,
    /// The source as it was first recorded.
    pub source_code: String,
}

impl Program {
    pub(crate) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            program_hash: column::text(row, 0)?,
            program_name: column::text(row, 1)?,
            source_code: column::text(row, 2)?,
        })
    }
}

/// Adds a program, or a further name of one that is there. `true` if the program is new.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn put(connection: &Connection, path: &Path, program: &NewProgram<'_>) -> Result<bool> {
    let failed = |error| Error::sqlite(path, "writing a program")(error);
    let NewProgram { program_hash, program_name, source_code } = *program;
    let first_name: Option<String> = connection
        .prepare_cached("SELECT program_name FROM programs WHERE program_hash = ?1")
        .and_then(|mut select| select.query_row([program_hash], |row| column::text(row, 0)).optional())
        .map_err(failed)?;
    let sql = match first_name {
        None => "INSERT INTO programs (program_hash, program_name, source_code) VALUES (?1, ?2, ?3)",
        Some(name) if name == program_name => return Ok(false),
        Some(_) => {
            connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO program_names (program_name, program_hash) VALUES (?1, ?2)",
                )
                .and_then(|mut insert| insert.execute([program_name, program_hash]))
                .map_err(failed)?;
            return Ok(false);
        }
    };
    connection
        .prepare_cached(sql)
        .and_then(|mut insert| insert.execute([program_hash, program_name, source_code]))
        .map_err(failed)?;
    Ok(true)
}

/// Is the program there, under this very name?
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn exists(connection: &Connection, path: &Path, hash: &str, name: &str) -> Result<bool> {
    let further = if schema::has_program_names(connection, path)? {
        "UNION ALL SELECT 1 FROM program_names WHERE program_hash = ?1 AND program_name = ?2"
    } else {
        ""
    };
    let sql = format!("SELECT 1 FROM programs WHERE program_hash = ?1 AND program_name = ?2 {further}");
    connection
        .prepare_cached(&sql)
        .and_then(|mut select| select.exists([hash, name]))
        .map_err(Error::sqlite(path, "looking a program up"))
}

/// A program to be added.
#[derive(Debug, Clone, Copy)]
pub struct NewProgram<'a> {
    /// SHA-256 of the normal form.
    pub program_hash: &'a str,
    /// Name to record it under.
    pub program_name: &'a str,
    /// Its source.
    pub source_code: &'a str,
}

/// The program with this hash.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn get(connection: &Connection, path: &Path, program_hash: &str) -> Result<Option<Program>> {
    connection
        .prepare_cached(
            "SELECT program_hash, program_name, source_code FROM programs WHERE program_hash = ?1",
        )
        .and_then(|mut select| select.query_row([program_hash], Program::from_row).optional())
        .map_err(Error::sqlite(path, "reading a program"))
}

/// Every program that was recorded under `program_name`, as its first or a further name, ordered by hash.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn by_name(connection: &Connection, path: &Path, program_name: &str) -> Result<Vec<Program>> {
    let further = if schema::has_program_names(connection, path)? {
        "UNION SELECT program_hash FROM program_names WHERE program_name = ?1"
    } else {
        ""
    };
    let sql = format!(
        "SELECT program_hash, program_name, source_code FROM programs WHERE program_hash IN (
             SELECT program_hash FROM programs WHERE program_name = ?1 {further})
         ORDER BY program_hash"
    );
    connection
        .prepare(&sql)
        .and_then(|mut select| select.query_map([program_name], Program::from_row)?.collect())
        .map_err(Error::sqlite(path, "reading programs"))
}

/// Every program, ordered by name and hash.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn all(connection: &Connection, path: &Path) -> Result<Vec<Program>> {
    connection
        .prepare("SELECT program_hash, program_name, source_code FROM programs ORDER BY program_name, program_hash")
        .and_then(|mut select| select.query_map([], Program::from_row)?.collect())
        .map_err(Error::sqlite(path, "reading programs"))
}

/// First name and hash of every program, in this order.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn hashes_by_name(connection: &Connection, path: &Path) -> Result<Vec<(String, String)>> {
    connection
        .prepare("SELECT program_name, program_hash FROM programs ORDER BY program_name, program_hash")
        .and_then(|mut select| {
            select.query_map([], |row| Ok((column::text(row, 0)?, column::text(row, 1)?)))?.collect()
        })
        .map_err(Error::sqlite(path, "reading programs"))
}

/// The second and further names of a program, in order.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn further_names(connection: &Connection, path: &Path, program_hash: &str) -> Result<Vec<String>> {
    if !schema::has_program_names(connection, path)? {
        return Ok(Vec::new());
    }
    connection
        .prepare_cached(
            "SELECT program_name FROM program_names WHERE program_hash = ?1 ORDER BY program_name",
        )
        .and_then(|mut select| select.query_map([program_hash], |row| column::text(row, 0))?.collect())
        .map_err(Error::sqlite(path, "reading program names"))
}

/// Hashes of the programs that have records, in order, and how many each has.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn sizes(connection: &Connection, path: &Path) -> Result<Vec<(String, u64)>> {
    connection
        .prepare("SELECT program_hash, COUNT(*) FROM records GROUP BY program_hash ORDER BY program_hash")
        .and_then(|mut select| {
            select.query_map([], |row| Ok((column::text(row, 0)?, row.get(1)?)))?.collect()
        })
        .map_err(Error::sqlite(path, "counting records of programs"))
}

/// Number of programs.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn count(connection: &Connection, path: &Path) -> Result<u64> {
    connection
        .query_row("SELECT COUNT(*) FROM programs", [], |row| row.get(0))
        .map_err(Error::sqlite(path, "counting programs"))
}
