//! Whole lines that include a file by name: `#include <...>` or `#include "..."`.
//!
//! The original's pattern is `^\s*#\s*include\s*[<"][^>"]*[>"]\s*$`, where `^` and `$` stand beside `\n` or
//! an end of the text. Since whitespace and names may span lines, so may an "include line". The pattern
//! leaves no choices: each part ends where the next can begin. So one pass over the hash signs decides.

use std::borrow::Cow;

use memchr::{memchr_iter, memchr2};

use crate::identity::text::{skip_spaces, trailing_space};

/// Removes include lines. The whitespace around them stays, as the last stage removes all of it.
pub(super) fn without_include_lines(source: &[u8]) -> Cow<'_, [u8]> {
    let mut kept = Vec::new();
    let mut copied = 0;
    // Where the next match may begin: after the end of the last one, which lies before a newline.
    let mut from = 0;
    let mut closers = Closers { source, last: None };
    for hash in memchr_iter(b'#', source) {
        if hash < from || !starts_a_line(source, from, hash) {
            continue;
        }
        let Some(end) = name_start(source, hash).and_then(|start| closers.after(start)) else { continue };
        let Some(line_end) = end.line_end else { continue };
        kept.extend_from_slice(&source[copied..hash]);
        copied = end.after_closer;
        from = line_end;
    }
    if copied == 0 {
        return Cow::Borrowed(source);
    }
    kept.extend_from_slice(&source[copied..]);
    Cow::Owned(kept)
}

/// Whether only whitespace lies between `hash` and some start of a line that is not before `from`.
fn starts_a_line(source: &[u8], from: usize, hash: usize) -> bool {
    let mut at = hash;
    loop {
        if at == 0 || source[at - 1] == b'\n' {
            return true;
        }
        // The region between two hash signs is walked once: the walk ends at anything but whitespace.
        match trailing_space(&source[from..at]) {
            0 => return false,
            length => at -= length,
        }
    }
}

/// Where the file name begins if `#\s*include\s*[<"]` stands at `hash`.
fn name_start(source: &[u8], hash: usize) -> Option<usize> {
    let word = skip_spaces(source, hash + 1);
    let rest = source[word..].strip_prefix(b"include")?;
    let opener = skip_spaces(source, source.len() - rest.len());
    matches!(source.get(opener), Some(b'<' | b'"')).then_some(opener + 1)
}

/// How the line of a file name ends.
#[derive(Clone, Copy)]
struct Ending {
    after_closer: usize,
    /// Where the match ends: the end of the text, or the last newline that only whitespace separates from the
    /// name.
    line_end: Option<usize>,
}

/// Finds the end of file names. Remembers the last answer, which holds for every name that begins before its
/// closer: otherwise a file of `#include <` without closers would be searched to its end each time.
struct Closers<'a> {
    source: &'a [u8],
    last: Option<(usize, Option<Ending>)>,
}

impl Closers<'_> {
    /// The ending of the name that begins at `start`; `start` never decreases between calls.
    fn after(&mut self, start: usize) -> Option<Ending> {
        match self.last {
            Some((closer, ending)) if start <= closer => ending,
            _ => {
                let closer = memchr2(b'>', b'"', &self.source[start..]).map(|length| start + length);
                let ending = closer.map(|closer| self.ending(closer + 1));
                self.last = Some((closer.unwrap_or(usize::MAX), ending));
                ending
            }
        }
    }

    fn ending(&self, after_closer: usize) -> Ending {
        let stop = skip_spaces(self.source, after_closer);
        let line_end = if stop == self.source.len() {
            Some(stop)
        } else {
            memchr::memrchr(b'\n', &self.source[after_closer..stop]).map(|length| after_closer + length)
        };
        Ending { after_closer, line_end }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::without_include_lines;

    fn rest(source: &str) -> String {
        String::from_utf8_lossy(&without_include_lines(source.as_bytes())).split_whitespace().collect()
    }

    #[test]
    fn whole_lines_go() {
        assert_eq!(rest("#include <a>\n # include\t\"b\" \nx\n#include<c>"), "x");
        assert_eq!(rest("\u{3000}#\u{1c}include\u{2028}<a>\u{85}\nx"), "x");
        assert_eq!(rest("#include <a>\n\n\n#include <b>\n\n"), "");
    }

    #[test]
    fn parts_of_lines_stay() {
        for kept in [
            "x#include<a>",
            "#include<a>x",
            "#include<a>#include<b>",
            "#includeMACRO",
            "#includes<a>",
            "#include<a",
        ] {
            assert_eq!(rest(kept), kept);
        }
        assert_eq!(rest("x #include <a>\n#include <b>"), "x#include<a>");
        assert_eq!(rest("x\r#include <a>"), "x#include<a>", "a carriage return starts no line");
        assert_eq!(rest("#include <a>\rx"), "#include<a>x");
    }

    #[test]
    fn openers_and_closers_need_not_agree() {
        assert_eq!(rest("#include <a\"\nx"), "x");
        assert_eq!(rest("#include \"a>\nx"), "x");
        assert_eq!(rest("#include \"\"\nx"), "x");
        assert_eq!(rest("#include \"a>\"\nx"), "#include\"a>\"x");
    }

    #[test]
    fn names_span_lines() {
        assert_eq!(rest("#include <a\nint x;\n#include <b>\ny"), "y");
        assert_eq!(rest("#include <a\n#include <b> x\n#include <c>\ny"), "#include<a#include<b>xy");
    }

    #[test]
    fn a_failed_line_does_not_hide_the_next() {
        assert_eq!(rest("#include <a> x\n#include <b>\ny"), "#include<a>xy");
        assert_eq!(rest("#\n#include <b>\ny"), "#y");
        assert_eq!(rest("##include <b>\ny"), "##include<b>y");
    }

    #[test]
    fn nothing_to_remove_copies_nothing() {
        assert!(matches!(without_include_lines(b"#define A\n#include B\n"), Cow::Borrowed(_)));
    }
}
