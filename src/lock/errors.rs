//! What the file system says, sorted into what may pass, what may hide a success, and what no waiting cures.

use std::io;
use std::path::Path;

use nix::errno::Errno;

use crate::error::{Error, may_hide_a_success};

/// An error that no waiting cures, with what to do about it.
pub(crate) fn refused(path: &Path, action: &'static str, source: io::Error) -> Error {
    let advice = match Errno::from_raw(source.raw_os_error().unwrap_or(0)) {
        Errno::EACCES | Errno::EPERM => {
            "; every user of a store must be able to create and remove files in its directory \
             (the owner can run: chmod 0777 on it, and chmod -t if it is sticky)"
        }
        Errno::EROFS => "; the file system is read-only: open the store with read_only=True",
        Errno::ENOSPC | Errno::EDQUOT => "; there is no room for a lock file: free space or raise the quota",
        Errno::ENOENT => "; its directory does not exist",
        Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EXDEV | Errno::EMLINK => {
            "; this file system lacks what this lock is made of: run tirastore doctor on the directory"
        }
        _ => "",
    };
    Error::Lock { path: path.to_path_buf(), action, source, advice }
}

/// Errors after which a lock file may or may not have been linked, or removed.
pub(crate) fn is_ambiguous(error: &io::Error) -> bool {
    may_hide_a_success(error) || error.kind() == io::ErrorKind::AlreadyExists
}
