//! What holds for the normal form of every program, whatever its bytes.

use std::sync::LazyLock;

use regex::Regex;
use tirastore::identity::program;

use crate::python::{SPACE, pattern, without_spaces};

/// Pieces from which inputs are built that reach every rule.
pub const FRAGMENTS: &[&str] = &[
    "/",
    "*",
    "/*",
    "*/",
    "//",
    "\n",
    "\r",
    " ",
    "\t",
    "\u{1c}",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{3000}",
    "#",
    "include",
    "#include",
    "<",
    ">",
    "\"",
    "#include <a>",
    "#include \"b\"",
    "\n#include <",
    "x",
    "é",
    "\u{200b}",
    "\\",
    "'",
    "\0",
    "int main() { return 0; }\n",
    "😀",
    "# define A\n",
];

static STAGES: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    [
        pattern(r"(?s)/\*.*?\*/"),
        pattern(r"//[^\n]*"),
        pattern(&format!(r#"(?m)^{SPACE}*#{SPACE}*include{SPACE}*[<"][^>"]*[>"]{SPACE}*$"#)),
    ]
});

/// The normal form by the original's patterns, one after the other.
fn by_patterns(source: &str) -> String {
    let source =
        STAGES.iter().fold(source.to_owned(), |source, stage| stage.replace_all(&source, "").into_owned());
    without_spaces(&source)
}

/// Panics where a property does not hold.
pub fn check(data: &[u8]) {
    let normal = program::normalize_wtf8(data);
    assert!(normal.len() <= data.len());
    let Ok(source) = std::str::from_utf8(data) else { return };
    assert_eq!(normal, program::normalize(source).as_bytes());
    let normal = program::normalize(source);
    assert_eq!(normal, by_patterns(source), "{source:?}");
    // Whatever the first pass joined to a comment or an include line, the second would remove.
    let settled = !normal.contains("//") && !normal.contains("/*") && !normal.starts_with("#include");
    if settled {
        assert_eq!(program::normalize(&normal), normal, "{source:?}");
        assert_eq!(program::hash(&normal), program::hash(source));
    }
}
