//! Opening the database without any lock of SQLite's own: on the file systems this is made for there are none.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Once;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::{Error, Result};

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
    connection.execute_batch(settings).map_err(Error::sqlite(path, "setting up the connection"))?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)
        .map(|_| ())
        .map_err(Error::sqlite(path, "setting up the connection"))
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

/// SQLite's journal of the database at `path`.
pub(crate) fn journal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-journal");
    PathBuf::from(name)
}

/// Is the journal beside the database at `path` hot: must it be rolled back? `SQLite`'s rule: its first byte is not 0.
/// A writer that was killed before it synced the journal leaves one that never mattered.
pub(crate) fn has_hot_journal(path: &Path) -> bool {
    let mut first = [0];
    File::open(journal(path))
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
