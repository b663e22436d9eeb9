//! The temporary file whose second name becomes the lock.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::RngExt;

use super::holder::Holder;
use crate::error::Result;
use crate::lock::errors::{is_ambiguous, refused};
use crate::{clock, mutation, scratch};

/// Lock files are padded to this size, so that a renewal replaces all of one by one write of equal length.
const PAYLOAD_BYTES: usize = 512;

/// Device and inode number: which file, whatever its name.
pub(super) type Inode = (u64, u64);

pub(super) fn inode(metadata: &fs::Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}

/// A file that is not the lock yet.
pub(super) struct Ticket {
    name: TemporaryName,
    pub(super) file: File,
    pub(super) inode: Inode,
    pub(super) written: Duration,
}

/// A name that is removed when it is dropped; the file lives on under its other name, if it has one.
pub(super) struct TemporaryName(pub(super) PathBuf);

impl Drop for TemporaryName {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Ticket {
    pub(super) fn create(lock_path: &Path, mode: u32) -> Result<Self> {
        let name = TemporaryName(scratch_path(lock_path, ""));
        let written = clock::since_boot();
        let create = || {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name.0)?;
            // Exactly this mode, whatever the umask.
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            file.write_all_at(&payload(), 0)?;
            let inode = inode(&file.metadata()?);
            Ok((file, inode))
        };
        let (file, inode) =
            create().map_err(|source| refused(lock_path, "creating a temporary file beside it", source))?;
        Ok(Self { name, file, inode, written })
    }

    /// Gives this file the lock's name. After an error that may hide a success the file itself tells: its inode
    /// stands at the lock path, or it has two names.
    pub(super) fn link_to(&self, lock_path: &Path) -> Result<bool> {
        match fs::hard_link(&self.name.0, lock_path) {
            Ok(()) => Ok(true),
            Err(_) if self.is_at(lock_path) && !mutation::off("lost-replies") => Ok(true),
            Err(error) if is_ambiguous(&error) => Ok(false),
            // Our temporary name was swept away: not held, try again.
            Err(error)
                if error.kind() == ErrorKind::NotFound && lock_path.parent().is_some_and(Path::is_dir) =>
            {
                Ok(false)
            }
            Err(source) => Err(refused(lock_path, "linking it", source)),
        }
    }

    fn is_at(&self, lock_path: &Path) -> bool {
        fs::symlink_metadata(lock_path).is_ok_and(|metadata| inode(&metadata) == self.inode)
            || self.file.metadata().is_ok_and(|metadata| metadata.nlink() >= 2)
    }
}

/// A name of this process beside the lock.
pub(super) fn scratch_path(lock_path: &Path, kind: &str) -> PathBuf {
    let random: u64 = crate::random::rng().random();
    lock_path.with_file_name(format!("{}{kind}{random:016x}", scratch::lock_prefix()))
}

pub(super) fn payload() -> Vec<u8> {
    let mut bytes = Holder::me().to_json();
    let padded = bytes.len().next_multiple_of(PAYLOAD_BYTES);
    bytes.resize(padded, b' ');
    bytes
}
