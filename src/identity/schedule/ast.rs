//! The typed tree of a schedule. It keeps the spelling of every part, so that printing it gives back the text
//! it was parsed from, without whitespace.

use std::fmt;

use crate::identity::text::decimal_value;

/// A schedule: transformations in the order in which they apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Schedule {
    /// The transformations; none for the unscheduled program.
    pub transformations: Vec<Transformation>,
}

/// One transformation of a schedule.
///
/// The parser guarantees what the types cannot say: lists have the stated lengths, and `comps` is never
/// empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Transformation {
    /// `I(L0,L1,comps=[...])`: swaps two levels.
    Interchange {
        /// The two levels.
        levels: [Level; 2],
        /// The computations it applies to.
        comps: Vec<Name>,
    },
    /// `R(L0,comps=[...])`: runs a level backwards.
    Reversal {
        /// The level.
        level: Level,
        /// The computations it applies to.
        comps: Vec<Name>,
    },
    /// `P(L0,comps=[...])`: runs a level in parallel.
    Parallelize {
        /// The level.
        level: Level,
        /// The computations it applies to.
        comps: Vec<Name>,
    },
    /// `S(L0,L1,f1,f2,comps=[...])`: skews two levels; the factors 0 and 0 leave the choice to the solver.
    Skew {
        /// The two levels.
        levels: [Level; 2],
        /// The two factors, which may be negative.
        factors: [Integer; 2],
        /// The computations it applies to.
        comps: Vec<Name>,
    },
    /// `T1`, `T2` and `T3`: tiles one to three levels.
    Tile {
        /// One to three levels.
        levels: Vec<Level>,
        /// One tile size per level.
        factors: Vec<Natural>,
        /// The computations it applies to.
        comps: Vec<Name>,
    },
    /// `TG(L0,L1,...,f,f,...,comps=[...])`: tiles any number of levels; one that is tiled again repeats.
    GeneralTile {
        /// One or more levels.
        levels: Vec<Level>,
        /// One tile size per level.
        factors: Vec<Natural>,
        /// The computations it applies to.
        comps: Vec<Name>,
    },
    /// `U(L2,4,comps=[...])`: unrolls a level.
    Unroll {
        /// The level, which may be the innermost.
        level: Level,
        /// How many iterations become one.
        factor: Natural,
        /// The computations it applies to.
        comps: Vec<Name>,
    },
    /// `F(L0,comps=[...])`: fuses computations down to a level.
    Fuse {
        /// The level.
        level: Level,
        /// The computations, in the order in which they run.
        comps: Vec<Name>,
    },
    /// `D(L1,comps=[...],distribution=[[...],[...]])`: splits a level into one loop per group.
    Distribute {
        /// The level.
        level: Level,
        /// The computations it applies to.
        comps: Vec<Name>,
        /// The groups, none of them empty.
        groups: Vec<Vec<Name>>,
    },
    /// `E(comps=[...])`: expands the storage of computations.
    Expand {
        /// The computations it applies to.
        comps: Vec<Name>,
    },
    /// `M([...],comps=[...])`: applies a square matrix to the iteration space.
    Matrix {
        /// The entries, row by row; their number is a square.
        entries: Vec<Integer>,
        /// The computations it applies to.
        comps: Vec<Name>,
    },
    /// `Sh(L0,1,comps=[...])`: shifts a level.
    Shift {
        /// The level.
        level: Level,
        /// By how many iterations.
        offset: Integer,
        /// The computations it applies to.
        comps: Vec<Name>,
    },
}

