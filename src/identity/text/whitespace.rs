//! Python's whitespace: what `str.isspace()` and `\s` mean.

use super::into_text;

/// Bytes looked at together. Longer chunks would lose more to a single non-ASCII character.
const CHUNK: usize = 64;

/// Whether a byte below 0x80 is whitespace; false for all others.
const IS_ASCII_SPACE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x80 {
        table[byte] = matches!(byte, 0x09..=0x0d | 0x1c..=0x20);
        byte += 1;
    }
    table
};

/// Whether Python counts `character` as whitespace: Unicode's `White_Space` and the separators U+001C to
/// U+001F.
#[must_use]
pub fn is_python_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

/// `text` without any of Python's whitespace.
#[must_use]
pub fn strip_whitespace(text: &str) -> String {
    into_text(strip_whitespace_wtf8(text.as_bytes()))
}

/// [`strip_whitespace`] on the bytes of a Python `str` that may hold lone surrogates.
#[must_use]
pub fn strip_whitespace_wtf8(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        match rest.split_first_chunk::<CHUNK>() {
            Some((chunk, tail)) if chunk.is_ascii() => {
                keep_ascii(chunk, &mut kept);
                rest = tail;
            }
            _ => rest = keep_by_character(rest, &mut kept),
        }
    }
    kept
}

/// Compacts one chunk without branches: every byte is written, only kept ones advance.
fn keep_ascii(chunk: &[u8; CHUNK], kept: &mut Vec<u8>) {
    let mut packed = [0; CHUNK];
    let mut length = 0;
    for &byte in chunk {
        // `length` can reach CHUNK only after the last byte; the mask spares the bounds check.
        packed[length % CHUNK] = byte;
        length += usize::from(!IS_ASCII_SPACE[usize::from(byte)]);
    }
    kept.extend_from_slice(&packed[..length]);
}

/// Handles at least one character and about one chunk, whatever it holds; returns what follows.
fn keep_by_character<'a>(bytes: &'a [u8], kept: &mut Vec<u8>) -> &'a [u8] {
    let mut at = 0;
    while at < bytes.len().min(CHUNK) {
        let space = leading_space(&bytes[at..]);
        if space == 0 {
            kept.push(bytes[at]);
        }
        at += space.max(1);
    }
    &bytes[at..]
}

/// The length in bytes of the whitespace character that `bytes` starts with, 0 if it starts with none.
fn leading_space(bytes: &[u8]) -> usize {
    match *bytes {
        [byte, ..] if byte < 0x80 => usize::from(IS_ASCII_SPACE[usize::from(byte)]),
        [0xc2, second, ..] => 2 * usize::from(is_two_byte_space(second)),
        [first @ 0xe1..=0xe3, second, third, ..] => {
            3 * usize::from(is_three_byte_space([first, second, third]))
        }
        _ => 0,
    }
}

/// The length in bytes of the whitespace character that `bytes` ends with, 0 if it ends with none.
pub(in crate::identity) fn trailing_space(bytes: &[u8]) -> usize {
    match *bytes {
        [.., byte] if byte < 0x80 => usize::from(IS_ASCII_SPACE[usize::from(byte)]),
        [.., 0xc2, second] => 2 * usize::from(is_two_byte_space(second)),
        [.., first, second, third] => 3 * usize::from(is_three_byte_space([first, second, third])),
        _ => 0,
    }
}

/// The offset of the first character at or after `at` that is not whitespace.
pub(in crate::identity) fn skip_spaces(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match leading_space(&bytes[at..]) {
            0 => return at,
            length => at += length,
        }
    }
}

/// U+0085 and U+00A0, after the lead byte C2.
const fn is_two_byte_space(second: u8) -> bool {
    matches!(second, 0x85 | 0xa0)
}

/// U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F and U+3000.
const fn is_three_byte_space(bytes: [u8; 3]) -> bool {
    matches!(
        bytes,
        [0xe1, 0x9a, 0x80]
            | [0xe2, 0x80, 0x80..=0x8a | 0xa8 | 0xa9 | 0xaf]
            | [0xe2, 0x81, 0x9f]
            | [0xe3, 0x80, 0x80]
    )
}

#[cfg(test)]
mod tests {
    use super::{
        is_python_space, leading_space, skip_spaces, strip_whitespace, strip_whitespace_wtf8, trailing_space,
    };

    /// All that Python 3.11 reports, asked for every code point.
    const SPACES: &str = "\t\n\u{b}\u{c}\r\u{1c}\u{1d}\u{1e}\u{1f} \u{85}\u{a0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\
        \u{2004}\u{2005}\u{2006}\u{2007}\u{2008}\u{2009}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}";

    #[test]
    fn every_character_is_classed_as_python_does() {
        for character in '\0'..=char::MAX {
            let expected = SPACES.contains(character);
            assert_eq!(is_python_space(character), expected, "{character:?}");
            let mut buffer = [0; 4];
            let bytes = character.encode_utf8(&mut buffer).as_bytes();
            let length = if expected { bytes.len() } else { 0 };
            assert_eq!(leading_space(bytes), length, "{character:?}");
            assert_eq!(trailing_space(bytes), length, "{character:?}");
        }
    }

    #[test]
    fn stripping_does_not_depend_on_where_chunks_begin() {
        for padding in 0..130 {
            let text = format!("{}{SPACES}é{SPACES}b\u{200b}", "x ".repeat(padding));
            let expected: String = text.chars().filter(|&character| !is_python_space(character)).collect();
            assert_eq!(strip_whitespace(&text), expected);
        }
    }

    #[test]
    fn lone_surrogates_and_cut_characters_are_kept() {
        for bytes in [&b"\xed\xa0\x80"[..], b"\xe2\x80", b"\xc2", b"\xe3\x80", b"\xff\xfe"] {
            assert_eq!(strip_whitespace_wtf8(bytes), bytes);
        }
    }

    #[test]
    fn skipping_stops_at_the_end() {
        assert_eq!(skip_spaces(" \u{3000}x".as_bytes(), 0), 4);
        assert_eq!(skip_spaces(b"x  ", 1), 3);
        assert_eq!(skip_spaces(b"", 0), 0);
    }
}
