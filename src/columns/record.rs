//! One record, decoded as far as somebody asks.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use super::decode::Decoded;
use super::derive;
use super::field::Field;
use super::tokens::Tokens;
use super::value::Value;
use crate::identity::schedule::Transformation;
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
    pub(super) decoded: &'a Decoded,
    /// All finite.
    pub(super) times: &'a [f64],
    pub(super) environment: Option<&'a str>,
    /// Microseconds since 1970.
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) transformations: OnceCell<Option<Vec<Rc<Transformation>>>>,
    pub(super) tokens: &'a RefCell<Tokens>,
    pub(super) scratch: &'a RefCell<Vec<f64>>,
}

impl Record<'_> {
    pub(super) fn value(&self, field: Field) -> Value<'_> {
        match field {
            Field::Key => Value::Text(self.stored.key),
            Field::ProgramName => Value::Text(&self.program.name),
            Field::ProgramHash => Value::Text(&self.program.hash),
            Field::Schedule => Value::Text(self.stored.schedule),
            Field::IsLegal => Value::Truth(self.decoded.is_legal),
            Field::Status => Value::Text(self.decoded.status.name()),
            Field::ExecutionTimes if self.decoded.has_times => Value::Times(self.times),
            Field::ExecutionTimes => Value::Null,
            Field::Runs => count(self.times.len()),
            Field::MinTime => Value::number(derive::min(self.times)),
            Field::MedianTime => Value::number(derive::median(self.times, &mut self.scratch.borrow_mut())),
            Field::MeanTime => Value::number(derive::mean(self.times)),
            Field::StdTime => Value::number(derive::std(self.times)),
            Field::Speedup => Value::number(derive::speedup(self.program.initial, self.times)),
            Field::Transformations => self.transformations().map_or(Value::Null, Value::Kinds),
            Field::TransformationCount => {
                self.transformations().map_or(Value::Null, |list| count(list.len()))
            }
            Field::Features => self.transformations().map_or(Value::Null, Value::Features),
            Field::Environment => Value::text(self.environment),
            Field::Hostname => Value::Text(self.stored.hostname),
            Field::Username => Value::Text(self.stored.username),
            Field::CreationDate => Value::Instant(self.created),
            Field::UpdateDate => Value::Instant(self.updated),
            Field::SourceProject => Value::Text(self.stored.source_project),
            Field::SourceCode => Value::text(self.program.source.as_deref()),
        }
    }

    /// `None` for schedules of other notations, which are not parsed.
    fn transformations(&self) -> Option<&[Rc<Transformation>]> {
        let parse = || self.tokens.borrow_mut().of(self.stored.schedule);
        self.transformations.get_or_init(parse).as_deref()
    }
}

fn count(length: usize) -> Value<'static> {
    Value::Count(i64::try_from(length).unwrap_or(i64::MAX))
}
