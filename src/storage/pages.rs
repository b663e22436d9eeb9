//! All records in pages, in the order of their rowids: what is recorded while somebody turns the pages comes later.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::records::{COLUMNS, RecordOfProgram};
use super::runs::Run;
use super::{environments, programs, result_json, runs, schema};
use crate::error::{Error, Result};

/// A record with everything that the store knows of it.
#[derive(Debug, Clone)]
pub struct Whole {
    /// Its place in the order.
    pub rowid: i64,
    /// The record and its program.
    pub row: RecordOfProgram,
    /// Where it was made, as canonical JSON.
    pub environment: Option<String>,
    /// The second and further names of its program.
    pub further_names: Arc<Vec<String>>,
    /// What it has superseded, and what was appended beside it, oldest first.
    pub history: Vec<Run>,
}

/// At most `limit` records behind the row `after`.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn page(connection: &Connection, path: &Path, after: i64, limit: u32) -> Result<Vec<Whole>> {
    let has_history = schema::has_runs(connection, path)? && runs::are_there(connection, path)?;
    let has_environments = schema::has_environments(connection, path)?;
    let mut last: Option<(String, Arc<Vec<String>>)> = None;
    let mut page = Vec::new();
    for (rowid, row) in rows(connection, path, after, limit)? {
        let record = &row.record;
        let further_names = match &last {
            Some((hash, names)) if *hash == record.program_hash => Arc::clone(names),
            _ => Arc::new(programs::further_names(connection, path, &record.program_hash)?),
        };
        last = Some((record.program_hash.clone(), Arc::clone(&further_names)));
        let environment = match result_json::environment(&record.result_json) {
            Some(number) if has_environments => environments::get(connection, path, number)?,
            _ => None,
        };
        let mut history = if has_history { runs::all(connection, path, &record.key)? } else { Vec::new() };
        history.retain(|run| !run.is_current);
        page.push(Whole { rowid, row, environment, further_names, history });
    }
    Ok(page)
}

fn rows(connection: &Connection, path: &Path, after: i64, limit: u32) -> Result<Vec<(i64, RecordOfProgram)>> {
    // NOT INDEXED: rows as the table holds them, without a sort.
    let sql = format!(
        "SELECT {COLUMNS}, p.program_name, p.source_code, p.program_hash, r.rowid
         FROM records r NOT INDEXED LEFT JOIN programs p ON r.program_hash = p.program_hash
         WHERE r.rowid > ?1 ORDER BY r.rowid LIMIT ?2"
    );
    connection
        .prepare_cached(&sql)
        .and_then(|mut select| {
            select
                .query_map(params![after, limit], |row| Ok((row.get(12)?, RecordOfProgram::from_row(row)?)))?
                .collect()
        })
        .map_err(Error::sqlite(path, "reading a page of records"))
}
