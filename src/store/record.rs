//! Recording what was measured: checked, then written, all or nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::Store;
use crate::commit::{self, Row};
use crate::error::{Error, Result};
use crate::identity::dialect::{self, Dialect};
use crate::identity::{key, program, schedule};
use crate::lock::Interrupt;
use crate::measurement::{IfExists, Measurement};
use crate::reads;
use crate::storage::programs::{self, NewProgram};
use crate::storage::{records, result_json};

impl Store {
    /// Records one measurement, program and record in one transaction. `true` if it was written, `false` if it was
    /// there and `if_exists` says to keep it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSchedule`], [`Error::InvalidMeasurement`], [`Error::CpuMismatch`], [`Error::ReadOnly`], and
    /// those of writing. Nothing is written then.
    pub fn record(
        &self,
        measurement: &Measurement,
        if_exists: impl Into<IfExists>,
        interrupt: &dyn Interrupt,
    ) -> Result<bool> {
        self.check_writes()?;
        let row = self.prepare(measurement, if_exists.into(), || program_of(measurement))?;
        self.commit(vec![row], interrupt).map(|written| written > 0)
    }

    /// Records measurements of any programs in one transaction, after all of them have been checked. Answers how
    /// many were written. `list` is what the caller calls the batch.
    ///
    /// # Errors
    ///
    /// As [`Store::record`]; a bad measurement is named as [`Error::InBatch`].
    pub fn record_batch(
        &self,
        measurements: &[Measurement],
        list: &'static str,
        if_exists: impl Into<IfExists>,
        interrupt: &dyn Interrupt,
    ) -> Result<usize> {
        self.check_writes()?;
        let (mut programs, if_exists) = (Programs::default(), if_exists.into());
        let rows = measurements
            .iter()
            .enumerate()
            .map(|(index, measurement)| {
                self.prepare(measurement, if_exists, || programs.of(measurement))
                    .map_err(|error| Error::InBatch { list, index, source: Box::new(error) })
            })
            .collect::<Result<Vec<_>>>()?;
        if rows.is_empty() {
            return Ok(0);
        }
        self.commit(rows, interrupt)
    }

    fn commit(&self, rows: Vec<Row>, interrupt: &dyn Interrupt) -> Result<usize> {
        self.check_open()?;
        if self.finds.are_likely() && self.are_there(&rows)? {
            self.finds.note(true);
            return Ok(0);
        }
        let written = commit::record(&self.place, &self.group, interrupt, self.recorder(), rows)?;
        self.finds.note(written == 0);
        Ok(written)
    }

    /// Would nothing be written of `rows`, as far as one look without the lock can tell?
    fn are_there(&self, rows: &[Row]) -> Result<bool> {
        if rows.iter().any(|row| row.if_exists != IfExists::Keep || row.claim.is_some()) {
            return Ok(false);
        }
        let path = self.place.db_path.as_path();
        let there = reads::glance(&self.place, |connection| {
            let mut last: Option<&Arc<commit::Program>> = None;
            for Row { program, key, .. } in rows {
                let is_known = last.is_some_and(|last| Arc::ptr_eq(last, program))
                    || programs::exists(connection, path, &program.hash, &program.name)?;
                if !is_known || !records::exists(connection, path, key)? {
                    return Ok(false);
                }
                last = Some(program);
            }
            Ok(true)
        });
        Ok(there?.unwrap_or(false))
    }

    /// Adds a program without a record, as the original's `record_many` of no schedules does.
    ///
    /// # Errors
    ///
    /// [`Error::CpuMismatch`], [`Error::ReadOnly`], and those of writing.
    pub fn put_program(&self, program: &NewProgram<'_>, interrupt: &dyn Interrupt) -> Result<bool> {
        self.write(interrupt, |tenure| programs::put(tenure.connection(), &self.place.db_path, program))
    }

    /// Checks and encodes a measurement, whose program is `program`.
    pub(super) fn prepare(
        &self,
        measurement: &Measurement,
        if_exists: IfExists,
        program: impl FnOnce() -> Arc<commit::Program>,
    ) -> Result<Row> {
        measurement.outcome.validate()?;
        let schedule = schedule::normalize(&measurement.schedule);
        self.check_schedule(&schedule)?;
        let program = program();
        let key = key::key_of_normal(&program.hash, &schedule).as_str().to_owned();
        let result_json = result_json::encode(&measurement.outcome);
        Ok(Row { if_exists, program, key, schedule, result_json, claim: None })
    }

    pub(super) fn check_schedule(&self, normal: &str) -> Result<()> {
        let Err(error) = schedule::validate(normal) else {
            if self.dialects.contains(&Dialect::Tiralib) || normal.is_empty() {
                return Ok(());
            }
            return Err(self.dialect_refused(Dialect::Tiralib, ""));
        };
        match dialect::dialect_of(normal) {
            Some(dialect) if self.dialects.contains(&dialect) && dialect != Dialect::Tiralib => Ok(()),
            Some(dialect) if dialect != Dialect::Tiralib => {
                Err(self.dialect_refused(dialect, &error.to_string()))
            }
            _ => Err(Error::InvalidSchedule(error.to_string())),
        }
    }

    fn dialect_refused(&self, dialect: Dialect, reason: &str) -> Error {
        let accepted: Vec<_> = self.dialects.iter().map(|dialect| dialect.name()).collect();
        let dialect = dialect.name();
        let remedy =
            format!("this store was opened for {accepted:?}, name {dialect:?} in dialects= to record it");
        Error::InvalidSchedule(match reason {
            "" => format!("this is a schedule of dialect {dialect:?}; {remedy}"),
            reason => format!("{reason}. If a schedule of dialect {dialect:?} is meant: {remedy}"),
        })
    }
}

/// Whether what is recorded tends to be there already. Then a look without the lock comes first, which costs a client
/// that records what is new a little of its time, and who finds everything there nearly nothing.
#[derive(Debug, Default)]
pub(super) struct Finds(AtomicU8);

impl Finds {
    /// So many batches in a row that were new end it.
    const MEMORY: u8 = 4;

    fn are_likely(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    fn note(&self, found: bool) {
        let left = if found { Self::MEMORY } else { self.0.load(Ordering::Relaxed).saturating_sub(1) };
        self.0.store(left, Ordering::Relaxed);
    }
}

/// Programs of one batch, each hashed once.
#[derive(Default)]
pub(super) struct Programs<'a>(HashMap<(&'a str, &'a str), Arc<commit::Program>>);

impl<'a> Programs<'a> {
    pub(super) fn of(&mut self, measurement: &'a Measurement) -> Arc<commit::Program> {
        let Measurement { program_name: name, program_source_code: source, .. } = measurement;
        Arc::clone(self.0.entry((name, source)).or_insert_with(|| program_of(measurement)))
    }
}

/// The program of a measurement.
pub(super) fn program_of(measurement: &Measurement) -> Arc<commit::Program> {
    let Measurement { program_name: name, program_source_code: source, .. } = measurement;
    let hash = program::hash(source).as_str().to_owned();
    Arc::new(commit::Program { hash, name: name.clone(), source: source.clone() })
}
