//! What a node's own caches may hide on a file system that is not coherent: that a name exists, that it leads to
//! another file by now, how long that file is, and what is in it. A request that changes something is not answered from
//! a cache.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;

use super::vfs::journal_path;
use crate::error::{Error, Result};
use crate::mutation;

/// A lost reply is asked about this often before the file system is given up.
const RETRIES: u32 = 8;

/// Does a file stand at `path`, whatever this node remembers? For the holder of the store's lock: where there is none,
/// an empty one stands there for a moment.
///
/// # Errors
///
/// Those of creating a file.
pub(crate) fn exists(path: &Path) -> io::Result<bool> {
    // The only opening that must ask: neither a remembered file nor a remembered absence would do for it.
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(_) => remove(path).map(|()| false),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(true),
        Err(error) => Err(error),
    }
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

fn forget(path: &Path) -> io::Result<()> {
    if !exists(path)? {
        return Ok(());
    }
    let file = match OpenOptions::new().write(true).open(path) {
        // The reply to a change of attributes brings all of them. Times of now may be set by whoever may write.
        Ok(file) => {
            futimens(&file, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW)?;
            file
        }
        // Who may only read has to do with the attributes that this node remembers.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(path)?,
        Err(error) => return Err(error),
    };
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    Ok(())
}
