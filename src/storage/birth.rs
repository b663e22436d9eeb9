//! How a store comes into being: complete, or not at all.

use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::meta::Machine;
use super::sharing::Sharing;
use super::{connection, fresh, journal, meta, schema, tally};
use crate::error::{Error, Result};
use crate::scratch;

/// Creates the store at `path`, under its lock, unless a file stands there. It is built aside, synced, and given its
/// name as the last step: a crash leaves no half-made store.
///
/// # Errors
///
/// [`Error::Io`] and [`Error::Sqlite`]; nothing stands at `path` then.
pub(crate) fn create(path: &Path, machine: &Machine, sharing: Sharing, coherent: bool) -> Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    let aside = scratch::file_in(directory)?;
    // Nobody else knows the file: no journal is needed, only that all of it is on the disk in the end.
    build(aside.path(), "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=FULL;", machine)?;
    fs::set_permissions(aside.path(), Permissions::from_mode(sharing.file_mode()))
        .map_err(Error::io(aside.path(), "setting the mode of"))?;
    // What stands beside a database that only looks missing must not be touched.
    if !coherent && fresh::is_hidden(path).map_err(Error::io(path, "looking at"))? {
        return Ok(());
    }
    // The journal of a database that was removed would be rolled back into the new one.
    journal::remove(path)?;
    match aside.persist_noclobber(path) {
        // Others were first, as the server knows.
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists && !coherent => Ok(()),
        Err(error) => Err(Error::io(path, "creating")(error.error)),
        Ok(_) => sync_directory(directory),
    }
}

/// Replaces the database at `path` by a copy of `backup`, under the hard-link lock.
///
/// # Errors
///
/// [`Error::Io`] and [`Error::Sqlite`]; the database is as before then.
pub(crate) fn replace(path: &Path, backup: &Path) -> Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    // Rolled back first: a hot journal would be rolled back into the new database.
    connection::look(&connection::open(path)?, path)?;
    let mode = fs::metadata(path).map_err(Error::io(path, "looking at"))?.permissions().mode();
    let aside = scratch::file_in(directory)?;
    fs::copy(backup, aside.path()).map_err(Error::io(path, "copying to"))?;
    super::backup::publish(aside, path, mode & 0o7777)
}

/// Makes a store of the empty file at `path`, under its lock, in one transaction.
///
/// # Errors
///
/// [`Error::Sqlite`]; the file is empty or rolled back then.
pub(crate) fn fill_empty(path: &Path, machine: &Machine) -> Result<()> {
    build(path, "PRAGMA synchronous=EXTRA;", machine)
}

fn build(path: &Path, settings: &str, machine: &Machine) -> Result<()> {
    let connection = connection::create(path)?;
    let run = |sql: &str| {
        let failed = connection::failed(&connection, path, "creating a store");
        connection.execute_batch(sql).map_err(failed)
    };
    run(settings)?;
    run("BEGIN IMMEDIATE")?;
    schema::create_original(&connection, path)?;
    schema::create_additions(&connection, path)?;
    meta::describe(&connection, path, machine)?;
    tally::recount(&connection, path, &mut || Ok(()))?;
    run("COMMIT")
}

/// Makes a new name durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    match File::open(directory).and_then(|directory| directory.sync_all()) {
        // A directory that may be written but not read: nobody but its owner can sync it.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        other => other.map_err(Error::io(directory, "syncing directory")),
    }
}
