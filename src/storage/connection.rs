//! Opening the database without any lock of SQLite's own: on the file systems this is made for there are none.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::library::configure;
use crate::error::{Error, Result};
use crate::mutation;

/// SQLite's Unix file system layer with every lock call left out. Excluding others is the tenure's business.
const VFS: &std::ffi::CStr = c"unix-none";

/// Opens the existing database at `path` for a tenure.
///
/// # Errors
///
/// [`Error::Missing`] where there is no file, [`Error::Sqlite`] otherwise.
pub fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    open_with(path, flags)
}

/// Settings that matter to transactions only.
///
/// `synchronous=EXTRA`: with FULL the directory is not synced after the journal is unlinked, so that a crash of a
/// metadata server can bring the journal back and with it undo acknowledged transactions.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub fn prepare_for_writing(connection: &Connection, path: &Path) -> Result<()> {
    // cache_spill: no page reaches the file before COMMIT, so a failed transaction leaves it untouched.
    let settings = "PRAGMA synchronous=EXTRA; PRAGMA cache_spill=OFF; PRAGMA temp_store=MEMORY;";
    let settings = if mutation::off("synced-journal-end") {
        settings.replace("EXTRA", "FULL")
    } else {
        settings.to_owned()
    };
    connection.execute_batch(&settings).map_err(Error::sqlite(path, "setting up the connection"))?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)
        .map(|_| ())
        .map_err(Error::sqlite(path, "setting up the connection"))
}

/// Reads a little, on the way to which SQLite rolls back what a dead writer left.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn look(connection: &Connection, path: &Path) -> Result<()> {
    connection
        .prepare_cached("SELECT count(*) FROM sqlite_schema")
        .and_then(|mut select| select.query_row([], |row| row.get::<_, i64>(0)))
        .map(|_| ())
        .map_err(Error::sqlite(path, "reading the schema"))
}

/// Runs `work`, which reads often, within one transaction: outside of any, each statement asks anew whether somebody has
/// written.
///
/// # Errors
///
/// [`Error::Sqlite`], and those of `work`.
pub(crate) fn in_one_read<T>(
    connection: &Connection,
    path: &Path,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    // Rolled back when it is dropped: there is nothing to commit.
    let _read = connection.unchecked_transaction().map_err(Error::sqlite(path, "beginning to read"))?;
    work()
}

/// Runs `work` so that what it wrote is undone, and nothing else of the transaction, if it fails.
///
/// # Errors
///
/// [`Error::Sqlite`] where not even that is possible: then the transaction is over. The inner result is that of `work`.
pub(crate) fn in_savepoint<T>(
    connection: &Connection,
    path: &Path,
    work: impl FnOnce() -> Result<T>,
) -> Result<Result<T>> {
    connection.execute_batch("SAVEPOINT batch").map_err(Error::sqlite(path, "setting a savepoint"))?;
    let outcome = work();
    let end = if outcome.is_ok() { "RELEASE batch" } else { "ROLLBACK TO batch; RELEASE batch" };
    let ended = connection.execute_batch(end).map_err(Error::sqlite(path, "ending a savepoint"));
    match (outcome, ended) {
        // The error has ended the transaction, and with it the savepoint: without room, for example.
        (Err(cause), Err(_)) => Err(cause),
        (outcome, ended) => ended.map(|()| outcome),
    }
}

/// Raises the number in the header by which readers know that what they remember may be gone.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn raise_epoch(connection: &Connection, path: &Path) -> Result<()> {
    let failed = |error| Error::sqlite(path, "raising the epoch")(error);
    let epoch: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    connection.pragma_update(None, "user_version", epoch.wrapping_add(1)).map_err(failed)
}

