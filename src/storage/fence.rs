//! Shutting out a writer that was taken over but may still live: stopped for longer than its lease, it goes on where
//! it was, in the middle of a write. No check of its own can prevent that. So the database is replaced by a copy, and
//! the descriptors that it has open lead to a file that nobody reads any more.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use sha2::{Digest, Sha256};

use super::birth::sync_directory;
use super::vfs::guard::Files;
use super::vfs::journal_path;
use super::{connection, file};
use crate::error::{Error, Result, may_hide_a_success};
use crate::mutation;

/// Copied between two renewals.
const PIECE: u64 = 64 << 20;
/// A larger copy is not checked in passing: `verify` does that.
const CHECKED_AT_ONCE: u64 = 64 << 20;
/// A writer whose lease is over stops at its next write: more changes than this are none of its.
const ATTEMPTS: u32 = 1000;

/// Where the replacement's content comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    /// The database itself, its journal rolled back.
    Live,
    /// A complete database: a backup.
    File {
        backup: &'a Path,
        /// The journal at the path is hot and cannot be rolled back: it must not come to stand beside the backup.
        journal_first: bool,
    },
}

/// What came of it.
pub(crate) enum Fenced {
    /// The path leads to the copy; these are its files. With what a check of them complained of.
    Replaced(Files, Option<String>),
    /// It cannot be replaced here, and why.
    Refused(String),
}

/// Removes the copies that earlier holders made: one that was stopped just before it gave its copy the database's
/// name can no longer do so.
///
/// # Errors
///
/// [`Error::Io`] where one cannot be removed: then nothing may be written.
pub(crate) fn revoke(path: &Path) -> Result<()> {
    if mutation::off("revoke") {
        return Ok(());
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return Ok(());
    };
    let copies = [format!("{name}.copy."), format!("{name}.jrnl.")];
    for entry in fs::read_dir(directory).map_err(Error::io(directory, "looking into"))? {
        let entry = entry.map_err(Error::io(directory, "looking into"))?;
        let found = entry.file_name();
        if !copies.iter().any(|copy| found.to_string_lossy().starts_with(copy.as_str())) {
            continue;
        }
        match fs::remove_file(entry.path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => other.map_err(Error::io(&entry.path(), "removing the copy of an earlier holder"))?,
        }
    }
    Ok(())
}

/// Replaces the database at `path`, under the lock. `keep` renews the lease; its error ends everything.
///
/// # Errors
///
/// Those of `keep`, [`Error::Io`] and [`Error::Sqlite`]; the database is as it was then, or replaced by an equal one.
pub(crate) fn replace(
    path: &Path,
    generation: u64,
    source: Source<'_>,
    keep: &mut dyn FnMut() -> Result<()>,
) -> Result<Fenced> {
    let directory = path.parent().unwrap_or_else(|| Path::new("/"));
    let sticky = directory.metadata().map_err(Error::io(directory, "looking at"))?.mode() & 0o1000 != 0;
    if sticky {
        // Not even its owner may: another user who takes over from it could not remove its copy.
        return Ok(Fenced::Refused(format!("{} is sticky (chmod -t cures it)", directory.display())));
    }
    let copies = Copies::beside(path, generation);
    match copies.make(path, source, keep) {
        Ok(fenced) => Ok(fenced),
        Err(Error::Io { source, .. }) if is_refusal(&source) => Ok(Fenced::Refused(source.to_string())),
        Err(Error::Sqlite { source, .. })
            if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) =>
        {
            Ok(Fenced::Refused(source.to_string()))
        }
        Err(error) => Err(error),
    }
}

/// The two files that will get the names of the database and its journal. Removed when dropped, under these names.
struct Copies {
    database: PathBuf,
    journal: PathBuf,
}

impl Drop for Copies {
    fn drop(&mut self) {
        for path in [&self.database, &journal_path(&self.database), &self.journal] {
            let _ = fs::remove_file(path);
        }
    }
}

