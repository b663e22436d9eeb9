//! Opening the database without any lock of SQLite's own: on the file systems this is made for there are none.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Once};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::birth;
use super::vfs;
use super::vfs::guard::{Files, Guard};
use super::vfs::journal_path;
use crate::error::{Error, Result};
use crate::mutation;

/// SQLite's Unix file system layer with every lock call left out. Excluding others is the tenure's business.
const VFS: &std::ffi::CStr = c"unix-none";
/// Operations of SQLite's machine between two looks at the lease: a millisecond or less.
const OPERATIONS_BETWEEN_LOOKS: std::ffi::c_int = 10_000;

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
    let journal = open_journal(path, &database, writes)?;
    Ok(Files { database, journal })
}

/// Opens the journal of the database at `path`; a tenure that writes creates it if it is missing.
///
/// # Errors
///
/// [`Error::Io`].
pub(crate) fn open_journal(path: &Path, database: &File, writes: bool) -> Result<Option<File>> {
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
pub(crate) fn remove_journal(path: &Path) -> Result<()> {
    let journal = journal_path(path);
    match std::fs::remove_file(&journal) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.map_err(Error::io(&journal, "removing")),
    }
}

/// Is there a journal of another user's that the sticky bit of its directory forbids this one to remove?
pub(crate) fn journal_is_kept_by_owner(path: &Path) -> bool {
    let directory = path.parent().and_then(|directory| directory.metadata().ok());
    let (Some(directory), Ok(journal)) = (directory, journal_path(path).symlink_metadata()) else {
        return false;
    };
    let me = nix::unistd::geteuid().as_raw();
    directory.mode() & 0o1000 != 0 && me != 0 && directory.uid() != me && journal.uid() != me
}

/// Opens a connection over files that a tenure has opened, and for which it has shown that it is inside: opening
/// reads, and the first transaction rolls a dead writer's journal back.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn open_guarded(path: &Path, guard: &Arc<Guard>) -> Result<Connection> {
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

/// Settings of a connection of the token lock's tenures, once it may read.
///
/// `journal_mode=PERSIST`: a transaction ends with zeroes in the journal and a sync of it. There is no name to be
/// made durable, so `synchronous=FULL` is all.
///
/// # Errors
///
/// [`Error::Sqlite`].
pub(crate) fn set_up_guarded(connection: &Connection, path: &Path) -> Result<()> {
    let settings = "PRAGMA journal_mode=PERSIST; PRAGMA synchronous=FULL; PRAGMA cache_spill=OFF; \
                    PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA foreign_keys=ON;";
    connection.execute_batch(settings).map_err(Error::sqlite(path, "setting up the connection"))
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

/// Did SQLite find that the path leads to another file than the one that it has open?
pub(crate) fn was_replaced(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_READONLY_DBMOVED)
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

/// Is the journal beside the database at `path` hot: must it be rolled back? `SQLite`'s rule: its first byte is not 0.
/// A writer that was killed before it synced the journal leaves one that never mattered.
pub(crate) fn has_hot_journal(path: &Path) -> bool {
    let mut first = [0];
    File::open(journal_path(path))
        .and_then(|mut file| file.read(&mut first))
        .is_ok_and(|length| length == 1 && first[0] != 0)
}

/// Configures SQLite before its first use in this process.
///
/// Its memory statistics stand under one mutex that every allocation takes. A process that forks while another thread
/// allocates would leave that mutex locked for ever in the child; nobody reads the statistics.
fn configure() {
    static CONFIGURED: Once = Once::new();
    CONFIGURED.call_once(|| {
        let off: std::ffi::c_int = 0;
        // SAFETY: SQLite is not initialised yet, as every use of it in this crate opens a connection first and comes
        // through here; the option takes one int. Should it be refused, statistics stay on, as they are by default.
        #[allow(unsafe_code)]
        unsafe {
            rusqlite::ffi::sqlite3_config(rusqlite::ffi::SQLITE_CONFIG_MEMSTATUS, off);
        }
    });
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
