//! One record, decoded as far as somebody asks. What was worked out goes with it to other threads.

use std::cell::{OnceCell, RefCell};
use std::ops::Range;
use std::sync::Arc;

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

/// What belongs to a record in other tables.
#[derive(Debug)]
pub(super) struct Belongs {
    pub(super) program: Arc<Program>,
    pub(super) environment: Option<Arc<str>>,
}

/// What a record's own texts say, and what was worked out of them so far.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) decoded: Decoded,
    /// Where its times are among those of its block.
    pub(super) times: Range<usize>,
    /// Microseconds since 1970.
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) min: OnceCell<Option<f64>>,
    pub(super) median: OnceCell<Option<f64>>,
    pub(super) std: OnceCell<Option<f64>>,
    pub(super) transformations: OnceCell<Option<Vec<Arc<Transformation>>>>,
}

/// A record with its program.
pub(super) struct Record<'a> {
    pub(super) stored: Stored<'a>,
    pub(super) belongs: &'a Belongs,
    pub(super) content: &'a Content,
    /// All finite.
    pub(super) times: &'a [f64],
    pub(super) tokens: &'a RefCell<Tokens>,
    pub(super) scratch: &'a RefCell<Vec<f64>>,
}

impl Record<'_> {
    pub(super) fn value(&self, field: Field) -> Value<'_> {
        let Self { stored, belongs, content, .. } = self;
        match field {
            Field::Key => Value::Text(stored.key),
            Field::ProgramName => Value::Text(&belongs.program.name),
            Field::ProgramHash => Value::Text(&belongs.program.hash),
            Field::Schedule => Value::Text(stored.schedule),
            Field::IsLegal => Value::Truth(content.decoded.is_legal),
            Field::Status => Value::Text(content.decoded.status.name()),
            Field::Details => Value::text(content.decoded.details.as_deref()),
            Field::ExecutionTimes if content.decoded.has_times => Value::Times(self.times),
            Field::ExecutionTimes => Value::Null,
            Field::Runs => count(self.times.len()),
            Field::MinTime => Value::number(self.min()),
            Field::MedianTime => Value::number(self.median()),
            Field::MeanTime => Value::number(derive::mean(self.times)),
            Field::StdTime => Value::number(*content.std.get_or_init(|| derive::std(self.times))),
            Field::Speedup => Value::number(derive::speedup(belongs.program.initial, self.min())),
            Field::Transformations => self.transformations().map_or(Value::Null, Value::Kinds),
            Field::TransformationCount => {
                self.transformations().map_or(Value::Null, |list| count(list.len()))
            }
            Field::Features => self.transformations().map_or(Value::Null, Value::Features),
            Field::Environment => Value::text(belongs.environment.as_deref()),
            Field::Hostname => Value::Text(stored.hostname),
            Field::Username => Value::Text(stored.username),
            Field::CreationDate => Value::Instant(content.created),
            Field::UpdateDate => Value::Instant(content.updated),
            Field::SourceProject => Value::Text(stored.source_project),
            Field::SourceCode => Value::text(belongs.program.source.as_deref()),
        }
    }

    /// The best time.
    pub(super) fn min(&self) -> Option<f64> {
        *self.content.min.get_or_init(|| derive::min(self.times))
    }

    fn median(&self) -> Option<f64> {
        let work = || derive::median(self.times, &mut self.scratch.borrow_mut());
        *self.content.median.get_or_init(work)
    }

    /// `None` for schedules of other notations, which are not parsed.
    fn transformations(&self) -> Option<&[Arc<Transformation>]> {
        let parse = || self.tokens.borrow_mut().of(self.stored.schedule);
        self.content.transformations.get_or_init(parse).as_deref()
    }
}

fn count(length: usize) -> Value<'static> {
    Value::Count(i64::try_from(length).unwrap_or(i64::MAX))
}
