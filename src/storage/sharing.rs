//! Who else may use what this process creates. The umask of the process is never changed: modes are set explicitly.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Who may use a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Everybody, within what this call creates: files 0666, new directories 0777.
    NewOnly,
    /// Everybody: an existing parent directory of the caller's is opened, too.
    Everything,
    /// The owner alone: files 0600, new directories 0700.
    Private,
}

impl Sharing {
    /// From the Python parameter `share`.
    #[must_use]
    pub fn from_option(share: Option<bool>) -> Self {
        match share {
            None => Self::NewOnly,
            Some(true) => Self::Everything,
            Some(false) => Self::Private,
        }
    }

    /// Mode of the database, its journal and lock files.
    #[must_use]
    pub fn file_mode(self) -> u32 {
        if self == Self::Private { 0o600 } else { 0o666 }
    }

    /// Mode of created directories. Never sticky: the sticky bit protects nothing while the database is writable by
    /// all, and forbids everybody but the creator to recover the store.
    fn directory_mode(self) -> u32 {
        if self == Self::Private { 0o700 } else { 0o777 }
    }

    /// Makes sure that the directory of `file` exists, creating what is missing, and opens it where asked to.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where it cannot be created, [`Error::InvalidArgument`] where it must not be opened.
    pub fn prepare_parent(self, file: &Path) -> Result<()> {
        let Some(parent) = file.parent() else { return Ok(()) };
        let existed = parent.is_dir();
        self.create_directories(parent)?;
        if existed && self == Self::Everything {
            open_to_everybody(parent)?;
        }
        Ok(())
    }

    fn create_directories(self, directory: &Path) -> Result<()> {
        if directory.is_dir() {
            return Ok(());
        }
        if let Some(parent) = directory.parent() {
            self.create_directories(parent)?;
        }
        match DirBuilder::new().mode(0o700).create(directory) {
            // Made by somebody else in the meantime: theirs.
            Err(_) if directory.is_dir() => Ok(()),
            created => created
                .and_then(|()| set_mode(directory, self.directory_mode()))
                .map_err(Error::io(directory, "creating directory")),
        }
    }
}

/// Sets the permissions of a directory. Its set-group-ID bit stays: project directories hand their group down by it.
fn set_mode(directory: &Path, mode: u32) -> io::Result<()> {
    let kept = directory.metadata()?.mode() & 0o2000;
    fs::set_permissions(directory, Permissions::from_mode(kept | mode))
}

fn open_to_everybody(directory: &Path) -> Result<()> {
    let refuse = |why: &str| {
        let text = format!(
            "share=True would open {} to everybody, but {why}; choose another directory",
            directory.display()
        );
        Err(Error::InvalidArgument(text))
    };
    let metadata = directory.metadata().map_err(Error::io(directory, "looking at"))?;
    if metadata.mode() & 0o777 == 0o777 {
        return Ok(());
    }
    if is_home(directory) {
        return refuse("it is a home directory");
    }
    if metadata.uid() != nix::unistd::geteuid().as_raw() {
        return refuse("it belongs to another user");
    }
    set_mode(directory, 0o777).map_err(Error::io(directory, "opening to everybody"))
}

fn is_home(directory: &Path) -> bool {
    let from_environment = std::env::var_os("HOME").map(PathBuf::from);
    let from_database =
        nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.dir);
    [from_environment, from_database]
        .into_iter()
        .flatten()
        .filter_map(|home| home.canonicalize().ok())
        .any(|home| directory.canonicalize().is_ok_and(|directory| directory == home))
}
