//! SQLite's way to the disk: our own files for the database and its journal, its own layer for everything else.
//!
//! SQLite locks nothing here, because where this is made for there is nothing that locks. What its locks would say is
//! answered from the store's lock instead:
//!
//! * a file is written only inside a tenure that has shown that it is inside, and read in one only while it lasts;
//! * a journal is somebody else's running transaction for everybody but the holder of the lock (`xCheckReservedLock`):
//!   a reader that took it for a dead writer's would roll a living one back;
//! * the journal's descriptor belongs to the tenure, which opened it before it showed that it is inside: SQLite would
//!   open it later, when the path may have come to mean another file;
//! * there is no write-ahead log and no shared memory.
//!
//! A connection is tied to its files by [`open`]; SQLite finds the layer by the name [`NAME`].

pub(crate) mod bytes;
mod files;
pub(crate) mod guard;
mod pending;

use std::cell::RefCell;
use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use rusqlite::ffi;

use self::guard::Guard;

/// Name of the layer for `sqlite3_open_v2`.
const NAME: &CStr = c"tirastore";
/// The layer that everything else is left to: SQLite's Unix layer without locks.
const BASE: &CStr = c"unix-none";

thread_local! {
    /// The files of the connection that this thread is opening.
    static OPENING: RefCell<Option<Arc<Guard>>> = const { RefCell::new(None) };
}

/// Runs `open`, which opens one connection by the layer's name, so that its main database is `guard`'s files.
pub(crate) fn opening<T>(guard: &Arc<Guard>, open: impl FnOnce(&'static CStr) -> T) -> T {
    register();
    OPENING.set(Some(Arc::clone(guard)));
    let opened = open(NAME);
    OPENING.set(None);
    opened
}

/// Makes the layer known to SQLite, once in a process.
fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // SAFETY: SQLite hands out a pointer to a layer that lives as long as the process, or null.
        #[allow(unsafe_code)]
        let base = unsafe { ffi::sqlite3_vfs_find(BASE.as_ptr()) };
        // SAFETY: a valid pointer or null, as above; the structure is plain data.
        #[allow(unsafe_code)]
        let Some(base) = (unsafe { base.as_ref() }) else { return };
        let ours = Box::leak(Box::new(ffi::sqlite3_vfs {
            zName: NAME.as_ptr(),
            szOsFile: base.szOsFile.max(files::SIZE),
            pNext: std::ptr::null_mut(),
            xOpen: Some(open_file),
            xDelete: Some(delete),
            xAccess: Some(access),
            ..*base
        }));
        // SAFETY: the structure is never freed, and never changed after this.
        #[allow(unsafe_code)]
        unsafe {
            ffi::sqlite3_vfs_register(ours, 0);
        }
    });
}

/// The layer that is left everything that is not the main database or its journal.
fn base() -> Option<&'static ffi::sqlite3_vfs> {
    // SAFETY: as in `register`.
    #[allow(unsafe_code)]
    unsafe {
        ffi::sqlite3_vfs_find(BASE.as_ptr()).as_ref()
    }
}

/// `xOpen`. Called by SQLite with memory for one file, of the size that `register` asked for.
#[allow(unsafe_code)]
unsafe extern "C" fn open_file(
    _vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let guard = if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 {
        OPENING.take()
    } else if flags & ffi::SQLITE_OPEN_MAIN_JOURNAL != 0 {
        // SAFETY: SQLite passes the name that it made for this journal, for which the function is meant.
        unsafe { files::guard_of(ffi::sqlite3_database_file_object(name)) }
    } else {
        let Some(base) = base() else { return ffi::SQLITE_CANTOPEN };
        let Some(open) = base.xOpen else { return ffi::SQLITE_CANTOPEN };
        // SAFETY: what SQLite passed to us is passed on; the memory is at least as large as the base layer asked for.
        return unsafe { open(std::ptr::from_ref(base).cast_mut(), name, file, flags, out_flags) };
    };
    let journal = flags & ffi::SQLITE_OPEN_MAIN_JOURNAL != 0;
    // SAFETY: memory of the size that we asked for, not yet a file.
    unsafe { files::make(file, guard, journal, out_flags, flags) }
}

/// `xDelete`. A journal is never removed, because its descriptor belongs to the tenure: zeroes at its beginning say as
/// well that it is nobody's. SQLite asks for this after a recovery, before it knows that journals are to be kept.
#[allow(unsafe_code)]
unsafe extern "C" fn delete(_vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite passes a name that ends with a NUL byte.
    if unsafe { ends_with(name, b"-journal") } {
        // SAFETY: a string that ends with a NUL byte, or the test above would have failed.
        let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()));
        let ended = guard::active().filter(|guard| journal_path(guard.path()) == path);
        let ended = ended.is_some_and(|guard| guard.end_journal().is_ok());
        return if ended { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_DELETE };
    }
    let Some((base, delete)) = base().and_then(|base| Some((base, base.xDelete?))) else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    // SAFETY: passed on as it came.
    unsafe { delete(std::ptr::from_ref(base).cast_mut(), name, sync) }
}

/// `xAccess`. A journal always exists and a write-ahead log never, without asking the file server: who may not roll
/// a journal back asks no further, and who may has it open.
#[allow(unsafe_code)]
unsafe extern "C" fn access(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _flags: c_int,
    answer: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes a name that ends with a NUL byte, and a place for the answer.
    unsafe {
        *answer = c_int::from(ends_with(name, b"-journal"));
    }
    ffi::SQLITE_OK
}

#[allow(unsafe_code)]
unsafe fn ends_with(name: *const c_char, end: &[u8]) -> bool {
    // SAFETY: the caller passes a string that ends with a NUL byte, or null.
    !name.is_null() && unsafe { CStr::from_ptr(name) }.to_bytes().ends_with(end)
}

/// SQLite's journal of the database at `path`.
pub(crate) fn journal_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-journal");
    PathBuf::from(name)
}
