//! Taking in measurements that were made elsewhere.
//!
//! What is there stays, so that taking in the same again changes nothing, and a run that was stopped is repeated.

use std::sync::Arc;

use super::Store;
use super::record::Programs;
use crate::clock;
use crate::commit::{Program, Row};
use crate::error::{Error, Result};
use crate::lock::Interrupt;
use crate::measurement::{IfExists, Measurement};
use crate::mutation;
use crate::storage::adopt::{self, Origin, Past};
use crate::storage::programs::{self, NewProgram};
use crate::storage::records::{self, NewRecord};
use crate::storage::tally::{self, Counts};

/// Rows after which a long batch shows that it is alive.
const ROWS_BETWEEN_RENEWALS: usize = 256;

/// A measurement that was made elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    /// What was measured.
    pub measurement: Measurement,
    /// Where and when.
    pub origin: Origin,
}

/// What became of measurements that were taken in; those that are neither were there already.
#[derive(Debug, Default)]
pub struct Adopted {
    /// How many were written.
    pub written: usize,
    /// Which ones cannot be recorded, and why.
    pub refused: Vec<(usize, Error)>,
}

/// A record that was made elsewhere, ready to be written.
pub(super) struct Adoption {
    pub(super) row: Row,
    pub(super) further_names: Arc<Vec<String>>,
    pub(super) origin: Origin,
    pub(super) history: Vec<Past>,
}

impl Store {
    /// Takes in measurements that were made elsewhere. Each is checked by itself: the good ones are written in one
    /// transaction, unless they are there.
    ///
    /// # Errors
    ///
    /// [`Error::CpuMismatch`], [`Error::ReadOnly`], and those of writing.
    pub fn adopt(&self, foreign: &[Foreign], interrupt: &dyn Interrupt) -> Result<Adopted> {
        self.check_writes()?;
        let (mut programs, mut adopted, mut rows) = (Programs::default(), Adopted::default(), Vec::new());
        let further_names = Arc::default();
        for (index, Foreign { measurement, origin }) in foreign.iter().enumerate() {
            let row = check_dates(origin)
                .and_then(|()| self.prepare(measurement, IfExists::Keep, || programs.of(measurement)));
            match row {
                Ok(row) => rows.push(Adoption {
                    row,
                    further_names: Arc::clone(&further_names),
                    origin: origin.clone(),
                    history: Vec::new(),
                }),
                Err(error) => adopted.refused.push((index, error)),
            }
        }
        adopted.written = self.write_missing(&rows, interrupt)?;
        Ok(adopted)
    }

    /// Asks first which rows are there, without the lock: repeating an import costs workers nothing.
    pub(super) fn write_missing(&self, rows: &[Adoption], interrupt: &dyn Interrupt) -> Result<usize> {
        let path = self.db_path();
        let missing = self.read(interrupt, |snapshot| {
            let mut missing = Vec::new();
            for adoption in rows {
                if mutation::off("adopt-asks-first")
                    || !records::exists(snapshot.connection(), path, &adoption.row.key)?
                {
                    missing.push(adoption);
                }
            }
            Ok(missing)
        })?;
        if missing.is_empty() {
            return Ok(0);
        }
        self.write(interrupt, |tenure| {
            let connection = tenure.connection();
            let (mut written, mut counts) = (0, Counts::new());
            let mut last: Option<&Program> = None;
            for chunk in missing.chunks(ROWS_BETWEEN_RENEWALS) {
                for Adoption { row, further_names, origin, history } in chunk {
                    let Row { program, key, schedule, result_json, .. } = row;
                    let Program { hash, name, source } = &**program;
                    if !last.is_some_and(|last| last.hash == *hash && last.name == *name) {
                        for name in std::iter::once(name).chain(further_names.iter()) {
                            let program =
                                NewProgram { program_hash: hash, program_name: name, source_code: source };
                            programs::put(connection, path, &program)?;
                        }
                        last = Some(program);
                    }
                    let record = NewRecord { key, program_hash: hash, schedule, result_json };
                    written +=
                        usize::from(adopt::put(connection, path, &record, origin, history, &mut counts)?);
                }
                tenure.renew()?;
            }
            if !mutation::off("adopt-counts") {
                tally::add(connection, path, &counts)?;
            }
            Ok(written)
        })
    }
}

/// Checks both dates of a record.
pub(super) fn check_dates(origin: &Origin) -> Result<()> {
    check_date("creation_date", &origin.creation_date)?;
    check_date("update_date", &origin.update_date)
}

/// Dates are compared as text: one in another form would stand in the wrong place for ever.
pub(super) fn check_date(name: &str, date: &str) -> Result<()> {
    if clock::is_iso(date) {
        return Ok(());
    }
    Err(Error::InvalidMeasurement(format!("{name} is {date:?}, no date in ISO 8601")))
}
