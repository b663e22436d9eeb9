//! Which records are wanted: tests of fields, joined as pyarrow and pandas join them.
//!
//! A filter is decided on decoded records, all of it. That an index serves a part of it only narrows what is decoded:
//! [`Filter::narrow`] may name too many rows, never too few.

use std::cmp::Ordering;
use std::mem;
use std::rc::Rc;

use super::field::{Field, Kind};
use super::glob;
use super::value::Value;
use crate::clock;
use crate::error::{Error, Result};
use crate::identity::schedule::Transformation;

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

/// How a field is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // OPERATORS spells them
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
    Match,
    IsNull,
    NotNull,
}

const OPERATORS: [(Operator, &str); 11] = [
    (Operator::Equal, "=="),
    (Operator::NotEqual, "!="),
    (Operator::Less, "<"),
    (Operator::LessOrEqual, "<="),
    (Operator::Greater, ">"),
    (Operator::GreaterOrEqual, ">="),
    (Operator::In, "in"),
    (Operator::NotIn, "not in"),
    (Operator::Match, "match"),
    (Operator::IsNull, "is null"),
    (Operator::NotNull, "not null"),
];

impl Operator {
    /// The operator that is spelled so.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] that lists the operators.
    pub fn from_name(name: &str) -> Result<Self> {
        OPERATORS.iter().find(|(_, known)| *known == name).map(|(operator, _)| *operator).ok_or_else(|| {
            let known: Vec<_> = OPERATORS.iter().map(|(_, name)| *name).collect();
            Error::InvalidArgument(format!("there is no operator {name:?}; there are {}", known.join(", ")))
        })
    }

    fn name(self) -> &'static str {
        OPERATORS[self as usize].1
    }

    /// May a field of this kind be tested so?
    fn fits(self, kind: Kind) -> bool {
        match self {
            Self::IsNull | Self::NotNull => true,
            Self::Equal | Self::NotEqual | Self::In | Self::NotIn => {
                !matches!(kind, Kind::Times | Kind::Features)
            }
            Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => {
                matches!(kind, Kind::Text | Kind::Name | Kind::Count | Kind::Number | Kind::Instant)
            }
            Self::Match => matches!(kind, Kind::Text | Kind::Name | Kind::Kinds),
        }
    }
}

/// One test of one field. A field without a value passes `is null` alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    field: Field,
    operator: Operator,
    /// What it is compared with, of the field's type; sorted for `in` and `not in`.
    constants: Vec<Constant>,
}

impl Test {
    /// A test.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] where the operator or the constant is none for the field.
    pub fn new(field: &str, operator: &str, constant: &Constant) -> Result<Self> {
        let (field, operator) = (Field::from_name(field)?, Operator::from_name(operator)?);
        if !operator.fits(field.kind()) {
            let fitting: Vec<_> = OPERATORS
                .iter()
                .filter(|(other, _)| other.fits(field.kind()))
                .map(|(_, name)| *name)
                .collect();
            return Err(Error::InvalidArgument(format!(
                "the field {:?} holds {} and cannot be tested with {:?}; it can with {}",
                field.name(),
                held(field.kind()),
                operator.name(),
                fitting.join(", ")
            )));
        }
        let wrong = |expected: &str| {
            let (field, kind) = (field.name(), held(field.kind()));
            Error::InvalidArgument(format!(
                "({field:?}, {:?}, ...): expected {expected}, as {field} holds {kind}, got {}",
                operator.name(),
                shown(constant)
            ))
        };
        let many = matches!(operator, Operator::In | Operator::NotIn);
        let constants = match (operator, constant) {
            (Operator::IsNull | Operator::NotNull, Constant::Null) => Vec::new(),
            (Operator::IsNull | Operator::NotNull, _) => return Err(wrong("no value")),
            (_, Constant::Null) => {
                return Err(wrong("a value (\"is null\" and \"not null\" ask whether there is one)"));
            }
            (_, Constant::List(list))
                if many || (field.kind() == Kind::Kinds && operator != Operator::Match) =>
            {
                let typed = list.iter().map(|item| typed(field.kind(), item)).collect::<Option<Vec<_>>>();
                let mut typed = typed.ok_or_else(|| wrong(&format!("a list of {}", one(field.kind()))))?;
                if many {
                    typed.sort_by(order);
                }
                typed
            }
            _ if many => return Err(wrong(&format!("a list of {}", one(field.kind())))),
            _ if field.kind() == Kind::Kinds && operator != Operator::Match => {
                return Err(wrong("a list of names of transformations"));
            }
            (_, single) => {
                vec![typed(field.kind(), single).ok_or_else(|| wrong(one(field.kind())))?]
            }
        };
        Ok(Self { field, operator, constants })
    }

