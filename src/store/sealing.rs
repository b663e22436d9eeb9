//! A store and its lock, for those who look after it.

use std::path::Path;

use super::Store;
use super::open::{Options, check_is_database, not_readable, place_of, resolve};
use crate::clock;
use crate::commit;
use crate::error::{Error, Result};
use crate::lock::{self, Interrupt, LockInfo};
use crate::notices;
use crate::storage::{connection, journal, meta, schema, tally};

/// Records that are handed over while a store is unsealed are written so many times before that is given up.
const TRIES: u32 = 5;

impl Store {
    /// How the store is locked just now.
    pub fn lock_info(&self) -> Result<LockInfo> {
        self.check_open()?;
        lock::info(&self.place)
    }

    /// Seals the store: from here on clients of the original cannot enter. `false` if it was sealed.
    pub fn seal(&self, interrupt: &dyn Interrupt) -> Result<bool> {
        self.check_open()?;
        self.check_writes()?;
        let path = self.db_path();
        let is_new = lock::seal(&self.place, interrupt)?;
        // Sealed by one that died before it counted, or written by somebody who does not count.
        let counted =
            !is_new && self.read(interrupt, |snapshot| tally::is_right(snapshot.connection(), path))?;
        if counted {
            return Ok(false);
        }
        self.write(interrupt, |tenure| {
            connection::raise_epoch(tenure.connection(), path)?;
            tally::recount(tenure.connection(), path, &mut || tenure.renew())?;
            if is_new { meta::set(tenure.connection(), path, "sealed_at", &clock::now_iso()) } else { Ok(()) }
        })?;
        Ok(is_new)
    }

    /// Opens a sealed store to clients of the original, which must happen while nobody uses it. `false` if it was open.
    pub fn unseal(&self, interrupt: &dyn Interrupt) -> Result<bool> {
        self.check_open()?;
        self.check_writes()?;
        let mut tries = 0;
        loop {
            // They stand in the directory that goes away.
            while commit::apply_kept(&self.place, interrupt, &[])? > 0 {}
            match lock::unseal(&self.place, interrupt) {
                Err(Error::Busy { .. }) if tries < TRIES => tries += 1,
                other => return other,
            }
        }
    }

    /// Replaces all of the store by what is in `backup`. Who has it open sees the new content from the next call on.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStore`] where `backup` is none, [`Error::CannotReplace`], and those of writing.
    pub fn restore(&self, backup: &Path, interrupt: &dyn Interrupt) -> Result<()> {
        self.check_open()?;
        self.check_writes()?;
        let backup = resolve(backup)?;
        if backup == self.db_path() {
            let text = format!("backup is the store itself: {}", backup.display());
            return Err(Error::InvalidArgument(text));
        }
        check_is_store(&backup)?;
        if journal::is_hot(&backup) {
            let path = backup.display();
            let text = format!(
                "{path} has a journal to be rolled back: open it as a store first, or make a backup of it"
            );
            return Err(Error::InvalidArgument(text));
        }
        lock::restore(&self.place, &backup, interrupt)?;
        let counted = self.write(interrupt, |tenure| {
            tally::recount(tenure.connection(), self.db_path(), &mut || tenure.renew())
        });
        if let Err(error) = counted {
            let text = format!(
                "the store is restored; count() and stats() will be slow until it is sealed again: {error}"
            );
            notices::put(text);
        }
        Ok(())
    }
}

/// How the store at `options.db_path` is locked, without opening it.
pub fn lock_info(options: &Options) -> Result<LockInfo> {
    lock::info(&place_of(options)?)
}

/// Takes the lock of a store from whoever holds it, without opening the store first.
pub fn break_lock(options: &Options, interrupt: &dyn Interrupt) -> Result<()> {
    lock::break_lock(&place_of(options)?, interrupt)
}

/// Mends a lock directory whose token is lost; all clients must be stopped. Answers what was wrong.
pub fn repair_lock(options: &Options, interrupt: &dyn Interrupt) -> Result<Option<String>> {
    lock::repair(&place_of(options)?, interrupt)
}

/// A backup that is none is told from one before the store is touched.
fn check_is_store(backup: &Path) -> Result<()> {
    check_is_database(backup)?;
    schema::check(&connection::open_immutable(backup)?, backup).map_err(not_readable)
}