impl Transformation {
    /// The name as it is written, such as `T2` or `Sh`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Interchange { .. } => "I",
            Self::Reversal { .. } => "R",
            Self::Parallelize { .. } => "P",
            Self::Skew { .. } => "S",
            Self::Tile { levels, .. } => match levels.len() {
                1 => "T1",
                2 => "T2",
                _ => "T3",
            },
            Self::GeneralTile { .. } => "TG",
            Self::Unroll { .. } => "U",
            Self::Fuse { .. } => "F",
            Self::Distribute { .. } => "D",
            Self::Expand { .. } => "E",
            Self::Matrix { .. } => "M",
            Self::Shift { .. } => "Sh",
        }
    }

    /// The levels it names, in order; none for matrices and expansion.
    #[must_use]
    pub fn levels(&self) -> &[Level] {
        match self {
            Self::Interchange { levels, .. } | Self::Skew { levels, .. } => levels,
            Self::Tile { levels, .. } | Self::GeneralTile { levels, .. } => levels,
            Self::Reversal { level, .. }
            | Self::Parallelize { level, .. }
            | Self::Unroll { level, .. }
            | Self::Fuse { level, .. }
            | Self::Distribute { level, .. }
            | Self::Shift { level, .. } => std::slice::from_ref(level),
            Self::Expand { .. } | Self::Matrix { .. } => &[],
        }
    }

    /// The numbers beside its levels, in order: tile sizes, a factor, an offset, or the entries of a matrix; `None`
    /// beyond 64 bits.
    #[must_use]
    pub fn factors(&self) -> Vec<Option<i64>> {
        let unsigned = |factor: &Natural| factor.value().and_then(|value| i64::try_from(value).ok());
        match self {
            Self::Skew { factors, .. } => factors.iter().map(Integer::value).collect(),
            Self::Tile { factors, .. } | Self::GeneralTile { factors, .. } => {
                factors.iter().map(unsigned).collect()
            }
            Self::Unroll { factor, .. } => vec![unsigned(factor)],
            Self::Matrix { entries, .. } => entries.iter().map(Integer::value).collect(),
            Self::Shift { offset, .. } => vec![offset.value()],
            Self::Interchange { .. }
            | Self::Reversal { .. }
            | Self::Parallelize { .. }
            | Self::Fuse { .. }
            | Self::Distribute { .. }
            | Self::Expand { .. } => Vec::new(),
        }
    }

    /// The computations it names in `comps=[...]`.
    #[must_use]
    pub fn comps(&self) -> &[Name] {
        match self {
            Self::Interchange { comps, .. }
            | Self::Reversal { comps, .. }
            | Self::Parallelize { comps, .. }
            | Self::Skew { comps, .. }
            | Self::Tile { comps, .. }
            | Self::GeneralTile { comps, .. }
            | Self::Unroll { comps, .. }
            | Self::Fuse { comps, .. }
            | Self::Distribute { comps, .. }
            | Self::Expand { comps }
            | Self::Matrix { comps, .. }
            | Self::Shift { comps, .. } => comps,
        }
    }
}

/// A loop level, such as `L0`; `L-1` is the innermost.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Level(pub(super) Box<str>);

impl Level {
    /// The level's number, counted from the outermost; `None` for the innermost and for numbers beyond 64
    /// bits.
    #[must_use]
    pub fn index(&self) -> Option<u64> {
        magnitude(self.0.strip_prefix('L')?)
    }

    /// Whether this is `L-1`.
    #[must_use]
    pub fn is_innermost(&self) -> bool {
        &*self.0 == "L-1"
    }

    /// The text as it was written.
    #[must_use]
    pub fn lexeme(&self) -> &str {
        &self.0
    }
}

/// A number without a sign, such as a tile size.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Natural(pub(super) Box<str>);

impl Natural {
    /// The value; `None` beyond 64 bits.
    #[must_use]
    pub fn value(&self) -> Option<u64> {
        magnitude(&self.0)
    }

    /// The text as it was written.
    #[must_use]
    pub fn lexeme(&self) -> &str {
        &self.0
    }
}

/// A number that may be negative, such as a skewing factor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Integer(pub(super) Box<str>);

impl Integer {
    /// The value; `None` beyond 64 bits.
    #[must_use]
    pub fn value(&self) -> Option<i64> {
        match self.0.strip_prefix('-') {
            Some(digits) => 0_i64.checked_sub_unsigned(magnitude(digits)?),
            None => i64::try_from(magnitude(&self.0)?).ok(),
        }
    }

    /// The text as it was written.
    #[must_use]
    pub fn lexeme(&self) -> &str {
        &self.0
    }
}

/// The name of a computation, in quotes of either kind or plain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(pub(super) Box<str>);

impl Name {
    /// The name without its quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self.0.as_bytes() {
            [b'\'', .., b'\''] | [b'"', .., b'"'] => &self.0[1..self.0.len() - 1],
            _ => &self.0,
        }
    }

    /// The text as it was written.
    #[must_use]
    pub fn lexeme(&self) -> &str {
        &self.0
    }
}

/// The value of decimal digits of any script.
fn magnitude(digits: &str) -> Option<u64> {
    digits
        .chars()
        .try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(decimal_value(digit)?)))
}

macro_rules! display_lexeme {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
display_lexeme!(Level, Natural, Integer, Name);
