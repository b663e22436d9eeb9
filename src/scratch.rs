//! Temporary files beside a store. Their names tell which process made them, so that those of the dead can be swept.

use std::fs;
use std::io;
use std::path::Path;
use std::process;

use nix::errno::Errno;
use nix::sys::signal;
use nix::unistd::Pid;
use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::{machine, mutation};

/// Files that become a lock; the original's pattern, so that its leftovers are swept, too.
const LOCKS: &str = ".lock";
/// Batches that wait for whoever holds the lock.
pub(crate) const BATCHES: &str = "batch";
/// Batches that were handed over for good: nobody waits for them, and they outlive their process. Never swept.
pub(crate) const KEPT: &str = "keep";
/// Files that become a store, a backup or an export.
const COPIES: &str = ".tirastore";

/// Beginning of the names of this process's temporary lock files.
pub(crate) fn lock_prefix() -> String {
    prefix(LOCKS)
}

/// Beginning of the names of this process's unfinished copies.
pub(crate) fn copy_prefix() -> String {
    prefix(COPIES)
}

/// Beginning of the names of this process's batches that wait.
pub(crate) fn batch_prefix() -> String {
    prefix(BATCHES)
}

/// A new private file in `directory`, removed when dropped.
pub(crate) fn file_in(directory: &Path) -> Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(&prefix(COPIES))
        .tempfile_in(directory)
        .map_err(without_name)
        .map_err(Error::io(directory, "creating a file in"))
}

/// The system's error alone: a temporary name tells nobody anything. Of that error only the kind can be had.
fn without_name(error: io::Error) -> io::Error {
    let errno = match error.kind() {
        io::ErrorKind::NotFound => Errno::ENOENT,
        io::ErrorKind::NotADirectory => Errno::ENOTDIR,
        io::ErrorKind::PermissionDenied => Errno::EACCES,
        io::ErrorKind::ReadOnlyFilesystem => Errno::EROFS,
        io::ErrorKind::StorageFull => Errno::ENOSPC,
        io::ErrorKind::QuotaExceeded => Errno::EDQUOT,
        _ => return error,
    };
    errno.into()
}

/// Beginning of the names of batches that this process hands over for good.
pub(crate) fn kept_prefix() -> String {
    if mutation::off("outlive-the-process") { batch_prefix() } else { prefix(KEPT) }
}

fn prefix(kind: &str) -> String {
    format!("{kind}_{}_{}_", machine::hostname(), process::id())
}

/// Removes the temporary files and directories in `directory` of processes of this host that have ended. At worst such a file belongs
/// to a process in another container of the same host name: its next step fails once and is an error or a retry.
pub(crate) fn sweep(directory: &Path) {
    if mutation::off("sweep") {
        return;
    }
    let host = machine::hostname();
    let prefixes = [LOCKS, COPIES, BATCHES].map(|kind| format!("{kind}_{host}_"));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let maker = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix.as_str()));
        let pid = maker.and_then(|rest| rest.split('_').next()).and_then(|pid| pid.parse::<i32>().ok());
        let Some(pid) = pid.filter(|&pid| pid > 0) else { continue };
        if signal::kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH) {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let _ =
                if is_directory { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
        }
    }
}
