//! Records are named by program and schedule, hold a result that can be decoded, and belong to a program that is
//! there. The last is what `PRAGMA foreign_key_check` asks; asked here, the answer has a key.

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, Row};

use super::scan::{Table, each_row};
use super::{Finding, Kind, Report};
use crate::clock;
use crate::error::Result;
use crate::identity::{key, schedule};
use crate::measurement::Outcome;
use crate::mutation;
use crate::storage::records::COLUMN_NAMES;
use crate::storage::{column, result_json};

const RECORDS: Table = Table { kind: Kind::Record, name: "records", columns: &COLUMN_NAMES };

pub(super) fn check(
    connection: &Connection,
    report: &mut Report,
    between: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    report.records = each_row(connection, &RECORDS, &mut report.findings, between, |row, findings| {
        check_row(connection, row, findings)
    })?;
    Ok(())
}

fn check_row(connection: &Connection, row: &Row<'_>, findings: &mut Vec<Finding>) -> rusqlite::Result<usize> {
    let key = column::text(row, 1)?;
    let (hash, schedule, result) = (column::text(row, 2)?, column::text(row, 3)?, column::text(row, 4)?);
    let mut found = |cause: String| {
        findings.push(Finding { kind: Kind::Record, key: Some(key.clone()), cause });
    };
    // What is no text can be compared with nothing: one finding says it.
    if let Some(column) = column::first_without_text(row, 1)? {
        found(format!("its column {} holds no text", RECORDS.columns[column]));
    } else {
        let causes = [
            key_cause(&key, &hash, &schedule),
            schedule_cause(&schedule),
            result_cause(&result),
            environment_cause(connection, &result),
        ];
        causes.into_iter().flatten().for_each(&mut found);
        for index in [7, 8] {
            let date = column::text(row, index)?;
            if !clock::is_iso(&date) {
                found(format!("its {} is {date:?}, no date in ISO 8601", RECORDS.columns[index - 1]));
            }
        }
    }
    if !mutation::off("verify-programs-of-records") {
        let is_there = connection
            .prepare_cached("SELECT 1 FROM programs WHERE program_hash = ?1")
            .and_then(|mut select| select.exists([ToSqlOutput::Borrowed(row.get_ref(2)?)]));
        match is_there {
            Ok(true) => {}
            Ok(false) => found(format!("its program {hash} is not in the store")),
            Err(error) => found(format!("its program {hash} cannot be looked up: {error}")),
        }
    }
    Ok(schedule.len() + result.len())
}

fn key_cause(stored: &str, hash: &str, schedule: &str) -> Option<String> {
    let expected = key::make_key(hash, schedule);
    if stored == expected.as_str() || mutation::off("verify-keys") {
        return None;
    }
    let kind = if stored.eq_ignore_ascii_case(expected.as_str()) {
        "its key is that of its program and schedule, but not in lower case"
    } else {
        "its program and schedule have another key"
    };
    Some(format!("{kind}, {expected}: no lookup finds it, or it answers for another schedule"))
}

fn schedule_cause(schedule: &str) -> Option<String> {
    let is_normal = schedule::normalize(schedule) == schedule;
    (!is_normal).then(|| "its schedule is not in normal form, although its measurement is found".to_owned())
}

/// Does a result name an environment that is there?
pub(super) fn environment_cause(connection: &Connection, result: &str) -> Option<String> {
    let number = result_json::environment(result)?;
    let is_there = connection
        .prepare_cached("SELECT 1 FROM environments WHERE id = ?1")
        .and_then(|mut select| select.exists([number]));
    match is_there {
        Ok(true) => None,
        Ok(false) => Some(format!("its environment {number} is not in the store")),
        Err(error) => Some(format!("its environment {number} cannot be looked up: {error}")),
    }
}

fn result_cause(result: &str) -> Option<String> {
    if mutation::off("verify-results") {
        return None;
    }
    let outcome = match result_json::decode(result) {
        // What a status says by not being there is as good as said.
        Ok(outcome) => Outcome { said: Some(outcome.status()), ..outcome },
        Err(cause) => return Some(format!("its result cannot be decoded: {cause}")),
    };
    let times = outcome.execution_times.as_deref().unwrap_or_default();
    match times.iter().position(|time| !time.is_finite()) {
        Some(index) => Some(format!(
            "execution_times[{index}] is {}, as old versions of the original wrote: measure it again",
            times[index]
        )),
        None => outcome.validate().err().map(|error| format!("its result is no measurement: {error}")),
    }
}
