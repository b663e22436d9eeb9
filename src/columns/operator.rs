//! How a field may be tested.

use super::field::Kind;
use crate::error::{Error, Result};

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
    /// The operator that is spelled so; `=` is `==`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] that lists the operators.
    pub fn from_name(name: &str) -> Result<Self> {
        let name = if name == "=" { "==" } else { name };
        OPERATORS.iter().find(|(_, known)| *known == name).map(|(operator, _)| *operator).ok_or_else(|| {
            let known: Vec<_> = OPERATORS.iter().map(|(_, name)| *name).collect();
            Error::InvalidArgument(format!("there is no operator {name:?}; there are {}", known.join(", ")))
        })
    }

    pub(super) fn name(self) -> &'static str {
        OPERATORS[self as usize].1
    }

    /// The names of those by which a field of this kind may be tested.
    pub(super) fn fitting(kind: Kind) -> Vec<&'static str> {
        OPERATORS.iter().filter(|(operator, _)| operator.fits(kind)).map(|(_, name)| *name).collect()
    }

    /// May a field of this kind be tested so?
    pub(super) fn fits(self, kind: Kind) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_is_found_by_its_name() {
        for (index, (operator, name)) in OPERATORS.iter().enumerate() {
            assert_eq!((*operator as usize, operator.name()), (index, *name));
            assert_eq!(Operator::from_name(name).expect("known"), *operator);
        }
        assert_eq!(Operator::from_name("=").expect("as =="), Operator::Equal);
        let error = Operator::from_name("=<").expect_err("unknown").to_string();
        assert!(error.contains("\"=<\"; there are ==, !=, <"), "{error}");
    }
}
