//! Python's `repr(str)`, which the original's error texts contain.

use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;

// Asked about non-ASCII characters only.
static UNPRINTABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[\p{C}\p{Z}]$").expect("the pattern is a constant that the tests compile")
});

/// `text` as Python's `repr` shows it: in single quotes unless only single quotes occur inside, with escapes
/// for the backslash, the quote, and everything that is not printable (categories C and Z, except the ASCII
/// space).
#[must_use]
pub fn python_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push(quote);
    for character in text.chars() {
        match character {
            '\t' => shown.push_str("\\t"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\\' => shown.push_str("\\\\"),
            _ if character == quote => shown.extend(['\\', quote]),
            _ if is_printable(character) => shown.push(character),
            _ => push_escape(character, &mut shown),
        }
    }
    shown.push(quote);
    shown
}

fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        !character.is_ascii_control()
    } else {
        !UNPRINTABLE.is_match(character.encode_utf8(&mut [0; 4]))
    }
}

fn push_escape(character: char, shown: &mut String) {
    let code = u32::from(character);
    // Writing to a String cannot fail.
    let _ = match code {
        0..=0xff => write!(shown, "\\x{code:02x}"),
        0x100..=0xffff => write!(shown, "\\u{code:04x}"),
        _ => write!(shown, "\\U{code:08x}"),
    };
}

#[cfg(test)]
mod tests {
    use super::python_repr;

    #[test]
    fn quotes_are_chosen_as_python_chooses_them() {
        assert_eq!(python_repr(""), "''");
        assert_eq!(python_repr("a\"b"), "'a\"b'");
        assert_eq!(python_repr("a'b"), "\"a'b\"");
        assert_eq!(python_repr("a'\"b"), "'a\\'\"b'");
    }

    #[test]
    fn unprintable_characters_are_escaped_in_three_widths() {
        assert_eq!(python_repr("\t\n\r\\ é漢😀"), r"'\t\n\r\\ é漢😀'");
        assert_eq!(python_repr("\0\u{1b}\u{7f}\u{85}\u{a0}\u{ad}"), r"'\x00\x1b\x7f\x85\xa0\xad'");
        assert_eq!(
            python_repr("\u{378}\u{200b}\u{2028}\u{3000}\u{e000}\u{feff}"),
            r"'\u0378\u200b\u2028\u3000\ue000\ufeff'"
        );
        assert_eq!(python_repr("\u{e0001}\u{10ffff}"), r"'\U000e0001\U0010ffff'");
    }
}
