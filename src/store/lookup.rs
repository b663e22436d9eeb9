//! Asking before measuring.

use std::collections::HashMap;
use std::ptr;
use std::sync::Arc;

use super::Store;
use crate::error::Result;
use crate::identity::{HexDigest, key, program};
use crate::lock::Interrupt;
use crate::reads::{self, Hit};
use crate::storage::connection;
use crate::storage::programs::{self, Program};
use crate::storage::records::{self, RecordOfProgram};

impl Store {
    /// The record of a schedule of a program.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRecord`](crate::Error::CorruptRecord), and those of reading.
    pub fn lookup(
        &self,
        source: &str,
        schedule: &str,
        interrupt: &dyn Interrupt,
    ) -> Result<Option<Arc<Hit>>> {
        self.lookup_key(key_of(source, schedule), interrupt)
    }

    pub(super) fn lookup_key(&self, key: HexDigest, interrupt: &dyn Interrupt) -> Result<Option<Arc<Hit>>> {
        self.check_open()?;
        Ok(reads::find(&self.place, &self.hits, self.read_mode, interrupt, &[key])?.pop().flatten())
    }

    /// The records of many (source, schedule) pairs, in their order, from one read.
    ///
    /// # Errors
    ///
    /// As [`Store::lookup`].
    pub fn lookup_many(
        &self,
        pairs: &[(&str, &str)],
        interrupt: &dyn Interrupt,
    ) -> Result<Vec<Option<Arc<Hit>>>> {
        self.check_open()?;
        reads::find(&self.place, &self.hits, self.read_mode, interrupt, &keys_of(pairs))
    }

    /// Is a schedule of a program recorded?
    pub fn contains(&self, source: &str, schedule: &str, interrupt: &dyn Interrupt) -> Result<bool> {
        let key = key_of(source, schedule);
        self.read(interrupt, |snapshot| {
            records::exists(snapshot.connection(), &self.place.db_path, key.as_str())
        })
    }

    /// Which of many (source, schedule) pairs are recorded, in their order, from one read.
    pub fn contains_many(&self, pairs: &[(&str, &str)], interrupt: &dyn Interrupt) -> Result<Vec<bool>> {
        let keys = keys_of(pairs);
        let path = &self.place.db_path;
        self.read(interrupt, |snapshot| {
            connection::in_one_read(snapshot.connection(), path, || {
                keys.iter().map(|key| records::exists(snapshot.connection(), path, key.as_str())).collect()
            })
        })
    }

    /// Every program recorded under `program_name`, ordered by hash.
    pub fn programs_named(&self, program_name: &str, interrupt: &dyn Interrupt) -> Result<Vec<Program>> {
        self.read(interrupt, |snapshot| {
            programs::by_name(snapshot.connection(), &self.place.db_path, program_name)
        })
    }

    /// Every program, ordered by name and hash.
    pub fn programs(&self, interrupt: &dyn Interrupt) -> Result<Vec<Program>> {
        self.read_long(interrupt, |snapshot| programs::all(snapshot.connection(), &self.place.db_path))
    }

    /// Every record of a program given by its source, oldest first.
    pub fn program_records(&self, source: &str, interrupt: &dyn Interrupt) -> Result<Vec<RecordOfProgram>> {
        self.program_records_by_hash(program::hash(source).as_str(), interrupt)
    }

    /// Every record of a program given by its hash, oldest first.
    pub fn program_records_by_hash(
        &self,
        hash: &str,
        interrupt: &dyn Interrupt,
    ) -> Result<Vec<RecordOfProgram>> {
        self.read(interrupt, |snapshot| records::of_program(snapshot.connection(), &self.place.db_path, hash))
    }

    /// The program with this hash.
    pub fn program(&self, hash: &str, interrupt: &dyn Interrupt) -> Result<Option<Program>> {
        self.read(interrupt, |snapshot| programs::get(snapshot.connection(), &self.place.db_path, hash))
    }
}

pub(super) fn key_of(source: &str, schedule: &str) -> HexDigest {
    key::make_key(program::hash(source).as_str(), schedule)
}

fn keys_of(pairs: &[(&str, &str)]) -> Vec<HexDigest> {
    // By their addresses: the sources of one program are most often one string. Of equal ones elsewhere the last
    // few are remembered.
    let mut hashes: HashMap<*const str, HexDigest> = HashMap::new();
    let key = |(source, schedule): &(&str, &str)| {
        let hash = hashes.entry(ptr::from_ref(*source)).or_insert_with(|| program::hash(source));
        key::make_key(hash.as_str(), schedule)
    };
    pairs.iter().map(key).collect()
}
