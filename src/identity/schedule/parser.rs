//! The grammar: which arguments each transformation takes, in which order.

use super::ast::{Schedule, Transformation};
use super::cursor::{Cursor, Fault, Parsed, quote};
use super::error::{ErrorKind, Role, ScheduleError};
use super::keyword::{KNOWN, Keyword, name_of};
use crate::identity::text::{python_repr, strip_whitespace};

/// Parses a schedule in any spelling, normal form or not.
///
/// Printing the result gives back `schedule` without its whitespace. The empty string is a schedule,
/// whitespace alone is none.
pub fn parse(schedule: &str) -> Result<Schedule, ScheduleError> {
    if schedule.is_empty() {
        return Ok(Schedule::default());
    }
    let compact = strip_whitespace(schedule);
    let mut transformations = Vec::new();
    let mut start = 0;
    // A bar separates even inside quotes, as in the original.
    for (segment, token) in compact.split('|').enumerate() {
        let transformation = parse_token(token).map_err(|(kind, fault)| ScheduleError {
            kind,
            token: token.into(),
            segment,
            argument: fault.argument,
            position: compact[..start + fault.at].chars().count(),
            expected: fault.expected.into(),
            found: fault.found.into(),
        })?;
        transformations.push(transformation);
        start += token.len() + 1;
    }
    Ok(Schedule { transformations })
}

fn parse_token(token: &str) -> Result<Transformation, (ErrorKind, Fault)> {
    let Some(name) = name_of(token) else {
        let (kind, found) = if token.is_empty() {
            (ErrorKind::EmptySegment, "nothing".to_owned())
        } else {
            (ErrorKind::UnrecognizedToken, quote(token))
        };
        return Err((
            kind,
            Fault { argument: None, at: 0, expected: "the name of a transformation".into(), found },
        ));
    };
    let Some(keyword) = Keyword::of(name) else {
        let fault = Fault { argument: None, at: 0, expected: KNOWN.into(), found: python_repr(name) };
        return Err((ErrorKind::UnknownTransformation, fault));
    };
    let mut cursor = Cursor::new(token, name);
    parse_arguments(keyword, &mut cursor)
        .and_then(|transformation| cursor.end().map(|()| transformation))
        .map_err(|fault| (ErrorKind::Malformed, fault))
}

// Fields are read in the order in which they are written here, which is the order of the arguments.
fn parse_arguments(keyword: Keyword, cursor: &mut Cursor) -> Parsed<Transformation> {
    Ok(match keyword {
        Keyword::Interchange => {
            Transformation::Interchange { levels: [cursor.level()?, cursor.level()?], comps: cursor.comps()? }
        }
        Keyword::Reversal => Transformation::Reversal { level: cursor.level()?, comps: cursor.comps()? },
        Keyword::Parallelize => {
            Transformation::Parallelize { level: cursor.level()?, comps: cursor.comps()? }
        }
        Keyword::Skew => Transformation::Skew {
            levels: [cursor.level()?, cursor.level()?],
            factors: [cursor.integer(Role::SignedFactor)?, cursor.integer(Role::SignedFactor)?],
            comps: cursor.comps()?,
        },
        Keyword::Tile(depth) => Transformation::Tile {
            levels: (0..depth).map(|_| cursor.level()).collect::<Parsed<_>>()?,
            factors: (0..depth).map(|_| cursor.natural()).collect::<Parsed<_>>()?,
            comps: cursor.comps()?,
        },
        Keyword::GeneralTile => parse_general_tile(cursor)?,
        Keyword::Unroll => Transformation::Unroll {
            level: cursor.level_or_innermost()?,
            factor: cursor.natural()?,
            comps: cursor.comps()?,
        },
        Keyword::Fuse => Transformation::Fuse { level: cursor.level()?, comps: cursor.comps()? },
        Keyword::Distribute => Transformation::Distribute {
            level: cursor.level()?,
            comps: cursor.comps()?,
            groups: cursor.distribution()?,
        },
        Keyword::Expand => Transformation::Expand { comps: cursor.comps()? },
        Keyword::Matrix => parse_matrix(cursor)?,
        Keyword::Shift => Transformation::Shift {
            level: cursor.level()?,
            offset: cursor.integer(Role::Offset)?,
            comps: cursor.comps()?,
        },
    })
}

/// Levels, then factors, as many as there are of either; they must be as many.
fn parse_general_tile(cursor: &mut Cursor) -> Parsed<Transformation> {
    let mut levels = vec![cursor.level()?];
    while cursor.rest().starts_with(",L") {
        levels.push(cursor.level()?);
    }
    let first_factor = cursor.mark() + 1;
    let mut factors = vec![cursor.natural()?];
    while cursor.rest().starts_with(',') && !cursor.rest().starts_with(",comps=") {
        factors.push(cursor.natural()?);
    }
    if factors.len() != levels.len() {
        let expected = format!("as many factors as levels ({})", levels.len());
        return Err(cursor.fault_at(first_factor, expected, factors.len().to_string()));
    }
    Ok(Transformation::GeneralTile { levels, factors, comps: cursor.comps()? })
}

fn parse_matrix(cursor: &mut Cursor) -> Parsed<Transformation> {
    let start = cursor.mark() + 1;
    let entries = cursor.integers(Role::Matrix)?;
    if entries.len().isqrt().pow(2) != entries.len() {
        let found = format!("{} entries", entries.len());
        return Err(cursor.fault_at(start, "the entries of a square matrix (1, 4, 9, ...)", found));
    }
    Ok(Transformation::Matrix { entries, comps: cursor.comps()? })
}
