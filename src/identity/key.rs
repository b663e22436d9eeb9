//! Keys: the name of a measurement, made of a program's hash and a schedule's normal form.
//!
//! A key is the SHA-256 of a small JSON object, written as Python's `json.dumps` writes it with sorted keys,
//! no spaces and every character outside printable ASCII escaped.

use super::{HexDigest, schedule};

/// The key of `schedule`, in any spelling, for the program with this hash.
#[must_use]
pub fn make_key(program_hash: &str, schedule: &str) -> HexDigest {
    make_key_wtf8(program_hash.as_bytes(), schedule.as_bytes())
}

/// The key of a schedule that is in normal form already.
#[must_use]
pub fn key_of_normal(program_hash: &str, normal_schedule: &str) -> HexDigest {
    key_of_parts(program_hash.as_bytes(), normal_schedule.as_bytes())
}

/// [`make_key`] on the bytes of Python strings that may hold lone surrogates.
#[must_use]
pub fn make_key_wtf8(program_hash: &[u8], schedule: &[u8]) -> HexDigest {
    key_of_parts(program_hash, &schedule::normalize_wtf8(schedule))
}

fn key_of_parts(program_hash: &[u8], normal_schedule: &[u8]) -> HexDigest {
    let mut json = Vec::with_capacity(program_hash.len() + normal_schedule.len() + 64);
    json.extend_from_slice(b"{\"program_hash\":");
    push_json_string(program_hash, &mut json);
    json.extend_from_slice(b",\"tiralib_schedule_string\":");
    push_json_string(normal_schedule, &mut json);
    json.push(b'}');
    HexDigest::of(&json)
}

fn push_json_string(mut text: &[u8], json: &mut Vec<u8>) {
    json.push(b'"');
    while !text.is_empty() {
        // Nearly everything is plain: it is copied in one piece.
        let plain =
            text.iter().take_while(|&&byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\');
        let (plain, rest) = text.split_at(plain.count());
        json.extend_from_slice(plain);
        text = rest;
        let Some(&first) = text.first() else { break };
        let mut length = 1;
        match first {
            b'"' | b'\\' => json.extend_from_slice(&[b'\\', first]),
            b'\n' => json.extend_from_slice(b"\\n"),
            b'\r' => json.extend_from_slice(b"\\r"),
            b'\t' => json.extend_from_slice(b"\\t"),
            0x0c => json.extend_from_slice(b"\\f"),
            0x08 => json.extend_from_slice(b"\\b"),
            _ => {
                let code;
                (code, length) = decode(text, first);
                push_escapes(code, json);
            }
        }
        text = &text[length..];
    }
    json.push(b'"');
}

/// The code point at the start of `text` and its length in bytes; lone surrogates are code points here.
///
/// A byte that begins no character counts as U+DC00 plus the byte, Python's "surrogateescape", so that every
/// byte string has a key.
fn decode(text: &[u8], first: u8) -> (u32, usize) {
    let (length, smallest, bits) = match first {
        0..=0x7f => return (u32::from(first), 1),
        0xc0..=0xdf => (2, 0x80, first & 0x1f),
        0xe0..=0xef => (3, 0x800, first & 0x0f),
        0xf0..=0xf7 => (4, 0x1_0000, first & 0x07),
        _ => (0, 0, 0),
    };
    let escaped = (0xdc00 + u32::from(first), 1);
    let Some(tail) = text.get(1..length) else { return escaped };
    let mut code = u32::from(bits);
    for &byte in tail {
        if byte & 0xc0 != 0x80 {
            return escaped;
        }
        code = code << 6 | u32::from(byte & 0x3f);
    }
    if (smallest..=0x10_ffff).contains(&code) { (code, length) } else { escaped }
}

/// Escapes `code` as one UTF-16 unit, or two for characters beyond U+FFFF.
fn push_escapes(code: u32, json: &mut Vec<u8>) {
    match code.checked_sub(0x1_0000) {
        None => push_escape(code, json),
        Some(beyond) => {
            push_escape(0xd800 + (beyond >> 10), json);
            push_escape(0xdc00 + (beyond & 0x3ff), json);
        }
    }
}

fn push_escape(unit: u32, json: &mut Vec<u8>) {
    json.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        json.push(b"0123456789abcdef"[(unit >> shift & 0xf) as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::{key_of_normal, make_key, make_key_wtf8, push_json_string};

    fn json(text: &[u8]) -> String {
        let mut json = Vec::new();
        push_json_string(text, &mut json);
        String::from_utf8_lossy(&json).into_owned()
    }

    #[test]
    fn strings_are_escaped_as_python_does() {
        assert_eq!(json(b"a\"\\/\n\r\t\x0c\x08\x01\x1f\x7f ~"), r#""a\"\\/\n\r\t\f\b\u0001\u001f\u007f ~""#);
        assert_eq!(
            json("é漢\u{ffff}😀\u{10ffff}".as_bytes()),
            r#""\u00e9\u6f22\uffff\ud83d\ude00\udbff\udfff""#
        );
    }

    #[test]
    fn lone_surrogates_are_escaped_as_they_are() {
        assert_eq!(json(b"\xed\xa0\x80x\xed\xbf\xbf"), r#""\ud800x\udfff""#);
        assert_eq!(json(b"\xed\xa0\xbd\xed\xb8\x80"), r#""\ud83d\ude00""#);
    }

    #[test]
    fn bytes_that_are_no_character_are_escaped_one_by_one() {
        assert_eq!(json(b"\xff\x80\xc3"), r#""\udcff\udc80\udcc3""#);
        assert_eq!(json(b"\xc1\x81\xe0\x80\x80"), r#""\udcc1\udc81\udce0\udc80\udc80""#);
        assert_eq!(json(b"\xf4\x90\x80\x80\xf0\x9f\x98"), r#""\udcf4\udc90\udc80\udc80\udcf0\udc9f\udc98""#);
    }

    #[test]
    fn every_spelling_of_a_schedule_has_one_key() {
        let normal = "P(L0,comps=['a','b'])";
        let key = key_of_normal("00", normal);
        for spelling in [normal, "P(L0, comps=['a', 'b'])", "P( L0,comps=[a,\"b\"])"] {
            assert_eq!(make_key("00", spelling), key);
            assert_eq!(make_key_wtf8(b"00", spelling.as_bytes()), key);
        }
        assert_ne!(make_key("01", normal), key);
    }
}
