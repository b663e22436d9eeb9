//! The value of a field in one record.

use std::sync::Arc;

use crate::identity::schedule::Transformation;

/// What a record has in a field: tested by filters, pushed into columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    /// It has none: no times, no such environment, a schedule of another notation.
    Null,
    Text(&'a str),
    Truth(bool),
    Count(i64),
    Number(f64),
    /// Microseconds since 1970, UTC.
    Instant(i64),
    Times(&'a [f64]),
    /// Of these, the names.
    Kinds(&'a [Arc<Transformation>]),
    Features(&'a [Arc<Transformation>]),
}

impl Value<'_> {
    pub(super) fn number(value: Option<f64>) -> Self {
        value.map_or(Self::Null, Self::Number)
    }
}

impl<'a> Value<'a> {
    pub(super) fn text(value: Option<&'a str>) -> Self {
        value.map_or(Self::Null, Self::Text)
    }
}
