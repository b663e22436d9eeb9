//! Copies of the whole database, page by page through SQLite, so that what a dead writer left in its journal is
//! rolled back first and never copied.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use tempfile::NamedTempFile;

use super::{birth, connection, schema, tally};
use crate::error::{Error, Result};
use crate::mutation;
use crate::scratch;

/// Pages between two calls of `between`: 16 MB at the usual page size.
const PAGES_PER_STEP: i32 = 4096;

/// Copies `source` to a temporary file in `directory`. `between` is called between the steps and may end the copy.
///
/// # Errors
///
/// [`Error::Io`], [`Error::Sqlite`] and those of `between`; nothing is left behind.
pub(crate) fn copy_aside(
    source: &Connection,
    directory: &Path,
    between: &mut dyn FnMut() -> Result<()>,
) -> Result<NamedTempFile> {
    let aside = scratch::file_in(directory)?;
    let failed = |error| Error::sqlite(aside.path(), "copying the database")(error);
    let mut target = connection::create(aside.path())?;
    target.execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=FULL;").map_err(failed)?;
    {
        let backup = Backup::new(source, &mut target).map_err(failed)?;
        loop {
            match backup.step(PAGES_PER_STEP).map_err(failed)? {
                StepResult::Done => break,
                StepResult::More => between()?,
                // Nobody else has either file open; SQLite may still report contention with itself.
                _ => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }
    if schema::has_additions(&target, aside.path())? && !mutation::off("copies-are-not-vouched-for") {
        tally::distrust(&target, aside.path())?;
    }
    drop(target);
    Ok(aside)
}

/// Gives the finished copy its name, replacing what was there, durably.
///
/// # Errors
///
/// [`Error::Io`]; what was at `target` is untouched then.
pub(crate) fn publish(aside: NamedTempFile, target: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(aside.path(), Permissions::from_mode(mode))
        .map_err(Error::io(target, "setting the mode of"))?;
    aside.as_file().sync_all().map_err(Error::io(target, "syncing"))?;
    aside.persist(target).map_err(|error| error.error).map_err(Error::io(target, "creating"))?;
    birth::sync_directory(target.parent().unwrap_or_else(|| Path::new(".")))
}
