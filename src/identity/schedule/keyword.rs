//! The names of transformations.

/// A transformation that the grammar knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Interchange,
    Reversal,
    Parallelize,
    Skew,
    /// Tiling of this many levels.
    Tile(usize),
    GeneralTile,
    Unroll,
    Fuse,
    Distribute,
    Expand,
    Matrix,
    Shift,
}

/// What an error about an unknown name offers instead.
pub(super) const KNOWN: &str = "one of I, R, P, S, Sh, T1, T2, T3, TG, U, F, D, E, M";

/// The name at the start of `token`: a capital letter, then capital letters and digits.
///
/// `Sh` is no such name. It is read as one only before a parenthesis, so that other tokens keep the reason
/// that the original gives for an `S` with something behind it.
pub(super) fn name_of(token: &str) -> Option<&str> {
    if token.starts_with("Sh(") {
        return Some(&token[..2]);
    }
    if !token.starts_with(|first: char| first.is_ascii_uppercase()) {
        return None;
    }
    let end = token.find(|other: char| !other.is_ascii_uppercase() && !other.is_ascii_digit());
    Some(&token[..end.unwrap_or(token.len())])
}

impl Keyword {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "I" => Self::Interchange,
            "R" => Self::Reversal,
            "P" => Self::Parallelize,
            "S" => Self::Skew,
            "T1" => Self::Tile(1),
            "T2" => Self::Tile(2),
            "T3" => Self::Tile(3),
            "TG" => Self::GeneralTile,
            "U" => Self::Unroll,
            "F" => Self::Fuse,
            "D" => Self::Distribute,
            "E" => Self::Expand,
            "M" => Self::Matrix,
            "Sh" => Self::Shift,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{KNOWN, Keyword, name_of};

    #[test]
    fn names_are_as_long_as_they_can_be() {
        assert_eq!(name_of("T2T(L0"), Some("T2T"));
        assert_eq!(name_of("Ab("), Some("A"));
        assert_eq!(name_of("T\u{663}("), Some("T"));
        assert_eq!(name_of("Sh(L0"), Some("Sh"));
        assert_eq!(name_of("Sh"), Some("S"));
        assert_eq!(name_of("P"), Some("P"));
        assert_eq!(name_of("{comp}:P"), None);
        assert_eq!(name_of(""), None);
    }

    #[test]
    fn every_name_offered_is_known() {
        let names: Vec<_> = KNOWN.trim_start_matches("one of ").split(", ").collect();
        assert_eq!(names.len(), 14);
        assert!(names.iter().all(|name| Keyword::of(name).is_some()));
    }
}
