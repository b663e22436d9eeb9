//! Comments of C++ as the original's patterns see them: `/* ... */` across lines, then `//` to the end of the
//! line.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memmem};

/// Removes every closed block comment, from left to right. An unclosed one stays, and `/*/` does not close
/// itself.
pub(super) fn without_block_comments(source: &[u8]) -> Cow<'_, [u8]> {
    without(source, b'*', |open| {
        let body = open + 2;
        // Without a close after this opening there is none after any later one: the caller may stop, which
        // keeps a file of openings linear.
        memmem::find(&source[body..], b"*/").map(|length| body + length + 2)
    })
}

/// Removes `//` and what follows up to the end of the line; the newline stays.
pub(super) fn without_line_comments(source: &[u8]) -> Cow<'_, [u8]> {
    without(source, b'/', |open| {
        let body = open + 2;
        Some(memchr(b'\n', &source[body..]).map_or(source.len(), |length| body + length))
    })
}

/// Removes what starts with a slash and `second` and ends where `end_of` says; stops at the first `None`.
fn without(source: &[u8], second: u8, mut end_of: impl FnMut(usize) -> Option<usize>) -> Cow<'_, [u8]> {
    let mut kept = Vec::new();
    let mut from = 0;
    for slash in memchr_iter(b'/', source) {
        if slash < from || source.get(slash + 1) != Some(&second) {
            continue;
        }
        let Some(end) = end_of(slash) else { break };
        if from == 0 {
            kept.reserve_exact(source.len());
        }
        kept.extend_from_slice(&source[from..slash]);
        from = end;
    }
    if from == 0 {
        return Cow::Borrowed(source);
    }
    kept.extend_from_slice(&source[from..]);
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{without_block_comments, without_line_comments};

    fn block(source: &str) -> String {
        String::from_utf8_lossy(&without_block_comments(source.as_bytes())).into_owned()
    }

    fn line(source: &str) -> String {
        String::from_utf8_lossy(&without_line_comments(source.as_bytes())).into_owned()
    }

    #[test]
    fn block_comments_end_at_the_first_close() {
        assert_eq!(block("a/*b*/c*/d"), "ac*/d");
        assert_eq!(block("a/*\n/*b*/c"), "ac");
        assert_eq!(block("/**/a/***/b"), "ab");
        assert_eq!(block("a/*b*//*c*/d"), "ad");
    }

    #[test]
    fn unclosed_block_comments_stay() {
        assert_eq!(block("a/*/b"), "a/*/b");
        assert_eq!(block("a/*/*/b"), "ab");
        assert_eq!(block("a/*b*/c/*d"), "ac/*d");
        assert_eq!(block("/*"), "/*");
    }

    #[test]
    fn line_comments_leave_the_newline() {
        assert_eq!(line("a//b\nc///d\n//"), "a\nc\n");
        assert_eq!(line("a/\n/b"), "a/\n/b");
        assert_eq!(line("a//\r\u{2028}b\nc"), "a\nc");
    }

    #[test]
    fn nothing_to_remove_copies_nothing() {
        assert!(matches!(without_block_comments(b"a/b //c"), Cow::Borrowed(_)));
        assert!(matches!(without_line_comments(b"a/b /*c*/"), Cow::Borrowed(_)));
    }
}
