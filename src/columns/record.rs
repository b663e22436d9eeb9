//! One record, decoded as far as somebody asks.

use std::cell::{OnceCell, RefCell};

use super::decode::Decoded;
use super::derive;
use super::field::Field;
use super::value::Value;
use crate::identity::schedule::{self, Transformation};
use crate::storage::columns::Stored;

/// What records of one program have in common.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) hash: String,
    /// Its first name.
    pub(super) name: String,
    /// Read only where it is asked for.
    pub(super) source: Option<String>,
    /// The best time without a schedule, in milliseconds; looked up only where it is asked for.
    pub(super) initial: Option<f64>,
}

/// A record with its program.
pub(super) struct Record<'a> {
    pub(super) stored: &'a Stored<'a>,
    pub(super) program: &'a Program,
    pub(super) decoded: &'a Decoded<'a>,
    /// All finite.
    pub(super) times: &'a [f64],
    pub(super) environment: Option<&'a str>,
    /// Microseconds since 1970.
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) parsed: OnceCell<Option<Parsed>>,
    pub(super) scratch: &'a RefCell<Vec<f64>>,
}

/// A schedule as its grammar understands it.
pub(super) struct Parsed {
    transformations: Vec<Transformation>,
    kinds: Vec<&'static str>,
}

impl Record<'_> {
    pub(super) fn value(&self, field: Field) -> Value<'_> {
        match field {
            Field::Key => Value::Text(self.stored.key),
            Field::ProgramName => Value::Text(&self.program.name),
            Field::ProgramHash => Value::Text(&self.program.hash),
            Field::Schedule => Value::Text(self.stored.schedule),
            Field::IsLegal => Value::Truth(self.decoded.is_legal),
            Field::Status => Value::Text(self.status()),
            Field::ExecutionTimes if self.decoded.has_times => Value::Times(self.times),
            Field::ExecutionTimes => Value::Null,
            Field::Runs => count(self.times.len()),
            Field::MinTime => Value::number(derive::min(self.times)),
            Field::MedianTime => Value::number(derive::median(self.times, &mut self.scratch.borrow_mut())),
            Field::MeanTime => Value::number(derive::mean(self.times)),
            Field::StdTime => Value::number(derive::std(self.times)),
            Field::Speedup => Value::number(derive::speedup(self.program.initial, self.times)),
            Field::Transformations => self.parsed().map_or(Value::Null, |parsed| Value::Kinds(&parsed.kinds)),
            Field::TransformationCount => {
                self.parsed().map_or(Value::Null, |parsed| count(parsed.kinds.len()))
            }
            Field::Features => {
                self.parsed().map_or(Value::Null, |parsed| Value::Features(&parsed.transformations))
            }
            Field::Environment => Value::text(self.environment),
            Field::Hostname => Value::Text(self.stored.hostname),
            Field::Username => Value::Text(self.stored.username),
            Field::CreationDate => Value::Instant(self.created),
            Field::UpdateDate => Value::Instant(self.updated),
            Field::SourceProject => Value::Text(self.stored.source_project),
            Field::SourceCode => Value::text(self.program.source.as_deref()),
        }
    }

    /// How the measurement ended, written only where it does not follow.
    fn status(&self) -> &str {
        match &self.decoded.status {
            Some(status) => status,
            None if !self.decoded.is_legal => "illegal",
            None if self.times.is_empty() => "unmeasured",
            None => "measured",
        }
    }

    /// `None` for schedules of other notations, which are not parsed.
    fn parsed(&self) -> Option<&Parsed> {
        let parse = || {
            let transformations = schedule::parse(self.stored.schedule).ok()?.transformations;
            let kinds = transformations.iter().map(Transformation::name).collect();
            Some(Parsed { transformations, kinds })
        };
        self.parsed.get_or_init(parse).as_ref()
    }
}

fn count(length: usize) -> Value<'static> {
    Value::Count(i64::try_from(length).unwrap_or(i64::MAX))
}
