//! Which records are wanted: tests of fields, joined as pyarrow and pandas join them.
//!
//! A filter is decided on decoded records, all of it. That an index serves a part of it only narrows what is decoded:
//! [`Filter::narrow`] may name too many rows, never too few.

use std::cmp::Ordering;
use std::mem;
use std::sync::Arc;

use super::constant::{Constant, compare};
use super::field::{Field, Kind};
use super::glob;
use super::operator::Operator;
use super::value::Value;
use crate::error::{Error, Result};
use crate::identity::schedule::Transformation;

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
            return Err(Error::InvalidArgument(format!(
                "the field {:?} holds {} and cannot be tested with {:?}; it can with {}",
                field.name(),
                field.kind().held(),
                operator.name(),
                Operator::fitting(field.kind()).join(", ")
            )));
        }
        let wrong = |expected: &str| {
            let (field, kind) = (field.name(), field.kind().held());
            Error::InvalidArgument(format!(
                "({field:?}, {:?}, ...): expected {expected}, as {field} holds {kind}, got {}",
                operator.name(),
                constant.text()
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
                let typed = list.iter().map(|item| item.typed(field.kind())).collect::<Option<Vec<_>>>();
                let mut typed = typed.ok_or_else(|| wrong(&format!("a list of {}", field.kind().one())))?;
                if many {
                    typed.sort_by(Constant::order);
                }
                typed
            }
            _ if many => return Err(wrong(&format!("a list of {}", field.kind().one()))),
            _ if field.kind() == Kind::Kinds && operator != Operator::Match => {
                return Err(wrong("a list of names of transformations"));
            }
            (_, single) => {
                vec![single.typed(field.kind()).ok_or_else(|| wrong(field.kind().one()))?]
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
        let constants: Vec<_> = self.constants.iter().map(Constant::text).collect();
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
    fn passes_kinds(&self, kinds: &[Arc<Transformation>], operator: Operator) -> bool {
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
            ("key", "=<", text("a"), "there are ==, !=, <"),
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
