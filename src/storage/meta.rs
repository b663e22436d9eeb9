//! `db_meta`: what holds for the whole store.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use crate::clock;
use crate::error::{Error, Result};
use crate::storage::{column, schema};

/// The value of `key`, if it is set.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn get(connection: &Connection, path: &Path, key: &str) -> Result<Option<String>> {
    connection
        .query_row("SELECT value FROM db_meta WHERE key = ?1", [key], |row| column::text(row, 0))
        .optional()
        .map_err(Error::sqlite(path, "reading db_meta"))
}

/// Sets `key` to `value`.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn set(connection: &Connection, path: &Path, key: &str, value: &str) -> Result<()> {
    connection
        .execute("INSERT OR REPLACE INTO db_meta (key, value) VALUES (?1, ?2)", [key, value])
        .map(|_| ())
        .map_err(Error::sqlite(path, "writing db_meta"))
}

/// Writes what a new store knows of itself, leaving values that are there.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn describe(connection: &Connection, path: &Path, machine: &Machine) -> Result<()> {
    let created_at = clock::now_iso();
    let values = [
        ("schema_version", schema::VERSION),
        ("cpu_model", &machine.cpu_model),
        ("slurm_cpus", &machine.slurm_cpus),
        ("created_at", &created_at),
    ];
    for (key, value) in values {
        connection
            .execute("INSERT OR IGNORE INTO db_meta (key, value) VALUES (?1, ?2)", [key, value])
            .map_err(Error::sqlite(path, "writing db_meta"))?;
    }
    Ok(())
}

/// The kind of node that a store's measurements are made on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// CPU model.
    pub cpu_model: String,
    /// `SLURM_CPUS_PER_TASK`, or `N/A`.
    pub slurm_cpus: String,
}
