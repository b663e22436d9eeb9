//! Single records by their key, and facts about the whole store.

use std::time::Duration;

use super::{Store, between};
use crate::error::{Error, Result};
use crate::lock::{Interrupt, Place};
use crate::measurement::IfExists;
use crate::reads;
use crate::storage::environments::Named;
use crate::storage::records::{self, NewRecord, Page, RecordOfProgram, Recorder};
use crate::storage::summary::{self, Summary};
use crate::storage::tally::{self, Counts};
use crate::storage::{meta, programs};

impl Store {
    /// The record under `key` together with its program.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRecord`] where a column holds no text, or the program is missing.
    pub fn get(&self, key: &str, interrupt: &dyn Interrupt) -> Result<Option<RecordOfProgram>> {
        self.read(interrupt, |snapshot| {
            let found = records::get_with_program(snapshot.connection(), &self.place.db_path, key)?;
            found.map(RecordOfProgram::whole).transpose()
        })
    }

    /// Is there a record under `key`?
    pub fn contains_key(&self, key: &str, interrupt: &dyn Interrupt) -> Result<bool> {
        self.read(interrupt, |snapshot| records::exists(snapshot.connection(), &self.place.db_path, key))
    }

    /// Writes undecoded records as they are, in one transaction: for administration. Answers how many were written.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownProgram`] where a program is not stored, and those of writing.
    pub fn put(
        &self,
        rows: &[NewRecord<'_>],
        recorder: Option<&Recorder>,
        if_exists: impl Into<IfExists>,
        interrupt: &dyn Interrupt,
    ) -> Result<usize> {
        let recorder = recorder.cloned().unwrap_or_else(|| self.recorder());
        // What is copied was measured elsewhere, or names its environment.
        let (named, if_exists) = (Named::new(None), if_exists.into());
        self.write(interrupt, |tenure| {
            let (connection, path, mut counts) = (tenure.connection(), self.db_path(), Counts::new());
            let written = rows.iter().try_fold(0, |written, row| {
                let put = records::put(connection, path, &recorder, &named, row, if_exists, &mut counts)?;
                Ok::<_, Error>(written + usize::from(put))
            })?;
            tally::add(connection, path, &counts)?;
            Ok(written)
        })
    }

    /// Removes the record under `key`. `true` if it was there.
    ///
    /// # Errors
    ///
    /// [`Error::CpuMismatch`], [`Error::ReadOnly`], and those of writing.
    pub fn delete(&self, key: &str, interrupt: &dyn Interrupt) -> Result<bool> {
        self.write(interrupt, |tenure| records::delete(tenure.connection(), &self.place.db_path, key))
    }

    /// Number of records.
    pub fn count(&self, interrupt: &dyn Interrupt) -> Result<u64> {
        self.read(interrupt, |snapshot| records::count(snapshot.connection(), &self.place.db_path))
    }

    /// Number of programs.
    pub fn program_count(&self, interrupt: &dyn Interrupt) -> Result<u64> {
        self.read(interrupt, |snapshot| programs::count(snapshot.connection(), &self.place.db_path))
    }

    /// Hashes of the programs that have records, in order, and how many each has.
    pub fn program_sizes(&self, interrupt: &dyn Interrupt) -> Result<Vec<(String, u64)>> {
        self.read_long(interrupt, |snapshot| programs::sizes(snapshot.connection(), self.db_path()))
    }

    /// Numbers of records and programs, or nothing where somebody else is busy for longer than `patience`.
    pub fn glance(&self, patience: Duration, interrupt: &dyn Interrupt) -> Result<Option<(u64, u64)>> {
        self.check_open()?;
        let path = &self.place.db_path;
        let place = Place { lock_timeout: patience, ..self.place.clone() };
        let sizes = reads::read(&place, self.read_mode, interrupt, |snapshot| {
            Ok((records::count(snapshot.connection(), path)?, programs::count(snapshot.connection(), path)?))
        });
        match sizes {
            Err(Error::LockTimeout { .. } | Error::Busy { .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Counts over the whole store.
    pub fn stats(&self, interrupt: &dyn Interrupt) -> Result<Summary> {
        let path = self.db_path();
        let counted = self.read(interrupt, |snapshot| {
            let counts = tally::read(snapshot.connection(), path)?;
            counts.map(|counts| summary::summarize(snapshot.connection(), path, &counts)).transpose()
        })?;
        if let Some(summary) = counted {
            return Ok(summary);
        }
        self.read_long(interrupt, |snapshot| {
            let counts = tally::scan(snapshot.connection(), path, &mut || between(snapshot, interrupt))?;
            summary::summarize(snapshot.connection(), path, &counts)
        })
    }

    /// Keys in the order of creation.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] where `page.after` is not in the store, and those of reading.
    pub fn keys(&self, page: Page<'_>, interrupt: &dyn Interrupt) -> Result<Vec<String>> {
        self.read_long(interrupt, |snapshot| records::keys(snapshot.connection(), &self.place.db_path, page))
    }

    /// A value of `db_meta`.
    pub fn meta(&self, name: &str, interrupt: &dyn Interrupt) -> Result<Option<String>> {
        self.read(interrupt, |snapshot| meta::get(snapshot.connection(), &self.place.db_path, name))
    }

    /// Sets a value of `db_meta`.
    ///
    /// # Errors
    ///
    /// [`Error::CpuMismatch`], [`Error::ReadOnly`], and those of writing.
    pub fn set_meta(&self, name: &str, value: &str, interrupt: &dyn Interrupt) -> Result<()> {
        self.write(interrupt, |tenure| meta::set(tenure.connection(), &self.place.db_path, name, value))
    }
}