    pub(super) fn field(&self) -> Field {
        self.field
    }

    pub(super) fn operator(&self) -> Operator {
        self.operator
    }

    pub(super) fn constants(&self) -> &[Constant] {
        &self.constants
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let constants: Vec<_> = self.constants.iter().map(shown).collect();
        let text = format!("{} {} {}", self.field.name(), self.operator.name(), constants.join(", "));
        text.trim_end().to_owned()
    }

    fn passes(&self, value: Value<'_>) -> bool {
        match (value, self.operator) {
            (Value::Null, operator) => operator == Operator::IsNull,
            (_, Operator::IsNull) => false,
            (_, Operator::NotNull) => true,
            (Value::Kinds(kinds), operator) => self.passes_kinds(kinds, operator),
            (value, Operator::In) => self.is_listed(value),
            (value, Operator::NotIn) => !self.is_listed(value),
            (Value::Text(text), Operator::Match) => self.matches(text),
            (value, operator) => {
                let ordering = self.constants.first().and_then(|constant| compare(value, constant));
                ordering.is_some_and(|ordering| match operator {
                    Operator::Equal => ordering.is_eq(),
                    Operator::NotEqual => ordering.is_ne(),
                    Operator::Less => ordering.is_lt(),
                    Operator::LessOrEqual => ordering.is_le(),
                    Operator::Greater => ordering.is_gt(),
                    Operator::GreaterOrEqual => ordering.is_ge(),
                    _ => false,
                })
            }
        }
    }

    /// Of a list, `in` asks whether one of its items is among the constants, `==` whether it is the same list.
    fn passes_kinds(&self, kinds: &[Rc<Transformation>], operator: Operator) -> bool {
        let among = || kinds.iter().any(|kind| self.is_listed(Value::Text(kind.name())));
        let same = || {
            kinds.len() == self.constants.len()
                && kinds.iter().zip(&self.constants).all(|(kind, constant)| {
                    compare(Value::Text(kind.name()), constant) == Some(Ordering::Equal)
                })
        };
        match operator {
            Operator::Equal => same(),
            Operator::NotEqual => !same(),
            Operator::In => among(),
            Operator::NotIn => !among(),
            Operator::Match => kinds.iter().any(|kind| self.matches(kind.name())),
            _ => false,
        }
    }

    fn matches(&self, text: &str) -> bool {
        matches!(self.constants.first(), Some(Constant::Text(pattern)) if glob::matches(pattern, text))
    }

    fn is_listed(&self, value: Value<'_>) -> bool {
        let against =
            |constant: &Constant| compare(value, constant).map_or(Ordering::Less, Ordering::reverse);
        self.constants.binary_search_by(against).is_ok()
    }
}

/// The constant as a value of a field of this kind.
fn typed(kind: Kind, constant: &Constant) -> Option<Constant> {
    match (kind, constant) {
        (Kind::Text | Kind::Name | Kind::Kinds, Constant::Text(_))
        | (Kind::Truth, Constant::Truth(_))
        | (Kind::Instant, Constant::Instant(_)) => Some(constant.clone()),
        (Kind::Instant, Constant::Text(date)) => clock::unix_microseconds(date).map(Constant::Instant),
        // With NaN nothing can be compared; -0.0 is 0.0.
        (Kind::Count | Kind::Number, Constant::Number(number)) if !number.is_nan() => {
            Some(Constant::Number(number + 0.0))
        }
        _ => None,
    }
}

