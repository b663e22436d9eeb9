//! The environments in which runs were made, each stored once; the JSON of a result names one by its number.

use std::borrow::Cow;
use std::cell::Cell;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::{column, result_json, schema};
use crate::error::{Error, Result};

/// The environment that the rows of one batch name.
///
/// It is looked up when the first of them is written: a batch of rows that are there already changes nothing, and one
/// of many rows asks once.
pub struct Named<'a> {
    environment: Option<&'a str>,
    number: Cell<Option<i64>>,
}

impl<'a> Named<'a> {
    /// The rows name `environment`, as canonical JSON; `None`: they name none, or one already.
    #[must_use]
    pub fn new(environment: Option<&'a str>) -> Self {
        Self { environment, number: Cell::new(None) }
    }

    /// `result_json` as it is stored in the running transaction.
    pub(super) fn in_result<'r>(
        &self,
        connection: &Connection,
        path: &Path,
        result_json: &'r str,
    ) -> Result<Cow<'r, str>> {
        let Some(environment) = self.environment else { return Ok(Cow::Borrowed(result_json)) };
        let number = match self.number.get() {
            Some(number) => number,
            None => number_of(connection, path, environment)?,
        };
        self.number.set(Some(number));
        Ok(Cow::Owned(result_json::with_environment(result_json, number)))
    }
}

/// The number of `environment`, which is added where it is new.
fn number_of(connection: &Connection, path: &Path, environment: &str) -> Result<i64> {
    let failed = |error| Error::sqlite(path, "naming an environment")(error);
    let known = connection
        .prepare_cached("SELECT id FROM environments WHERE environment = ?1")
        .and_then(|mut select| select.query_row([environment], |row| row.get(0)).optional())
        .map_err(failed)?;
    if let Some(number) = known {
        return Ok(number);
    }
    connection
        .execute("INSERT INTO environments (environment) VALUES (?1)", [environment])
        .map_err(failed)?;
    Ok(connection.last_insert_rowid())
}

/// The environment with this number, as canonical JSON; `None` where there is none, or not even the table: a row that was
/// copied into a store of the original names an environment of another store.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(super) fn get(connection: &Connection, path: &Path, number: i64) -> Result<Option<String>> {
    if !schema::has_environments(connection, path)? {
        return Ok(None);
    }
    connection
        .prepare_cached("SELECT environment FROM environments WHERE id = ?1")
        .and_then(|mut select| select.query_row([number], |row| column::text(row, 0)).optional())
        .map_err(Error::sqlite(path, "reading an environment"))
}
