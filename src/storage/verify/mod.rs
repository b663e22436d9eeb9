//! Is everything in the database what it was when it was written? Hashes and keys name what they were made of, so each
//! row can be compared with its own name. Damage is reported, and the verification goes on with what can be read.

mod programs;
mod progress;
mod records;
mod runs;
mod scan;

use std::fmt;
use std::path::Path;

use rusqlite::Connection;

use super::schema;
use crate::error::{Error, Result};
use crate::mutation;

/// What was looked at, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Programs that were compared with their hash.
    pub programs: u64,
    /// Records that were compared with their key.
    pub records: u64,
    /// What is wrong: nothing, in a good store.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it is.
    pub kind: Kind,
    /// Key of the record, hash of the program or name in `db_meta`, as far as it can be read.
    pub key: Option<String>,
    /// What is wrong.
    pub cause: String,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The file: its pages and indexes.
    Database,
    /// What is written about the whole store, in `db_meta`.
    Store,
    /// A program.
    Program,
    /// A second or further name of a program.
    FurtherName,
    /// A record.
    Record,
    /// A run that is no record: superseded, or appended.
    Run,
}

impl Kind {
    /// The kind in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Store => "store",
            Self::Program => "program",
            Self::FurtherName => "further name",
            Self::Record => "record",
            Self::Run => "run",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if let Some(key) = &self.key {
            write!(f, " {key}")?;
        }
        write!(f, ": {}", self.cause)
    }
}

/// Verifies the database at `path`. `between` is called often and may end the verification.
///
/// # Errors
///
/// Those of `between` alone: what SQLite cannot read is a finding.
pub(crate) fn verify(
    connection: &Connection,
    path: &Path,
    between: &mut dyn FnMut() -> Result<()>,
) -> Result<Report> {
    let mut report = Report::default();
    check_pages(connection, &mut report.findings, between)?;
    check_schema(connection, path, &mut report.findings);
    programs::check(connection, path, &mut report, between)?;
    records::check(connection, &mut report, between)?;
    runs::check(connection, path, &mut report, between)?;
    Ok(report)
}

/// SQLite's own check: pages, their order, and that indexes hold what tables hold. It says at most a hundred things.
fn check_pages(
    connection: &Connection,
    findings: &mut Vec<Finding>,
    between: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    if mutation::off("verify-pages") {
        return Ok(());
    }
    let mut line = |cause: String| findings.push(Finding { kind: Kind::Database, key: None, cause });
    let ended = progress::with(connection, between, || -> rusqlite::Result<()> {
        let mut check = connection.prepare("PRAGMA integrity_check")?;
        let mut rows = check.query([])?;
        while let Some(row) = rows.next()? {
            // The first row begins with a headline.
            let text = super::column::text(row, 0)?;
            text.lines()
                .filter(|text| *text != "ok" && !text.starts_with("***"))
                .for_each(|text| line(text.to_owned()));
        }
        Ok(())
    })?;
    // What it said before it failed is kept.
    if let Err(error) = ended {
        line(format!("SQLite's check of its pages ended early: {error}"));
    }
    Ok(())
}

fn check_schema(connection: &Connection, path: &Path, findings: &mut Vec<Finding>) {
    let cause = match schema::check(connection, path) {
        Ok(()) => return,
        Err(Error::NotAStore { why, .. }) => why,
        Err(Error::UnknownSchema { found, .. }) => {
            format!("its version is {found:?}, not {:?}", schema::VERSION)
        }
        Err(Error::Sqlite { source, .. }) => format!("its version cannot be read: {source}"),
        Err(other) => other.to_string(),
    };
    findings.push(Finding { kind: Kind::Store, key: Some("schema_version".to_owned()), cause });
}

fn unreadable(kind: Kind, key: Option<String>, error: &rusqlite::Error) -> Finding {
    Finding { kind, key, cause: format!("it cannot be read: {error}") }
}
