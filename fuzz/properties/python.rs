//! Python's character classes, spelled out independently of the library under test.

use std::sync::LazyLock;

use regex::Regex;

/// `\s` of a Python `str`.
pub const SPACE: &str =
    r"[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]";
/// `\d` of a Python `str`.
#[allow(dead_code, reason = "one of two users needs it")]
pub const DIGIT: &str = r"\p{Nd}";
/// `\w` of a Python `str`.
#[allow(dead_code, reason = "one of two users needs it")]
pub const WORD: &str = r"[\p{L}\p{N}_]";

static SPACES: LazyLock<Regex> = LazyLock::new(|| pattern(SPACE));

/// Compiles a pattern that is written in these files.
///
/// # Panics
/// If it is none.
pub fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|error| panic!("{error}"))
}

/// `text` without Python's whitespace.
pub fn without_spaces(text: &str) -> String {
    SPACES.replace_all(text, "").into_owned()
}
