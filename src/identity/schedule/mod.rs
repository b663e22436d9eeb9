//! Schedules in `TiraLib`'s notation: transformations separated by `|`, each naming its computations.
//!
//! [`normalize`] makes the form that keys are made of; it is total. [`parse`] gives the typed tree of a valid
//! schedule or the reason why it is none.

mod ast;
mod cursor;
mod error;
mod keyword;
mod normal_form;
mod parser;
mod print;

pub use ast::{Integer, Level, Name, Natural, Schedule, Transformation};
pub use error::{Argument, ErrorKind, Role, ScheduleError};
pub use normal_form::{normalize, normalize_wtf8};
pub use parser::parse;

/// Checks that `schedule` is one, in any spelling.
///
/// The empty string is the schedule that does nothing. A string of whitespace alone is an error, as in the
/// original; its normal form is valid.
pub fn validate(schedule: &str) -> Result<(), ScheduleError> {
    parse(schedule).map(drop)
}

#[cfg(test)]
mod tests;
