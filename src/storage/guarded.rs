//! Connections of sealed stores: their files are opened by a tenure, or by a reader without one, and reached through our
//! own layer (`vfs`).

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

use super::journal;
use super::library::configure;
use super::vfs;
use super::vfs::guard::{Files, Guard};
use crate::error::{Error, Result};

/// Operations of SQLite's machine between two looks at the lease: a millisecond or less.
const OPERATIONS_BETWEEN_LOOKS: std::ffi::c_int = 10_000;

/// Opens the database file and its journal for a tenure of the token lock. The journal stays for good once it is
/// there; a tenure that writes creates it, with the database's mode, whatever the umask.
///
/// # Errors
///
/// [`Error::Missing`] and [`Error::Io`].
pub(crate) fn open_files(path: &Path, writes: bool) -> Result<Files> {
    let database = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Error::Missing { path: path.to_path_buf(), why: None });
        }
        other => other.map_err(Error::io(path, "opening"))?,
    };
    let journal = journal::open(path, &database, writes)?;
    Ok(Files { database, journal })
}

/// Opens a connection over files that a tenure has opened, and for which it has shown that it is inside: opening
/// reads, and the first transaction rolls a dead writer's journal back.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn open(path: &Path, guard: &Arc<Guard>) -> Result<Connection> {
    configure();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = vfs::opening(guard, |layer| Connection::open_with_flags_and_vfs(path, flags, layer))
        .map_err(Error::sqlite(path, "opening it"))?;
    let keeper = Arc::clone(guard);
    // Statements that compute for long touch no file before COMMIT: without this a long batch is taken over alive.
    connection
        .progress_handler(OPERATIONS_BETWEEN_LOOKS, Some(move || !keeper.keep()))
        .map_err(Error::sqlite(path, "setting up the connection"))?;
    Ok(connection)
}

/// Opens a connection that reads without the lock. It takes no journal for a dead writer's, and writes nothing.
///
/// # Errors
///
/// [`Error::Missing`], [`Error::Io`] and [`Error::Sqlite`].
pub(crate) fn open_reader(path: &Path) -> Result<(Connection, Arc<Guard>)> {
    configure();
    let database = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Error::Missing { path: path.to_path_buf(), why: None });
        }
        other => other.map_err(Error::io(path, "opening"))?,
    };
    let guard = Guard::new(path, Files { database, journal: None });
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = vfs::opening(&guard, |layer| Connection::open_with_flags_and_vfs(path, flags, layer))
        .map_err(Error::sqlite(path, "opening it"))?;
    Ok((connection, guard))
}

/// The epoch in a database's first bytes: raised by what changes or removes records.
pub(crate) fn epoch(header: &[u8; 100]) -> u32 {
    // `user_version`.
    u32::from_be_bytes([header[60], header[61], header[62], header[63]])
}

/// Makes a connection read all pages anew.
pub(crate) fn forget_pages(connection: &Connection) {
    // SAFETY: the handle is that of an open connection, which this thread alone uses; the operation takes no argument.
    #[allow(unsafe_code)]
    unsafe {
        rusqlite::ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            rusqlite::ffi::SQLITE_FCNTL_RESET_CACHE,
            std::ptr::null_mut(),
        );
    }
}

/// Does the path lead to another file than the one that the connection has open?
pub(crate) fn has_moved(connection: &Connection) -> bool {
    let mut moved: std::ffi::c_int = 0;
    // SAFETY: the handle is that of an open connection, which this thread alone uses; the argument of this operation is
    // a place for an int, which outlives the call.
    #[allow(unsafe_code)]
    unsafe {
        rusqlite::ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            rusqlite::ffi::SQLITE_FCNTL_HAS_MOVED,
            (&raw mut moved).cast(),
        );
    }
    moved != 0
}

/// Settings of a connection of the token lock's tenures, once it may read.
///
/// `journal_mode=PERSIST`: a transaction ends with zeroes in the journal and a sync of it. There is no name to be
/// made durable, so `synchronous=FULL` is all.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn set_up(connection: &Connection, path: &Path) -> Result<()> {
    let settings = "PRAGMA journal_mode=PERSIST; PRAGMA synchronous=FULL; PRAGMA cache_spill=OFF; \
                    PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA foreign_keys=ON;";
    connection.execute_batch(settings).map_err(Error::sqlite(path, "setting up the connection"))
}

/// Did SQLite find that the path leads to another file than the one that it has open?
pub(crate) fn was_replaced(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_READONLY_DBMOVED)
}
