//! The tables: schema 2 as the original creates it, and what we add beside it.
//!
//! Additions are additive only, because clients of the original go on writing the same file: no foreign key of ours
//! points at its tables (its `delete` would fail), no JSON function runs in an index (its NaN rows would fail), and
//! nothing needs an SQLite newer than 3.26.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::{column, fresh};
use crate::error::{Error, Result};
use crate::mutation;

/// The version that this crate reads and writes, as `db_meta` stores it.
pub const VERSION: &str = "2";

const ORIGINAL: &str = "
    CREATE TABLE IF NOT EXISTS db_meta (
        key   TEXT PRIMARY KEY,
        value TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS programs (
        program_hash TEXT PRIMARY KEY,
        program_name TEXT NOT NULL,
        source_code  TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS records (
        key            TEXT PRIMARY KEY,
        program_hash   TEXT NOT NULL REFERENCES programs(program_hash),
        schedule       TEXT NOT NULL,
        result_json    TEXT NOT NULL,
        hostname       TEXT NOT NULL,
        username       TEXT NOT NULL,
        creation_date  TEXT NOT NULL,
        update_date    TEXT NOT NULL,
        source_project TEXT NOT NULL DEFAULT ''
    );";

/// `program_names` holds the second and further names of a source; the first stays in `programs`. `applied` holds the
/// last batch of each client (`applied.rs`), `runs` what records have superseded (`runs.rs`), `environments` where runs
/// were made (`environments.rs`), `claims` and `claim_observations` who measures what (`claims.rs`), `tally` the numbers
/// of records (`tally.rs`).
const ADDITIONS: &str = "
    CREATE TABLE IF NOT EXISTS program_names (
        program_name TEXT NOT NULL,
        program_hash TEXT NOT NULL,
        PRIMARY KEY (program_name, program_hash)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS applied (
        client TEXT NOT NULL UNIQUE,
        number INTEGER NOT NULL,
        answer INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS tally (
        source_project TEXT NOT NULL,
        username       TEXT NOT NULL,
        verdict        INTEGER NOT NULL,
        records        INTEGER NOT NULL,
        PRIMARY KEY (source_project, username, verdict)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS runs (
        id             INTEGER PRIMARY KEY,
        key            TEXT NOT NULL,
        result_json    TEXT NOT NULL,
        hostname       TEXT NOT NULL,
        username       TEXT NOT NULL,
        date           TEXT NOT NULL,
        source_project TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS environments (
        id          INTEGER PRIMARY KEY,
        environment TEXT NOT NULL UNIQUE
    );
    CREATE TABLE IF NOT EXISTS claims (
        key          TEXT PRIMARY KEY,
        claim        TEXT NOT NULL,
        beat         INTEGER NOT NULL,
        lease_ms     INTEGER NOT NULL,
        owner        TEXT NOT NULL,
        username     TEXT NOT NULL,
        program_name TEXT NOT NULL,
        schedule     TEXT NOT NULL,
        failure      TEXT
    );
    CREATE TABLE IF NOT EXISTS claim_observations (
        key      TEXT NOT NULL,
        observer TEXT NOT NULL,
        claim    TEXT NOT NULL,
        beat     INTEGER NOT NULL,
        since_ms INTEGER NOT NULL,
        PRIMARY KEY (key, observer)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS runs_by_key ON runs(key);
    CREATE INDEX IF NOT EXISTS records_by_program ON records(program_hash);
    CREATE INDEX IF NOT EXISTS records_by_creation ON records(creation_date);
    CREATE INDEX IF NOT EXISTS programs_by_name ON programs(program_name);";

/// Creates the original's tables where they are missing.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn create_original(connection: &Connection, path: &Path) -> Result<()> {
    connection.execute_batch(ORIGINAL).map_err(Error::sqlite(path, "creating the tables"))
}

/// Creates our tables and indexes where they are missing: once for each store that the original made.
///
/// Asked in every transaction, as a store may be replaced by another one under the same path.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn create_additions(connection: &Connection, path: &Path) -> Result<()> {
    if has_additions(connection, path)? {
        return Ok(());
    }
    connection.execute_batch(ADDITIONS).map_err(Error::sqlite(path, "adding tables and indexes"))
}

/// Are all our tables there?
pub(crate) fn has_additions(connection: &Connection, path: &Path) -> Result<bool> {
    let names = "'program_names', 'applied', 'runs', 'environments', 'claims', 'claim_observations', 'tally'";
    let count = format!("SELECT count(*) = 7 FROM sqlite_schema WHERE type = 'table' AND name IN ({names})");
    connection
        .prepare_cached(&count)
        .and_then(|mut select| select.query_row([], |row| row.get(0)))
        .map_err(Error::sqlite(path, "reading the schema"))
}

/// Does the table of environments exist?
pub(crate) fn has_environments(connection: &Connection, path: &Path) -> Result<bool> {
    has_table(connection, "environments").map_err(Error::sqlite(path, "reading the schema"))
}

/// Does the table of superseded and appended runs exist?
pub(crate) fn has_runs(connection: &Connection, path: &Path) -> Result<bool> {
    has_table(connection, "runs").map_err(Error::sqlite(path, "reading the schema"))
}

/// Does the table of further names exist? A store that only the original has written lacks it.
pub(crate) fn has_program_names(connection: &Connection, path: &Path) -> Result<bool> {
    has_table(connection, "program_names").map_err(Error::sqlite(path, "reading the schema"))
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?
        .exists([name])
}

/// What the first bytes of a file say it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// No bytes at all: nothing is lost by making a store of it.
    Empty,
    /// An SQLite database with a rollback journal.
    Database,
    /// Anything else, with what it is.
    Foreign(&'static str),
}

/// Reads the header of the file at `path`, without SQLite: nothing of a foreign file may be touched.
pub(crate) fn file_kind(path: &Path) -> Result<FileKind> {
    let read = || {
        let mut header = Vec::new();
        File::open(path)?.take(100).read_to_end(&mut header).map(|_| header)
    };
    let header = fresh::asked(read).map_err(Error::io(path, "reading"))?;
    Ok(match header.as_slice() {
        [] => FileKind::Empty,
        // Bytes 18 and 19: the versions needed to write and to read; 2 is a write-ahead log.
        bytes if bytes.len() == 100 && bytes.starts_with(b"SQLite format 3\0") => {
            match (bytes[18], bytes[19]) {
                (1, 1) => FileKind::Database,
                _ => FileKind::Foreign(
                    "it is an SQLite database with a write-ahead log, which shared file systems break",
                ),
            }
        }
        _ => FileKind::Foreign("it is no SQLite database"),
    })
}

/// Is the open database at `path` a store of a version we know?
///
/// # Errors
///
/// [`Error::NotAStore`] or [`Error::UnknownSchema`]; [`Error::Sqlite`] where it cannot be read.
pub fn check(connection: &Connection, path: &Path) -> Result<()> {
    let not_a_store = |why: &str| Error::NotAStore { path: path.to_path_buf(), why: why.to_owned() };
    for table in ["db_meta", "programs", "records"] {
        let found = has_table(connection, table).map_err(Error::sqlite(path, "reading the schema"))?;
        if !found && table == "db_meta" {
            return Err(not_a_store("it is another program's SQLite database (it has no table db_meta)"));
        }
        if !found {
            return Err(not_a_store(&format!("it is half-made: it has no table {table}")));
        }
    }
    let version: Option<String> = connection
        .query_row("SELECT value FROM db_meta WHERE key = 'schema_version'", [], |row| column::text(row, 0))
        .optional()
        .map_err(Error::sqlite(path, "reading the schema version"))?;
    match version.as_deref() {
        Some(VERSION) => Ok(()),
        Some(_) if mutation::off("refuse-newer-schemas") => Ok(()),
        Some(found) => Err(Error::UnknownSchema { path: path.to_path_buf(), found: found.to_owned() }),
        None => Err(not_a_store("it is half-made: it has no schema_version")),
    }
}