/// The order of two constants of one type.
fn order(one: &Constant, other: &Constant) -> Ordering {
    let value = match one {
        Constant::Text(text) => Value::Text(text),
        Constant::Truth(truth) => Value::Truth(*truth),
        Constant::Number(number) => Value::Number(*number),
        Constant::Instant(instant) => Value::Instant(*instant),
        Constant::Null | Constant::List(_) => Value::Null,
    };
    compare(value, other).unwrap_or(Ordering::Equal)
}

fn compare(value: Value<'_>, constant: &Constant) -> Option<Ordering> {
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

fn held(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Name => "text",
        Kind::Truth => "True or False",
        Kind::Count | Kind::Number => "numbers",
        Kind::Instant => "dates",
        Kind::Times => "lists of execution times",
        Kind::Kinds => "lists of names of transformations",
        Kind::Features => "lists of features",
    }
}

fn one(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Name | Kind::Kinds => "str",
        Kind::Truth => "bool",
        Kind::Count | Kind::Number => "int or float (not NaN)",
        Kind::Instant => "datetime or str of ISO 8601",
        Kind::Times | Kind::Features => "nothing",
    }
}

fn shown(constant: &Constant) -> String {
    match constant {
        Constant::Null => "None".to_owned(),
        Constant::Truth(truth) => if *truth { "True" } else { "False" }.to_owned(),
        Constant::Number(number) => number.to_string(),
        Constant::Text(text) => format!("{text:?}"),
        Constant::Instant(instant) => clock::iso_of(*instant).unwrap_or_else(|| instant.to_string()),
        Constant::List(list) => {
            let some: Vec<_> = list.iter().take(5).map(shown).collect();
            format!("[{}{}]", some.join(", "), if list.len() > 5 { ", ..." } else { "" })
        }
    }
}

/// One of several lists of tests has to pass, and of that list all.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Vec<Vec<Test>>);

impl Default for Filter {
    /// Lets every record pass.
    fn default() -> Self {
        Self(vec![Vec::new()])
    }
}

impl Filter {
    /// A filter that lets pass what one of these lists does.
    #[must_use]
    pub fn any_of(lists: Vec<Vec<Test>>) -> Self {
        Self(lists)
    }

    pub(super) fn lists(&self) -> &[Vec<Test>] {
        &self.0
    }

    pub(super) fn looks_at(&self, field: Field) -> bool {
        self.0.iter().flatten().any(|test| test.field == field)
    }

