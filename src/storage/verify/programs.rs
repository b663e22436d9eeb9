//! Programs are named by the hash of their source; further names name programs that are there.

use std::path::Path;

use rusqlite::{Connection, Row};

use super::scan::{Table, each_row};
use super::{Finding, Kind, Report, unreadable};
use crate::error::Result;
use crate::identity::program;
use crate::mutation;
use crate::storage::{column, schema};

const PROGRAMS: Table = Table {
    kind: Kind::Program,
    name: "programs",
    columns: &["program_hash", "program_name", "source_code"],
};

pub(super) fn check(
    connection: &Connection,
    path: &Path,
    report: &mut Report,
    between: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    report.programs = each_row(connection, &PROGRAMS, &mut report.findings, between, check_row)?;
    // A store that only the original has written lacks the table.
    if let Ok(true) = schema::has_program_names(connection, path)
        && let Err(error) = check_further_names(connection, &mut report.findings)
    {
        report.findings.push(unreadable(Kind::FurtherName, None, &error));
    }
    Ok(())
}

fn check_row(row: &Row<'_>, findings: &mut Vec<Finding>) -> rusqlite::Result<usize> {
    let (hash, source) = (column::text(row, 1)?, column::text(row, 3)?);
    let cause = if let Some(column) = column::first_without_text(row, 1)? {
        Some(format!("its column {} holds no text", PROGRAMS.columns[column]))
    } else if mutation::off("verify-hashes") {
        None
    } else {
        let expected = program::hash(&source);
        (hash != expected.as_str())
            .then(|| format!("its source has another hash, {expected}: one of both was changed"))
    };
    let bytes = source.len();
    findings.extend(cause.map(|cause| Finding { kind: Kind::Program, key: Some(hash), cause }));
    Ok(bytes)
}

fn check_further_names(connection: &Connection, findings: &mut Vec<Finding>) -> rusqlite::Result<()> {
    let sql = "SELECT program_name, program_hash FROM program_names n
               WHERE NOT EXISTS (SELECT 1 FROM programs p WHERE p.program_hash = n.program_hash)";
    let mut select = connection.prepare(sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (name, hash) = (column::text(row, 0)?, column::text(row, 1)?);
        let cause = format!("it names the program {hash}, which is not in the store");
        findings.push(Finding { kind: Kind::FurtherName, key: Some(name), cause });
    }
    Ok(())
}
