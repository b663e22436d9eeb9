//! What a node's own caches may hide on a file system that is not coherent: that a name exists, that it leads to
//! another file by now, how long that file is, and what is in it. A request that changes something is not answered from
//! a cache.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};
use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;

use super::vfs::journal_path;
use crate::error::{Error, Result};
use crate::mutation;

/// A lost reply is asked about this often before the file system is given up.
const RETRIES: u32 = 8;
/// Longer than a client remembers a name: for so long it may lead to a file that is gone.
const REMEMBERED: Duration = Duration::from_secs(5);

/// Does a file stand at `path`, whatever this node remembers? For the holder of the store's lock: where there is none,
/// an empty one stands there for a moment.
///
/// # Errors
///
/// Those of creating a file.
pub(crate) fn exists(path: &Path) -> io::Result<bool> {
    // The only opening that must ask: neither a remembered file nor a remembered absence would do for it.
    match OpenOptions::new().write(true).create_new(true).open(path) {
        // Closed before it is removed: a file that is open outlives its name, and others could find it.
        Ok(created) => drop(created),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(true),
        Err(error) => return Err(error),
    }
    remove(path).map(|()| false)
}

/// Does a database stand at `path` where this node sees none? Asked for the sake of the journal beside it, by who holds
/// the store's lock. Where there is no journal nothing can go wrong, and the answer is no: looking for the database
/// would show others an empty one, which they might take for what stands there once a real one does.
///
/// # Errors
///
/// Those of creating a file.
pub(crate) fn is_hidden(path: &Path) -> io::Result<bool> {
    let asks = mutation::off("show-no-empty-database") || asked(|| exists(&journal_path(path)))?;
    Ok(asks && asked(|| exists(path))?)
}

/// Removes a file that must not stay. After an error that hides a success it is gone.
fn remove(path: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(_) if tries < RETRIES => tries += 1,
            other => return other,
        }
        thread::sleep(Duration::from_millis(1 << tries));
    }
}

/// Has this node ask anew for names, sizes and pages of the database at `path` and of its journal, for a tenure that is
/// about to open them.
///
/// # Errors
///
/// [`Error::Io`]; a file that is not there is none.
pub(crate) fn look(path: &Path) -> Result<()> {
    if mutation::off("fresh-look") {
        return Ok(());
    }
    for path in [path, &journal_path(path)] {
        forget(path).map_err(Error::io(path, "looking anew at"))?;
    }
    Ok(())
}

/// The size of the file that stands at `path`, for the holder of the store's lock; `None` where none is seen, which may
/// be an old memory.
///
/// # Errors
///
/// [`Error::Io`].
pub(crate) fn size(path: &Path) -> Result<Option<u64>> {
    match asked(|| renew(path)) {
        Ok(size) => Ok(Some(size)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, "looking anew at")(error)),
    }
}

fn forget(path: &Path) -> io::Result<()> {
    asked(|| if exists(path)? { renew(path).map(|_| ()) } else { Ok(()) })
}

/// Asks again while a remembered name leads to a file that was removed or replaced: only time cures that.
///
/// # Errors
///
/// Those of `ask`.
pub(crate) fn asked<T>(mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let (began, mut pause) = (Instant::now(), Duration::from_millis(5));
    loop {
        match ask() {
            Err(error) if is_stale(&error) && began.elapsed() < REMEMBERED => thread::sleep(pause),
            outcome => return outcome,
        }
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

fn is_stale(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ESTALE as i32) && !mutation::off("outwait-old-names")
}

/// Has the attributes and pages of the file at `path` asked for anew. Answers its size.
fn renew(path: &Path) -> io::Result<u64> {
    let file = match OpenOptions::new().write(true).open(path) {
        // The reply to a change of attributes brings all of them. Times of now may be set by whoever may write.
        Ok(file) => {
            futimens(&file, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW)?;
            forget_copies(&file)?;
            file
        }
        // Who may only read has to do with the attributes that this node remembers.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(path)?,
        Err(error) => return Err(error),
    };
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    let metadata = file.metadata()?;
    if metadata.nlink() == 0 {
        return Err(Errno::ESTALE.into());
    }
    Ok(metadata.len())
}

/// A client of the file system may keep copies of small files in a process of its own, where neither what is told to
/// the kernel reaches them nor `O_DIRECT` (`GlusterFS`: quick-read, for a second). It drops them when this node changes
/// the file. Room for a byte that is there is a change of nothing; who does not know it keeps no such copies.
fn forget_copies(file: &File) -> io::Result<()> {
    if mutation::off("forget-copies") {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, 1) {
        Err(Errno::ESTALE) => Err(Errno::ESTALE.into()),
        _ => Ok(()),
    }
}