    pub(super) fn lets_pass<'a>(&self, value: impl Fn(Field) -> Value<'a>) -> bool {
        self.0.iter().any(|all| all.iter().all(|test| test.passes(value(test.field))))
    }

    /// This filter, and these tests in each of its lists.
    #[must_use]
    pub fn and(mut self, tests: &[Test]) -> Self {
        for list in &mut self.0 {
            let before = mem::take(list);
            list.extend(tests.iter().cloned().chain(before));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::Tokens;
    use super::*;

    fn text(text: &str) -> Constant {
        Constant::Text(text.to_owned())
    }

    fn texts(list: &[&str]) -> Constant {
        Constant::List(list.iter().map(|item| text(item)).collect())
    }

    fn passes(field: &str, operator: &str, constant: &Constant, value: Value<'_>) -> bool {
        Test::new(field, operator, constant).expect("a test").passes(value)
    }

    #[test]
    fn each_operator_decides_as_its_name_says() {
        let three = || Constant::Number(3.0);
        for (operator, expected) in [
            ("==", [false, true, false]),
            ("!=", [true, false, true]),
            ("<", [true, false, false]),
            ("<=", [true, true, false]),
            (">", [false, false, true]),
            (">=", [false, true, true]),
        ] {
            let found =
                [2.0, 3.0, 4.0].map(|time| passes("min_time", operator, &three(), Value::Number(time)));
            assert_eq!(found, expected, "{operator}");
            assert!(!passes("min_time", operator, &three(), Value::Null), "{operator}");
        }
        assert!(passes("hostname", "in", &texts(&["b", "a", "c"]), Value::Text("a")));
        assert!(passes("hostname", "not in", &texts(&["b"]), Value::Text("a")));
        assert!(!passes("hostname", "not in", &texts(&["b"]), Value::Null));
        assert!(passes("hostname", "match", &text("n*1"), Value::Text("node1")));
        assert!(passes("speedup", "is null", &Constant::Null, Value::Null));
        assert!(passes("speedup", "not null", &Constant::Null, Value::Number(1.0)));
        assert!(passes("n_runs", "==", &three(), Value::Count(3)));
        assert!(passes("min_time", "in", &Constant::List(vec![Constant::Number(-0.0)]), Value::Number(0.0)));
    }

    #[test]
    fn lists_of_transformations_are_compared_as_a_whole_or_by_their_items() {
        let schedule = "I(L0,L1,comps=[c])|T2(L0,L1,4,4,comps=[c])|P(L0,comps=[c])";
        let transformations = Tokens::default().of(schedule).expect("a schedule");
        let kinds = Value::Kinds(&transformations);
        assert!(passes("transformations", "==", &texts(&["I", "T2", "P"]), kinds));
        assert!(passes("transformations", "!=", &texts(&["P", "T2", "I"]), kinds));
        assert!(passes("transformations", "in", &texts(&["U", "P"]), kinds));
        assert!(passes("transformations", "not in", &texts(&["U"]), kinds));
        assert!(passes("transformations", "match", &text("T?"), kinds));
        assert!(!passes("transformations", "match", &text("U"), kinds));
    }

    #[test]
    fn dates_are_given_as_text_too() {
        let date = text("2026-02-21T15:30:12Z");
        let then = Value::Instant(1_771_687_812_000_000);
        assert!(passes("creation_date", "==", &date, then));
        assert!(!passes("creation_date", "<", &date, then));
    }

    #[test]
    fn what_is_no_test_says_what_there_is() {
        for (field, operator, constant, part) in [
            ("time", "==", Constant::Null, "there are key, program_name"),
            ("key", "=", text("a"), "there are ==, !=, <"),
            ("is_legal", "<", Constant::Truth(true), "it can with ==, !=, in, not in, is null, not null"),
            ("execution_times", "==", Constant::List(Vec::new()), "it can with is null, not null"),
            (
                "min_time",
                "<",
                text("3"),
                "expected int or float (not NaN), as min_time holds numbers, got \"3\"",
            ),
            ("min_time", "<", Constant::Number(f64::NAN), "got NaN"),
            ("min_time", "==", Constant::Null, "\"is null\""),
            ("min_time", "is null", Constant::Number(1.0), "no value"),
            ("key", "in", text("a"), "expected a list of str"),
            ("key", "==", texts(&["a"]), "expected str"),
            ("creation_date", ">", text("yesterday"), "datetime or str of ISO 8601"),
            ("transformations", "==", text("P"), "a list of names of transformations"),
        ] {
            let error = Test::new(field, operator, &constant).expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn lists_of_tests_are_joined_by_or() {
        let test = |limit| Test::new("min_time", "<", &Constant::Number(limit)).expect("a test");
        let value = |_| Value::Number(2.0);
        assert!(Filter::any_of(vec![vec![test(1.0)], vec![test(3.0)]]).lets_pass(value));
        assert!(!Filter::any_of(vec![vec![test(1.0), test(3.0)]]).lets_pass(value));
        assert!(Filter::default().lets_pass(value));
        assert!(!Filter::default().and(&[test(1.0)]).lets_pass(value));
    }
}
