//! SQLite's journal beside a database.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::birth;
use super::vfs::journal_path;
use crate::error::{Error, Result};

/// Opens the journal of the database at `path`; a tenure that writes creates it if it is missing.
///
/// # Errors
///
/// [`Error::Io`].
pub(crate) fn open(path: &Path, database: &File, writes: bool) -> Result<Option<File>> {
    let journal = journal_path(path);
    let failed = |action| Error::io(&journal, action);
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    // Never created by the opening that finds it: in sticky directories the kernel forbids that for another user's.
    match options.open(&journal) {
        Err(error) if error.kind() == ErrorKind::NotFound && writes => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => return other.map(Some).map_err(failed("opening")),
    }
    let mode = database.metadata().map_err(failed("creating"))?.permissions();
    match options.create_new(true).mode(0o600).open(&journal) {
        Ok(file) => {
            file.set_permissions(mode).map_err(failed("setting the mode of"))?;
            if let Some(directory) = path.parent() {
                birth::sync_directory(directory)?;
            }
            Ok(Some(file))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            options.create_new(false).open(&journal).map(Some).map_err(failed("opening"))
        }
        Err(error) => Err(failed("creating")(error)),
    }
}

/// Removes the cold journal of the database at `path`.
///
/// # Errors
///
/// [`Error::Io`].
pub(crate) fn remove(path: &Path) -> Result<()> {
    let journal = journal_path(path);
    match std::fs::remove_file(&journal) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.map_err(Error::io(&journal, "removing")),
    }
}

/// Is there a journal of another user's that the sticky bit of its directory forbids this one to remove?
pub(crate) fn is_kept_by_owner(path: &Path) -> bool {
    let directory = path.parent().and_then(|directory| directory.metadata().ok());
    let (Some(directory), Ok(journal)) = (directory, journal_path(path).symlink_metadata()) else {
        return false;
    };
    let me = nix::unistd::geteuid().as_raw();
    directory.mode() & 0o1000 != 0 && me != 0 && directory.uid() != me && journal.uid() != me
}

/// Is the journal beside the database at `path` hot: must it be rolled back? `SQLite`'s rule: its first byte is not 0.
/// A writer that was killed before it synced the journal leaves one that never mattered.
pub(crate) fn is_hot(path: &Path) -> bool {
    let mut first = [0];
    File::open(journal_path(path))
        .and_then(|mut file| file.read(&mut first))
        .is_ok_and(|length| length == 1 && first[0] != 0)
}
