//! Why a text is no schedule.

use std::fmt;

use super::keyword::name_of;
use crate::identity::text::python_repr;

/// What is wrong with a transformation, in the original's four classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Nothing stands before, after or between separators.
    EmptySegment,
    /// The segment does not start with a name.
    UnrecognizedToken,
    /// The name is none of a transformation.
    UnknownTransformation,
    /// The name is known; something behind it is wrong.
    Malformed,
}

/// What an argument stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A loop level.
    Level,
    /// A loop level, or the innermost.
    LevelOrInnermost,
    /// A number without a sign: a tile size or an unrolling factor.
    Factor,
    /// A skewing factor, which may be negative.
    SignedFactor,
    /// The distance of a shift, which may be negative.
    Offset,
    /// The entries of a matrix.
    Matrix,
    /// The computations.
    Comps,
    /// The groups of a distribution.
    Distribution,
}

impl Role {
    /// What a reader has to write there.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Level => "a level such as L0",
            Self::LevelOrInnermost => "a level such as L0, or L-1 for the innermost",
            Self::Factor => "a non-negative integer",
            Self::SignedFactor | Self::Offset => "an integer",
            Self::Matrix => "a list of integers such as [1,0,0,1]",
            Self::Comps => "comps=['name',...]",
            Self::Distribution => "distribution=[['name',...],...]",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Level | Self::LevelOrInnermost => "level",
            Self::Factor | Self::SignedFactor => "factor",
            Self::Offset => "offset",
            Self::Matrix => "matrix",
            Self::Comps => "comps",
            Self::Distribution => "distribution",
        })
    }
}

/// Which argument of a transformation is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Argument {
    /// Its place, counted from 1.
    pub number: usize,
    /// What it stands for.
    pub role: Role,
}

/// Why a text is no schedule: the first fault, from left to right.
///
/// Displayed, it begins with [`reason`](Self::reason), word for word what the original says, and goes on with
/// [`detail`](Self::detail).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleError {
    pub(super) kind: ErrorKind,
    pub(super) token: Box<str>,
    pub(super) segment: usize,
    pub(super) argument: Option<Argument>,
    pub(super) position: usize,
    pub(super) expected: Box<str>,
    pub(super) found: Box<str>,
}

impl ScheduleError {
    /// The class of the fault.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The text of the transformation, without whitespace.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The name of the transformation, known or not; `None` where the text does not start with one.
    #[must_use]
    pub fn transformation(&self) -> Option<&str> {
        name_of(&self.token)
    }

    /// Which transformation of the schedule it is, counted from 0.
    #[must_use]
    pub fn segment(&self) -> usize {
        self.segment
    }

    /// The argument at fault; `None` where the fault lies before or after the arguments.
    #[must_use]
    pub fn argument(&self) -> Option<Argument> {
        self.argument
    }

    /// Where the fault is: how many characters of the schedule come before it, whitespace not counted.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// What would have been right there.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// What stands there instead: its text in quotes, or a description.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }

    /// The original's words; a transformation of more than 500 characters is shortened.
    #[must_use]
    pub fn reason(&self) -> String {
        let token = shortened(&self.token, python_repr);
        let name = self.transformation().unwrap_or_default();
        match self.kind {
            ErrorKind::EmptySegment => {
                "Empty segment in schedule (leading, trailing, or double '|').".to_owned()
            }
            ErrorKind::UnrecognizedToken => {
                format!("Unrecognized token (does not start with a transformation name): {token}")
            }
            ErrorKind::UnknownTransformation => {
                format!("Unknown transformation: {} in {token}", shortened(name, python_repr))
            }
            ErrorKind::Malformed => {
                format!("Malformed {} transformation: {token}", shortened(name, str::to_owned))
            }
        }
    }

    /// Where the fault is, what was expected there and what was found.
    #[must_use]
    pub fn detail(&self) -> String {
        let argument = self.argument.map_or_else(String::new, |argument| {
            format!(", argument {} ({})", argument.number, argument.role)
        });
        format!(
            "transformation {}{argument}, at offset {}: expected {}, found {}",
            self.segment + 1,
            self.position,
            self.expected,
            self.found
        )
    }
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason();
        let separator = if reason.ends_with('.') { " " } else { ": " };
        write!(f, "{reason}{separator}{}", self.detail())
    }
}

impl std::error::Error for ScheduleError {}

/// What somebody wrote can be of any length, and an error is read by people.
fn shortened(text: &str, show: fn(&str) -> String) -> String {
    const LONGEST: usize = 500;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", show(&text[..end])),
        None => show(text),
    }
}
