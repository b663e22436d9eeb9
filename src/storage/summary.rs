//! Counts over the whole store. A damaged row is counted, never fatal.

use std::path::Path;

use rusqlite::Connection;

use super::{column, meta, programs, result_json};
use crate::error::{Error, Result};
use crate::measurement::Status;

const ROWS_BETWEEN: u64 = 4096;

/// What `stats()` reports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// All records.
    pub total_records: u64,
    /// Records of legal schedules.
    pub legal_records: u64,
    /// Records of illegal schedules.
    pub illegal_records: u64,
    /// Records by status, in the order of [`Status::ALL`].
    pub statuses: [u64; Status::ALL.len()],
    /// Records whose result cannot be decoded, or holds a time that is NaN or infinite.
    pub damaged_records: u64,
    /// All programs.
    pub total_programs: u64,
    /// Projects that recorded, in order.
    pub source_projects: Vec<String>,
    /// Users who recorded, in order.
    pub users: Vec<String>,
    /// CPU model of the store.
    pub cpu_model: Option<String>,
    /// CPUs per Slurm task of the store.
    pub slurm_cpus: Option<String>,
}

/// Counts everything. `between` is called after every few thousand rows and may end the scan.
///
/// # Errors
///
/// [`Error::Sqlite`] and those of `between`.
pub fn summarize(
    connection: &Connection,
    path: &Path,
    between: &mut dyn FnMut() -> Result<()>,
) -> Result<Summary> {
    let mut summary = Summary {
        total_programs: programs::count(connection, path)?,
        source_projects: distinct(connection, path, "source_project")?,
        users: distinct(connection, path, "username")?,
        cpu_model: meta::get(connection, path, "cpu_model")?,
        slurm_cpus: meta::get(connection, path, "slurm_cpus")?,
        ..Summary::default()
    };
    let failed = |error| Error::sqlite(path, "reading records")(error);
    let mut select = connection.prepare("SELECT result_json FROM records").map_err(failed)?;
    let mut rows = select.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let verdict =
            row.get_ref(0).map_err(failed)?.as_str().map_or_else(|_| Verdict::unreadable(), Verdict::of);
        summary.total_records += 1;
        if summary.total_records.is_multiple_of(ROWS_BETWEEN) {
            between()?;
        }
        summary.legal_records += u64::from(verdict.is_legal == Some(true));
        summary.illegal_records += u64::from(verdict.is_legal == Some(false));
        summary.damaged_records += u64::from(verdict.is_damaged);
        for (count, status) in summary.statuses.iter_mut().zip(Status::ALL) {
            *count += u64::from(verdict.status == Some(status));
        }
    }
    Ok(summary)
}

struct Verdict {
    is_legal: Option<bool>,
    status: Option<Status>,
    is_damaged: bool,
}

impl Verdict {
    fn unreadable() -> Self {
        Self { is_legal: None, status: None, is_damaged: true }
    }

    fn of(text: &str) -> Self {
        result_json::decode(text).map_or_else(
            |_| Self::unreadable(),
            |outcome| {
                let status = Some(outcome.status());
                let times = outcome.execution_times.unwrap_or_default();
                Self {
                    is_legal: Some(outcome.is_legal),
                    status,
                    is_damaged: times.iter().any(|time| !time.is_finite()),
                }
            },
        )
    }
}

fn distinct(connection: &Connection, path: &Path, column: &'static str) -> Result<Vec<String>> {
    connection
        .prepare(&format!("SELECT DISTINCT {column} FROM records ORDER BY {column}"))
        .and_then(|mut select| select.query_map([], |row| column::text(row, 0))?.collect())
        .map_err(Error::sqlite(path, "reading records"))
}
