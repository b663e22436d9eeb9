//! The two files that SQLite sees, as its C interface wants them. What they may do is the guard's to say.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use rusqlite::ffi;

use super::bytes::write_at;
use super::guard::{Failure, Guard, Touch, Which};
use crate::mutation;

/// A file as SQLite holds it: its own part first, as it casts one pointer into the other.
#[repr(C)]
struct Opened {
    sqlite: ffi::sqlite3_file,
    /// From `Box::into_raw`; freed by `close`.
    part: *mut Part,
}

struct Part {
    guard: Arc<Guard>,
    which: Which,
}

#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // a few words
pub(super) const SIZE: c_int = size_of::<Opened>() as c_int;

/// Version 1: no shared memory, so no write-ahead log; no memory mapping.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// Makes a file of the memory at `file`.
///
/// # Safety
///
/// `file` points to memory of at least [`SIZE`] bytes that is no open file; `out_flags` is null or valid.
#[allow(unsafe_code)]
pub(super) unsafe fn make(
    file: *mut ffi::sqlite3_file,
    guard: Option<Arc<Guard>>,
    journal: bool,
    out_flags: *mut c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: as promised by the caller. A null table of methods tells SQLite not to close the file.
    unsafe {
        (*file).pMethods = std::ptr::null();
    }
    let which = if journal { Which::Journal } else { Which::Database };
    let Some(guard) = guard.filter(|guard| !journal || guard.has_journal()) else {
        return ffi::SQLITE_CANTOPEN;
    };
    let part = Box::into_raw(Box::new(Part { guard, which }));
    // SAFETY: as promised by the caller.
    unsafe {
        file.cast::<Opened>()
            .write(Opened { sqlite: ffi::sqlite3_file { pMethods: &raw const METHODS }, part });
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

/// The guard of a main database that was opened by this layer.
///
/// # Safety
///
/// `file` is null or a file that [`make`] made and nobody has closed.
#[allow(unsafe_code)]
pub(super) unsafe fn guard_of(file: *mut ffi::sqlite3_file) -> Option<Arc<Guard>> {
    // SAFETY: as promised by the caller.
    unsafe { file.as_ref().filter(|file| file.pMethods == &raw const METHODS)? };
    // SAFETY: its methods are ours, so it is ours.
    Some(Arc::clone(&unsafe { part(file) }.guard))
}

/// # Safety
///
/// `file` is a file that [`make`] made and nobody has closed. SQLite calls its methods under the same promise.
#[allow(unsafe_code)]
unsafe fn part<'a>(file: *mut ffi::sqlite3_file) -> &'a Part {
    // SAFETY: as promised by the caller.
    unsafe { &*(*file.cast::<Opened>()).part }
}

fn code(failure: Failure, disk: c_int) -> c_int {
    match failure {
        Failure::Full => ffi::SQLITE_FULL,
        Failure::Refused | Failure::Disk => disk,
    }
}

fn done(outcome: Result<(), Failure>, disk: c_int) -> c_int {
    outcome.map_or_else(|failure| code(failure, disk), |()| ffi::SQLITE_OK)
}

#[allow(unsafe_code)]
unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once; the pointer came from `Box::into_raw`.
    unsafe {
        drop(Box::from_raw((*file.cast::<Opened>()).part));
        (*file).pMethods = std::ptr::null();
    }
    ffi::SQLITE_OK
}

#[allow(unsafe_code)]
unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    buffer: *mut c_void,
    length: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let (Ok(length), Ok(offset)) = (usize::try_from(length), u64::try_from(offset)) else {
        return ffi::SQLITE_IOERR_READ;
    };
    // SAFETY: SQLite passes a buffer of `length` bytes that nobody else uses during the call, and an open file.
    let (part, buffer) = unsafe { (part(file), std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length)) };
    match part.guard.read(part.which, buffer, offset) {
        Ok(filled) if filled < buffer.len() => {
            // What is missing reads as zeroes, as SQLite asks.
            buffer[filled..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Ok(_) => ffi::SQLITE_OK,
        Err(failure) => {
            buffer.fill(0);
            code(failure, ffi::SQLITE_IOERR_READ)
        }
    }
}

#[allow(unsafe_code)]
unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    buffer: *const c_void,
    length: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let (Ok(length), Ok(offset)) = (usize::try_from(length), u64::try_from(offset)) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    // SAFETY: SQLite passes a buffer of `length` bytes that nobody changes during the call, and an open file.
    let (part, bytes) = unsafe { (part(file), std::slice::from_raw_parts(buffer.cast::<u8>(), length)) };
    let outcome = match part.which {
        Which::Journal => part.guard.write_journal(bytes, offset),
        Which::Database => {
            part.guard.touch(Which::Database, Touch::Write, |file| write_at(file, bytes, offset))
        }
    };
    done(outcome, ffi::SQLITE_IOERR_WRITE)
}

#[allow(unsafe_code)]
unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: an open file.
    let part = unsafe { part(file) };
    let size = u64::try_from(size).unwrap_or(0);
    done(part.guard.touch(part.which, Touch::Write, |file| file.set_len(size)), ffi::SQLITE_IOERR_TRUNCATE)
}

#[allow(unsafe_code)]
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: an open file.
    let part = unsafe { part(file) };
    done(part.guard.sync(part.which), ffi::SQLITE_IOERR_FSYNC)
}

#[allow(unsafe_code)]
unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: an open file.
    let part = unsafe { part(file) };
    let asked = match part.which {
        Which::Database => part.guard.size(),
        Which::Journal => part.guard.journal_size(),
    };
    match asked {
        Ok(bytes) => {
            // SAFETY: SQLite passes a place for the answer.
            unsafe { *size = i64::try_from(bytes).unwrap_or(i64::MAX) };
            ffi::SQLITE_OK
        }
        Err(failure) => code(failure, ffi::SQLITE_IOERR_FSTAT),
    }
}

/// Reading needs no lock of SQLite's; writing needs the tenure.
#[allow(unsafe_code)]
unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    let allowed = level < ffi::SQLITE_LOCK_RESERVED || unsafe { part(file) }.guard.may_write();
    if allowed { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_LOCK }
}

#[allow(unsafe_code)]
unsafe extern "C" fn unlock(_file: *mut ffi::sqlite3_file, _level: c_int) -> c_int {
    ffi::SQLITE_OK
}

/// "Somebody is writing: leave the journal alone", to all but the holder of the lock.
#[allow(unsafe_code)]
unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, reserved: *mut c_int) -> c_int {
    // SAFETY: an open file, and a place for the answer.
    unsafe {
        let may = part(file).guard.may_recover() && !mutation::off("roll-back");
        *reserved = c_int::from(!may);
    }
    ffi::SQLITE_OK
}

#[allow(unsafe_code)]
unsafe extern "C" fn file_control(
    file: *mut ffi::sqlite3_file,
    operation: c_int,
    argument: *mut c_void,
) -> c_int {
    if operation != ffi::SQLITE_FCNTL_HAS_MOVED {
        return ffi::SQLITE_NOTFOUND;
    }
    // SAFETY: an open file; the argument of this operation is a place for an int.
    unsafe { *argument.cast::<c_int>() = c_int::from(part(file).guard.has_moved()) };
    ffi::SQLITE_OK
}

/// What a disk writes at once or not at all; SQLite's own default.
#[allow(unsafe_code)]
unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    4096
}

/// A torn write damages nothing beside what it writes: what SQLite assumes of every disk by default.
#[allow(unsafe_code)]
unsafe extern "C" fn device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}
