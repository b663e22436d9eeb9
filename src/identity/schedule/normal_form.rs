//! The normal form of a schedule string: no whitespace, and every computation of a `comps=[...]` in single
//! quotes.
//!
//! Total and lexical: nothing is validated, numbers and separators stay as written, and whatever stands
//! between `comps=[` and the next `]` counts as computations.

use memchr::memchr;
use memchr::memmem;

use crate::identity::text::{into_text, strip_whitespace_wtf8};

const OPENING: &[u8] = b"comps=[";

/// The normal form of `schedule`. Idempotent.
#[must_use]
pub fn normalize(schedule: &str) -> String {
    into_text(normalize_wtf8(schedule.as_bytes()))
}

/// [`normalize`] on the bytes of a Python `str` that may hold lone surrogates.
#[must_use]
pub fn normalize_wtf8(schedule: &[u8]) -> Vec<u8> {
    let compact = strip_whitespace_wtf8(schedule);
    let mut normal = Vec::with_capacity(compact.len() + 16);
    let mut rest = compact.as_slice();
    while let Some(opening) = memmem::find(rest, OPENING) {
        let (head, list) = rest.split_at(opening + OPENING.len());
        // Without a close here there is none for a later opening either.
        let Some(close) = memchr(b']', list) else { break };
        normal.extend_from_slice(head);
        push_quoted(&list[..close], &mut normal);
        rest = &list[close..];
    }
    normal.extend_from_slice(rest);
    normal
}

/// Writes each item without the quotes around it, of either kind and any number, in single quotes.
fn push_quoted(items: &[u8], normal: &mut Vec<u8>) {
    for (index, item) in items.split(|&byte| byte == b',').enumerate() {
        if index > 0 {
            normal.push(b',');
        }
        normal.push(b'\'');
        normal.extend_from_slice(unquoted(item));
        normal.push(b'\'');
    }
}

fn unquoted(mut item: &[u8]) -> &[u8] {
    while let [b'\'' | b'"', inner @ ..] | [inner @ .., b'\'' | b'"'] = item {
        item = inner;
    }
    item
}

#[cfg(test)]
mod tests {
    use super::{normalize, normalize_wtf8};

    #[test]
    fn computations_are_quoted_one_way() {
        for spelling in
            ["P(L0, comps=[ 'a', \"b\" ])", "P(L0,comps=[a,b])", "P(L0,\u{1f}comps=[\"'a\"',''b''])"]
        {
            assert_eq!(normalize(spelling), "P(L0,comps=['a','b'])");
        }
        assert_eq!(normalize("P(L0,comps=[])"), "P(L0,comps=[''])");
        assert_eq!(normalize("comps=[a'b,,'\"',']"), "comps=['a'b','','','']");
    }

    #[test]
    fn everything_else_keeps_its_spelling() {
        for text in [
            "",
            "|",
            "I(L00,L007,x)|",
            "D(distribution=[['a'],[\"b\"]])",
            "comps=[a",
            "COMPS=[a]",
            "comps=(a)",
        ] {
            assert_eq!(normalize(text), text);
        }
    }

    #[test]
    fn a_list_runs_to_the_next_bracket_whatever_lies_between() {
        assert_eq!(normalize("comps=[a|comps=[b,c]]"), "comps=['a|comps=[b','c']]");
        assert_eq!(normalize("comps=[a]comps=[b]comps=[c"), "comps=['a']comps=['b']comps=[c");
    }

    #[test]
    fn lone_surrogates_stay() {
        assert_eq!(normalize_wtf8(b"comps=[\xed\xa0\x80 ]"), b"comps=['\xed\xa0\x80']");
    }
}
