//! What fields are compared with.

use std::cmp::Ordering;

use super::field::Kind;
use super::value::Value;
use crate::clock;

/// What a caller compares a field with.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// Nothing.
    Null,
    /// True or false.
    Truth(bool),
    /// A number, whole or not.
    Number(f64),
    /// A text, or a date of ISO 8601.
    Text(String),
    /// Microseconds since 1970, UTC.
    Instant(i64),
    /// Several of them.
    List(Vec<Constant>),
}

impl Constant {
    /// As a value of a field of this kind.
    pub(super) fn typed(&self, kind: Kind) -> Option<Self> {
        match (kind, self) {
            (Kind::Text | Kind::Name | Kind::Kinds, Self::Text(_))
            | (Kind::Truth, Self::Truth(_))
            | (Kind::Instant, Self::Instant(_)) => Some(self.clone()),
            (Kind::Instant, Self::Text(date)) => clock::unix_microseconds(date).map(Self::Instant),
            // With NaN nothing can be compared; -0.0 is 0.0.
            (Kind::Count | Kind::Number, Self::Number(number)) if !number.is_nan() => {
                Some(Self::Number(number + 0.0))
            }
            _ => None,
        }
    }

    /// The order of two constants of one type.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let value = match self {
            Self::Text(text) => Value::Text(text),
            Self::Truth(truth) => Value::Truth(*truth),
            Self::Number(number) => Value::Number(*number),
            Self::Instant(instant) => Value::Instant(*instant),
            Self::Null | Self::List(_) => Value::Null,
        };
        compare(value, other).unwrap_or(Ordering::Equal)
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Null => "None".to_owned(),
            Self::Truth(truth) => if *truth { "True" } else { "False" }.to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => format!("{text:?}"),
            Self::Instant(instant) => clock::iso_of(*instant).unwrap_or_else(|| instant.to_string()),
            Self::List(list) => {
                let some: Vec<_> = list.iter().take(5).map(Self::text).collect();
                format!("[{}{}]", some.join(", "), if list.len() > 5 { ", ..." } else { "" })
            }
        }
    }
}

/// The order of a value and a constant of its type.
pub(super) fn compare(value: Value<'_>, constant: &Constant) -> Option<Ordering> {
    match (value, constant) {
        (Value::Text(text), Constant::Text(other)) => Some(text.cmp(other)),
        (Value::Truth(truth), Constant::Truth(other)) => Some(truth.cmp(other)),
        #[allow(clippy::cast_precision_loss)] // nobody counts to 2^53
        (Value::Count(count), Constant::Number(other)) => (count as f64).partial_cmp(other),
        (Value::Number(number), Constant::Number(other)) => number.partial_cmp(other),
        (Value::Instant(instant), Constant::Instant(other)) => Some(instant.cmp(other)),
        _ => None,
    }
}