/// The number in the file's header that SQLite raises with every transaction of anybody: that of the last committed
/// one, also within a transaction, as no page reaches the file before its end. 0 for an empty file.
///
/// # Errors
///
/// [`Error::Sqlite`] where the file cannot be read.
pub(crate) fn change_counter(connection: &Connection, path: &Path) -> Result<u32> {
    const PLACE: i64 = 24;
    let mut outcome = rusqlite::ffi::SQLITE_IOERR_READ;
    let mut file: *mut rusqlite::ffi::sqlite3_file = std::ptr::null_mut();
    let mut counter = [0_u8; 4];
    // SAFETY: the handle is that of an open connection, which this thread alone uses. The operation writes the address
    // of the connection's open file to the place it is given; the file's methods are the layer's own, and reading fills
    // the four bytes it is given, with zeroes where the file is shorter.
    #[allow(unsafe_code)]
    unsafe {
        rusqlite::ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            rusqlite::ffi::SQLITE_FCNTL_FILE_POINTER,
            (&raw mut file).cast(),
        );
        if let Some(read) =
            file.as_ref().and_then(|file| file.pMethods.as_ref()).and_then(|methods| methods.xRead)
        {
            outcome = read(file, counter.as_mut_ptr().cast(), 4, PLACE);
        }
    }
    match outcome {
        rusqlite::ffi::SQLITE_OK | rusqlite::ffi::SQLITE_IOERR_SHORT_READ => Ok(u32::from_be_bytes(counter)),
        code => {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            Err(Error::sqlite(path, "reading the header")(error))
        }
    }
}

/// `map_err` adapter for a connection to a private file: the system's own error where SQLite only knows that there was
/// one.
pub(crate) fn failed(
    connection: &Connection,
    path: &Path,
    action: &'static str,
) -> impl Fn(rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::{CannotOpen, DiskFull, SystemIoFailure};
    move |error| {
        let errno = match error.sqlite_error_code() {
            _ if mutation::off("name-the-error") => 0,
            Some(DiskFull) => nix::libc::ENOSPC,
            // SAFETY: the handle is that of an open connection, which this thread alone uses.
            #[allow(unsafe_code)]
            Some(SystemIoFailure | CannotOpen) => unsafe {
                rusqlite::ffi::sqlite3_system_errno(connection.handle())
            },
            _ => 0,
        };
        match errno {
            0 => Error::sqlite(path, action)(error),
            errno => Error::io(path, action)(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// Did COMMIT fail where it removes the journal? If only the reply was lost, the transaction is there.
pub(crate) fn may_have_committed(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_DELETE, SQLITE_IOERR_DELETE_NOENT};
    error
        .sqlite_error()
        .is_some_and(|error| matches!(error.extended_code, SQLITE_IOERR_DELETE | SQLITE_IOERR_DELETE_NOENT))
}

/// Is there no room for what was to be written, or does the disk refuse it?
pub(crate) fn is_refused_by_disk(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure))
}

/// Rolls back what a dead writer left in the journal of a private copy. Answers what a quick check complains of.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn recover(connection: &Connection, path: &Path, check: bool) -> Result<Option<String>> {
    let failed = failed(connection, path, "rolling an unfinished transaction back");
    connection
        .execute_batch("PRAGMA synchronous=FULL; SELECT count(*) FROM sqlite_schema;")
        .map_err(&failed)?;
    if !check {
        return Ok(None);
    }
    let verdict: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    Ok((verdict != "ok").then_some(verdict))
}

/// Opens a new, private database file at `path` that nobody else knows of.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn create(path: &Path) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    open_with(path, flags)
}

/// Opens a database that is not written while this connection lives, without looking for a journal.
///
/// # Errors
///
/// [`Error::Missing`] where there is no file, [`Error::Sqlite`] otherwise.
pub(crate) fn open_immutable(path: &Path) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let uri = format!("file:{}?immutable=1", percent_encoded(path));
    if !path.exists() {
        return Err(Error::Missing { path: path.to_path_buf(), why: None });
    }
    configure();
    Connection::open_with_flags_and_vfs(uri, flags, VFS).map_err(Error::sqlite(path, "opening it"))
}

fn open_with(path: &Path, flags: OpenFlags) -> Result<Connection> {
    configure();
    Connection::open_with_flags_and_vfs(path, flags, VFS).map_err(|source| {
        if path.exists() || flags.contains(OpenFlags::SQLITE_OPEN_CREATE) {
            Error::Sqlite { path: path.to_path_buf(), action: "opening it", source }
        } else {
            Error::Missing { path: path.to_path_buf(), why: None }
        }
    })
}

/// The path in an SQLite URI: every byte that is not plain is escaped.
fn percent_encoded(path: &Path) -> String {
    use std::fmt::Write;

    let mut uri = String::new();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02x}");
        }
    }
    uri
}