impl Copies {
    fn beside(path: &Path, generation: u64) -> Self {
        let with = |kind: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{kind}.{generation}"));
            PathBuf::from(name)
        };
        Self { database: with("copy"), journal: with("jrnl") }
    }

    fn make(&self, path: &Path, source: Source<'_>, keep: &mut dyn FnMut() -> Result<()>) -> Result<Fenced> {
        let like = fs::metadata(path).map_err(Error::io(path, "looking at"))?;
        match source {
            Source::Live => self.copy_live(path, &like, keep)?,
            Source::File { backup, .. } => {
                let from = File::open(backup).map_err(Error::io(backup, "opening"))?;
                copy(&from, &create(&self.database, &like)?, &self.database, keep)?;
            }
        }
        mutation::reached("database-copied");
        let complaint = roll_back(&self.database)?;
        mutation::reached("copy-rolled-back");
        keep()?;
        let database = open(&self.database)?;
        let journal = create(&self.journal, &like)?;
        let synced = database.sync_all().and_then(|()| journal.sync_all());
        synced.map_err(Error::io(&self.database, "syncing"))?;
        // The copies have their names for good before these change.
        sync_directory(path.parent().unwrap_or_else(|| Path::new("/")))?;
        // Whoever took over since the last renewal has removed the copies: one more shows that nobody has.
        keep()?;
        let mut swaps =
            [(&self.database, path.to_path_buf(), &database), (&self.journal, journal_path(path), &journal)];
        if mutation::off("database-first") || matches!(source, Source::File { journal_first: true, .. }) {
            swaps.reverse();
        }
        for (from, to, file) in swaps {
            swap(from, &to, file)?;
        }
        sync_directory(path.parent().unwrap_or_else(|| Path::new("/")))?;
        Ok(Fenced::Replaced(Files { database, journal: Some(journal) }, complaint))
    }

    /// Copies the database and its journal as they are together at one moment.
    fn copy_live(&self, path: &Path, like: &Metadata, keep: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let database = open(path)?;
        let journal = match File::open(journal_path(path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            other => Some(other.map_err(Error::io(path, "opening the journal of"))?),
        };
        for _ in 0..ATTEMPTS {
            let before = Moment::of(path, &database, journal.as_ref())?;
            copy(&database, &create(&self.database, like)?, &self.database, keep)?;
            if let Some(journal) = &journal {
                mutation::reached("journal-copy");
                let target = journal_path(&self.database);
                copy(journal, &create(&target, like)?, &target, keep)?;
            }
            // Changed by a holder whose lease is not over: its lock was broken by force.
            if Moment::of(path, &database, journal.as_ref())? == before || mutation::off("validate-copy") {
                return Ok(());
            }
            keep()?;
        }
        let why = "somebody goes on changing it without its lock, so that it cannot be copied".to_owned();
        Err(Error::Busy { path: path.to_path_buf(), why })
    }
}

/// What must not change while a copy is made.
#[derive(PartialEq, Eq)]
struct Moment {
    header: Vec<u8>,
    journal: Option<Vec<u8>>,
}

impl Moment {
    fn of(path: &Path, database: &File, journal: Option<&File>) -> Result<Self> {
        let read = || {
            let mut header = Vec::new();
            file::from_start(database).take(100).read_to_end(&mut header)?;
            let digest = |journal| {
                let mut hasher = Sha256::new();
                let mut bytes = vec![0; 1 << 16];
                let mut journal = file::from_start(journal);
                loop {
                    match journal.read(&mut bytes)? {
                        0 => return Ok::<_, io::Error>(hasher.finalize().to_vec()),
                        count => hasher.update(&bytes[..count]),
                    }
                }
            };
            Ok(Self { header, journal: journal.map(digest).transpose()? })
        };
        read().map_err(Error::io(path, "reading"))
    }
}

/// A new file with the owner and mode of the one it stands for.
fn create(path: &Path, like: &Metadata) -> Result<File> {
    let create = || {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        // A group or owner that may not be given away stays: the mode is what counts.
        let _ = std::os::unix::fs::fchown(&file, Some(like.uid()), Some(like.gid()));
        file.set_permissions(Permissions::from_mode(like.mode() & 0o7777))?;
        Ok(file)
    };
    create().map_err(Error::io(path, "creating"))
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new().read(true).write(true).open(path).map_err(Error::io(path, "opening"))
}

fn copy(from: &File, to: &File, path: &Path, keep: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    let mut from = file::from_start(from);
    let mut to = to;
    loop {
        let copied = io::copy(&mut from.by_ref().take(PIECE), &mut to).and_then(|bytes| {
            // Synced piece by piece, so that no sync takes longer than a lease.
            to.sync_data().map(|()| bytes)
        });
        if copied.map_err(Error::io(path, "copying to"))? == 0 {
            return Ok(());
        }
        keep()?;
    }
}

/// Rolls the copy's journal back. Answers what a quick check of the result complains of.
fn roll_back(copy: &Path) -> Result<Option<String>> {
    let connection = connection::create(copy)?;
    let small = fs::metadata(copy).is_ok_and(|metadata| metadata.len() <= CHECKED_AT_ONCE);
    connection::recover(&connection, copy, small)
}

/// Gives the copy at `from`, which is open as `file`, the name `to`. Done is judged by the inode at `to`: there was
/// a file of that name before.
fn swap(from: &Path, to: &Path, file: &File) -> Result<()> {
    let failed = |source| Error::io(to, "replacing")(source);
    let ours = file.metadata().map_err(failed)?;
    for _ in 0..10 {
        mutation::reached("database-swap");
        let error = match fs::rename(from, to) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let there = fs::symlink_metadata(to).map(|metadata| (metadata.dev(), metadata.ino()));
        if there.ok() == Some((ours.dev(), ours.ino())) {
            return Ok(());
        }
        let gone = error.kind() == ErrorKind::NotFound;
        if gone && fs::symlink_metadata(from).is_err() {
            // Revoked: somebody else holds the lock.
            return Err(Error::LockLost { path: to.to_path_buf() });
        }
        if !gone && !may_hide_a_success(&error) {
            return Err(failed(error));
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Err(failed(io::Error::from_raw_os_error(nix::libc::EIO)))
}

/// No room, or no right: the fence cannot be had here.
fn is_refusal(error: &io::Error) -> bool {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    matches!(errno, Errno::ENOSPC | Errno::EDQUOT | Errno::EPERM | Errno::EACCES | Errno::EROFS)
}
