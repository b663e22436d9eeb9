//! The normal form of a program's source, and its hash.
//!
//! The form ignores comments, whole lines that include a file, and whitespace. The stages run one after the
//! other, each on the result of the one before, because keys depend on it: `/`, a block comment and `/` leave
//! a line comment. They know nothing of string literals. For the same reason the form is not a fixed point in
//! general: `a / / b` becomes `a//b`, and normalising that again would remove a comment. Always normalise the
//! original source.

mod comments;
mod includes;
mod memo;

use super::HexDigest;
use super::text::{into_text, strip_whitespace_wtf8};

/// The normal form of `source`.
#[must_use]
pub fn normalize(source: &str) -> String {
    into_text(normalize_wtf8(source.as_bytes()))
}

/// [`normalize`] on the bytes of a Python `str` that may hold lone surrogates.
#[must_use]
pub fn normalize_wtf8(source: &[u8]) -> Vec<u8> {
    let source = comments::without_block_comments(source);
    let source = comments::without_line_comments(&source);
    let source = includes::without_include_lines(&source);
    strip_whitespace_wtf8(&source)
}

/// The SHA-256 of the normal form of `source`; this names a program in a store. The last sources are remembered.
#[must_use]
pub fn hash(source: &str) -> HexDigest {
    memo::remembered(source, computed_hash)
}

/// [`hash`], computed whether it is remembered or not.
#[must_use]
pub fn computed_hash(source: &str) -> HexDigest {
    HexDigest::of(&normalize_wtf8(source.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{hash, normalize, normalize_wtf8};

    #[test]
    fn comments_includes_and_whitespace_do_not_matter() {
        let source =
            "#include <tiramisu/tiramisu.h>\n\n// a blur\nint main() { /* nothing\n */ return 0; }\n";
        assert_eq!(normalize(source), "intmain(){return0;}");
        assert_eq!(hash(source), hash("int main(){return 0;}"));
    }

    #[test]
    fn stages_see_what_the_stage_before_left() {
        assert_eq!(normalize("a //* b */ c\nd"), "a/cd");
        assert_eq!(normalize("a //**/ b\nc"), "a/bc");
        assert_eq!(normalize("a /*x*// b\nc"), "a/bc");
        assert_eq!(normalize("a //*x*// b\nc"), "ac");
        assert_eq!(normalize("/* */ #include <a> // b\nc"), "c");
        assert_eq!(normalize("#inc/**/lude <a>"), "");
    }

    #[test]
    fn the_normal_form_is_not_always_a_fixed_point() {
        assert_eq!(normalize("a / / b"), "a//b");
        assert_eq!(normalize("a//b"), "a");
    }

    #[test]
    fn lone_surrogates_stay() {
        assert_eq!(normalize_wtf8(b"a \xed\xa0\x80 // \xed\xb0\x80\n b"), b"a\xed\xa0\x80b");
    }

    #[test]
    fn the_empty_program_has_the_hash_of_nothing() {
        assert_eq!(hash("").as_str(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
