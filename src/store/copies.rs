//! Copies of a whole store: backups and exports.

use std::path::{Path, PathBuf};

use super::open::{parent, resolve};
use super::{Store, between};
use crate::error::{Error, Result};
use crate::lock::{Interrupt, lock_path};
use crate::mutation;
use crate::storage::export::{self, Format};
use crate::storage::{backup, connection, journal, schema, verify};
use crate::{clock, scratch};

/// What [`Store::export`] made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The file.
    pub path: PathBuf,
    /// Number of records that could not be exported as they are.
    pub damaged: u64,
}

impl Store {
    /// Copies one consistent state of the store to `target`, or to `<stem>_<UTC time>.db` beside it, replacing what
    /// is there once the copy is complete. Answers where it is.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] where `target` is the store itself or another one that is in use, and those of reading
    /// and of files.
    pub fn backup(&self, target: Option<&Path>, interrupt: &dyn Interrupt) -> Result<PathBuf> {
        self.backup_if(target, interrupt, |_, _| Ok(()))
    }

    /// [`Store::backup`] of a copy without damage: it is verified before it gets its name, without the store's lock.
    ///
    /// # Errors
    ///
    /// [`Error::DamagedCopy`], and what was at `target` is untouched; those of [`Store::backup`].
    pub fn backup_verified(&self, target: Option<&Path>, interrupt: &dyn Interrupt) -> Result<PathBuf> {
        self.backup_if(target, interrupt, |copy, target| {
            let report = verify::verify(&connection::open_immutable(copy)?, copy, &mut || ask(interrupt))?;
            if report.findings.is_empty() || mutation::off("verify-backup") {
                return Ok(());
            }
            Err(Error::DamagedCopy { path: target.to_path_buf(), findings: report.findings })
        })
    }

    fn backup_if(
        &self,
        target: Option<&Path>,
        interrupt: &dyn Interrupt,
        accept: impl FnOnce(&Path, &Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let target = match target {
            Some(target) => resolve(target)?,
            None => self.default_backup_path(),
        };
        self.refuse_itself(&target, "backup_path")?;
        let lock = lock_path(&target);
        // Beside a store it may be this one's: names that differ in their last suffix share a lock.
        if target.exists() && lock.exists() && lock != self.place.lock_path() {
            let text = format!(
                "backup_path is a store that is in use: {} is its lock, and all its records would be gone; choose \
                 another path, or restore() a backup into that store",
                lock.display()
            );
            return Err(Error::InvalidArgument(text));
        }
        if journal::is_hot(&target) {
            let text = format!(
                "backup_path has the journal of another database: {} would be damaged by it; choose another path",
                target.display()
            );
            return Err(Error::InvalidArgument(text));
        }
        let aside = self.copy_aside(parent(&target), interrupt)?;
        accept(aside.path(), &target)?;
        backup::publish(aside, &target, self.sharing.file_mode())?;
        Ok(target)
    }

    fn refuse_itself(&self, target: &Path, argument: &str) -> Result<()> {
        if target == self.db_path() {
            let text = format!("{argument} is the store itself: {}", target.display());
            return Err(Error::InvalidArgument(text));
        }
        Ok(())
    }

    fn default_backup_path(&self) -> PathBuf {
        let stem = self.db_path().file_stem().unwrap_or_default().to_string_lossy();
        self.db_path().with_file_name(format!("{stem}_{}.db", clock::now_compact()))
    }

    fn copy_aside(&self, directory: &Path, interrupt: &dyn Interrupt) -> Result<tempfile::NamedTempFile> {
        if mutation::off("copy-through-sqlite") {
            let failed = |source| Error::io(directory, "copying to")(source);
            let aside = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
            std::fs::copy(self.db_path(), aside.path()).map_err(failed)?;
            return Ok(aside);
        }
        self.read_long(interrupt, |snapshot| {
            backup::copy_aside(snapshot.connection(), directory, &mut || between(snapshot, interrupt))
        })
    }

    /// Writes everything to `target`, which is replaced once the export is complete.
    ///
    /// It is read from a private copy, so that workers wait for a file copy and not for JSON; the copy lies beside
    /// `target` until the export ends.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] where `target` is a database, and those of reading and of files.
    pub fn export(&self, target: &Path, format: Format, interrupt: &dyn Interrupt) -> Result<Exported> {
        let path = resolve(target)?;
        self.refuse_itself(&path, "output_path")?;
        if path.exists() && matches!(schema::file_kind(&path)?, schema::FileKind::Database) {
            let text = format!("output_path is a database, not an earlier export: {}", path.display());
            return Err(Error::InvalidArgument(text));
        }
        let copy = self.copy_aside(parent(&path), interrupt)?;
        let snapshot = connection::open_immutable(copy.path())?;
        let aside = scratch::file_in(parent(&path))?;
        let damaged =
            export::write(&snapshot, self.db_path(), aside.as_file(), &path, format, &|| ask(interrupt))?;
        backup::publish(aside, &path, self.sharing.file_mode())?;
        Ok(Exported { path, damaged })
    }
}

/// Called between the pieces of work on a private copy, for which no lock is held.
fn ask(interrupt: &dyn Interrupt) -> Result<()> {
    if interrupt.pending() { Err(Error::Interrupted) } else { Ok(()) }
}
