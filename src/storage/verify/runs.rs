//! Superseded and appended runs hold results that can be decoded, and say when they were made.

use std::path::Path;

use rusqlite::{Connection, Row};

use super::scan::{Table, each_row};
use super::{Finding, Kind, Report, records, unreadable};
use crate::clock;
use crate::error::Result;
use crate::storage::{column, result_json, schema};

const RUNS: Table = Table {
    kind: Kind::Run,
    name: "runs",
    columns: &["key", "result_json", "hostname", "username", "date", "source_project"],
};

pub(super) fn check(
    connection: &Connection,
    path: &Path,
    report: &mut Report,
    between: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    match schema::has_runs(connection, path) {
        Ok(true) => each_row(connection, &RUNS, &mut report.findings, between, |row, findings| {
            check_row(connection, row, findings)
        })
        .map(|_| ()),
        // A store that only the original has written.
        Ok(false) => Ok(()),
        Err(crate::Error::Sqlite { source, .. }) => {
            report.findings.push(unreadable(Kind::Run, None, &source));
            Ok(())
        }
        Err(other) => Err(other),
    }
}

fn check_row(connection: &Connection, row: &Row<'_>, findings: &mut Vec<Finding>) -> rusqlite::Result<usize> {
    let (key, result, date) = (column::text(row, 1)?, column::text(row, 2)?, column::text(row, 5)?);
    let causes = if let Some(column) = column::first_without_text(row, 1)? {
        [Some(format!("its column {} holds no text", RUNS.columns[column])), None, None]
    } else {
        let no_date = (!clock::is_iso(&date)).then(|| format!("its date is {date:?}, no date in ISO 8601"));
        // The NaN of an old row that was measured again is history.
        let no_result = result_json::decode(&result).err();
        let no_result = no_result.map(|cause| format!("its result cannot be decoded: {cause}"));
        [no_result, records::environment_cause(connection, &result), no_date]
    };
    findings.extend(causes.into_iter().flatten().map(|cause| Finding {
        kind: Kind::Run,
        key: Some(key.clone()),
        cause,
    }));
    Ok(result.len())
}
