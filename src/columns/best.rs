//! The fastest records of each program.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::Connection;

use super::batch::Batch;
use super::constant::Constant;
use super::field::Field;
use super::filter::{Filter, Test};
use super::schema::schema_of;
use super::search::Found;
use super::value::Value;
use super::walk::Walk;
use crate::error::{Error, Result};
use crate::storage::columns::Rows;

/// What makes one record faster than another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stat {
    /// The best run.
    Min,
    /// The middle run.
    Median,
    /// The mean of all runs.
    Mean,
}

impl Stat {
    /// From its name.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] that lists the names.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "min" => Ok(Self::Min),
            "median" => Ok(Self::Median),
            "mean" => Ok(Self::Mean),
            other => Err(Error::InvalidArgument(format!(
                "stat must be \"min\", \"median\" or \"mean\", got {other:?}"
            ))),
        }
    }

    fn field(self) -> Field {
        match self {
            Self::Min => Field::MinTime,
            Self::Median => Field::MedianTime,
            Self::Mean => Field::MeanTime,
        }
    }
}

/// Which of the fastest records are wanted.
#[derive(Debug, Clone)]
pub struct Best {
    /// Of the programs with these hashes; `None` for all.
    pub programs: Option<Vec<String>>,
    /// So many of each program.
    pub count: usize,
    /// The fastest by this.
    pub stat: Stat,
    /// What to show of them.
    pub columns: Vec<Field>,
}

impl Best {
    /// The fastest legal ones, ordered by name and hash of their program, the fastest first; equal ones in the order
    /// in which they were recorded.
    ///
    /// # Errors
    ///
    /// As [`super::search`].
    pub fn of(
        &self,
        connection: &Connection,
        path: &Path,
        between: &dyn Fn() -> Result<()>,
    ) -> Result<Found> {
        let filter = self.filter()?;
        let fields = [self.stat.field()];
        let walk = Walk { connection, path, filter: &filter, fields: &fields, between };
        let mut fastest: HashMap<(String, String), Vec<(f64, i64)>> = HashMap::new();
        let mut program = (String::new(), String::new());
        let walked = walk.over_wanted(|record| {
            let Value::Number(time) = record.value(self.stat.field()) else {
                return Ok(ControlFlow::Continue(()));
            };
            if record.belongs.program.hash != program.1 {
                program = (record.belongs.program.name.clone(), record.belongs.program.hash.clone());
            }
            let entry = (time, record.stored.rowid);
            match fastest.get_mut(&program) {
                Some(kept) => {
                    let place = kept.partition_point(|(other, _)| *other <= time);
                    if place < self.count {
                        kept.insert(place, entry);
                        kept.truncate(self.count);
                    }
                }
                None if self.count > 0 => {
                    fastest.insert(program.clone(), vec![entry]);
                }
                None => {}
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let mut ordered: Vec<_> = fastest.into_iter().collect();
        ordered.sort_by(|(one, _), (other, _)| one.cmp(other));
        let rowids: Vec<i64> =
            ordered.into_iter().flat_map(|(_, kept)| kept).map(|(_, rowid)| rowid).collect();
        let mut batch = Batch::new(&self.columns);
        let every = Filter::default();
        Walk { filter: &every, fields: &self.columns, ..walk }.over(Rows::Listed(&rowids), |record| {
            batch.push(record);
            Ok(ControlFlow::Continue(()))
        })?;
        let batches = if batch.rows() > 0 { vec![batch.finish()?] } else { Vec::new() };
        Ok(Found { schema: schema_of(&self.columns), batches, damaged: walked.damaged })
    }

    fn filter(&self) -> Result<Filter> {
        let mut tests = vec![Test::new("is_legal", "==", &Constant::Truth(true))?];
        if let Some(hashes) = &self.programs {
            let hashes = hashes.iter().map(|hash| Constant::Text(hash.clone())).collect();
            tests.push(Test::new("program_hash", "in", &Constant::List(hashes))?);
        }
        Ok(Filter::default().and(&tests))
    }
}
