//! Recording what was measured: checked, then written, all or nothing.

use std::collections::HashMap;

use super::Store;
use crate::error::{Error, Result};
use crate::identity::dialect::{self, Dialect};
use crate::identity::{HexDigest, key, program, schedule};
use crate::lock::{Interrupt, Tenure};
use crate::measurement::Measurement;
use crate::storage::programs::{self, NewProgram};
use crate::storage::records::{self, NewRecord};
use crate::storage::result_json;

impl Store {
    /// Records one measurement, program and record in one transaction. `true` if it was written, `false` if it was
    /// there and `overwrite` is not set.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSchedule`], [`Error::InvalidMeasurement`], [`Error::CpuMismatch`], [`Error::ReadOnly`], and
    /// those of writing. Nothing is written then.
    pub fn record(
        &self,
        measurement: &Measurement,
        overwrite: bool,
        interrupt: &dyn Interrupt,
    ) -> Result<bool> {
        self.check_writes()?;
        let hash = program::hash(&measurement.program_source_code);
        let row = self.prepare(measurement, hash)?;
        self.write(interrupt, |tenure| self.put_row(tenure, &row, overwrite))
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
        overwrite: bool,
        interrupt: &dyn Interrupt,
    ) -> Result<usize> {
        self.check_writes()?;
        let mut hashes = SourceHashes::default();
        let rows = measurements
            .iter()
            .enumerate()
            .map(|(index, measurement)| {
                let hash = hashes.of(&measurement.program_source_code);
                self.prepare(measurement, hash).map_err(|error| Error::InBatch {
                    list,
                    index,
                    source: Box::new(error),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        if rows.is_empty() {
            return Ok(0);
        }
        self.write(interrupt, |tenure| {
            let mut written = 0;
            for chunk in rows.chunks(256) {
                for row in chunk {
                    written += usize::from(self.put_row(tenure, row, overwrite)?);
                }
                tenure.renew()?;
            }
            Ok(written)
        })
    }

    /// Adds a program without a record, as the original's `record_many` of no schedules does.
    ///
    /// # Errors
    ///
    /// [`Error::CpuMismatch`], [`Error::ReadOnly`], and those of writing.
    pub fn put_program(&self, program: &NewProgram<'_>, interrupt: &dyn Interrupt) -> Result<bool> {
        self.write(interrupt, |tenure| programs::put(tenure.connection(), &self.place.db_path, program))
    }

    fn prepare<'a>(&self, measurement: &'a Measurement, program_hash: HexDigest) -> Result<Row<'a>> {
        measurement.outcome.validate()?;
        let schedule = schedule::normalize(&measurement.schedule);
        self.check_schedule(&schedule)?;
        let key = key::key_of_normal(program_hash.as_str(), &schedule);
        let result_json = result_json::encode(&measurement.outcome);
        Ok(Row { measurement, program_hash, key, schedule, result_json })
    }

    fn check_schedule(&self, normal: &str) -> Result<()> {
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

    fn put_row(&self, tenure: &Tenure<'_>, row: &Row<'_>, overwrite: bool) -> Result<bool> {
        let (connection, path) = (tenure.connection(), self.db_path());
        let program = NewProgram {
            program_hash: row.program_hash.as_str(),
            program_name: &row.measurement.program_name,
            source_code: &row.measurement.program_source_code,
        };
        programs::put(connection, path, &program)?;
        let record = NewRecord {
            key: row.key.as_str(),
            program_hash: row.program_hash.as_str(),
            schedule: &row.schedule,
            result_json: &row.result_json,
        };
        records::put(connection, path, &self.recorder(), &record, overwrite)
    }
}

/// A measurement, checked and ready to be written.
struct Row<'a> {
    measurement: &'a Measurement,
    program_hash: HexDigest,
    key: HexDigest,
    schedule: String,
    result_json: String,
}

/// Hashes of the sources of one batch, each computed once.
#[derive(Default)]
pub(super) struct SourceHashes<'a>(HashMap<&'a str, HexDigest>);

impl<'a> SourceHashes<'a> {
    pub(super) fn of(&mut self, source: &'a str) -> HexDigest {
        *self.0.entry(source).or_insert_with(|| program::hash(source))
    }
}
