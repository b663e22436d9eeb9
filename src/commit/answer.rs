//! What a batch answers.

/// What a batch answers its caller. A number, because it is stored with the batch: a batch whose tenure ended without
/// a word is asked for it.
pub trait Answer: Sized {
    /// As it is stored.
    fn to_number(&self) -> i64;
    /// As it was stored.
    fn from_number(number: i64) -> Self;
}

impl Answer for () {
    fn to_number(&self) -> i64 {
        0
    }
    fn from_number(_: i64) -> Self {}
}

impl Answer for bool {
    fn to_number(&self) -> i64 {
        i64::from(*self)
    }
    fn from_number(number: i64) -> Self {
        number != 0
    }
}

impl Answer for usize {
    fn to_number(&self) -> i64 {
        i64::try_from(*self).unwrap_or(i64::MAX)
    }
    fn from_number(number: i64) -> Self {
        Self::try_from(number).unwrap_or(0)
    }
}
