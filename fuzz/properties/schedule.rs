//! What holds for every schedule string, whatever its bytes.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use tirastore::identity::{dialect, key, schedule};

use crate::python::{DIGIT, WORD, pattern, without_spaces};

/// Pieces from which inputs are built that reach every rule.
pub const FRAGMENTS: &[&str] = &[
    "I(L0,L1,",
    "R(L0,",
    "P(L0,",
    "S(L0,L1,1,-2,",
    "T1(L0,4,",
    "T2(L0,L1,32,32,",
    "T3(L0,L1,L2,8,8,8,",
    "TG(L0,L1,4,4,",
    "U(L2,4,",
    "U(L-1,4,",
    "F(L0,",
    "D(L1,",
    "E(",
    "M([1,0,0,1],",
    "Sh(L0,1,",
    "comps=['a'])",
    "comps=['a', 'b'])",
    "comps=[a,\"b\"])",
    "comps=[]",
    "comps=['']",
    "comps=[",
    "['a']",
    "distribution=[['a'],['b']])",
    ",",
    "|",
    "]",
    ")",
    "(",
    "[",
    "'",
    "\"",
    " ",
    "\u{1f}",
    "\u{3000}",
    "L",
    "L0",
    "L\u{663}",
    "-",
    "-1",
    "007",
    "a\u{b2}",
    "_x",
    "9c",
    "é",
    "\\",
    "{comp00}:",
    "{C0,C1}",
    "P(L0)",
    "U(L0,4)",
    "U(L0,4,C0)",
    "M({C0},1)",
    "F({C0},L0)",
    "T2T",
    "Sh",
    "\0",
];

static LIST: LazyLock<Regex> = LazyLock::new(|| pattern(r"comps=\[([^\]]*)\]"));
static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    let (level, number) = (format!("L{DIGIT}+"), format!("{DIGIT}+"));
    let name = format!(r#"(?:'[^']*'|"[^"]*"|[A-Za-z_]{WORD}*)"#);
    let comps = format!(r"comps=\[{name}(?:,{name})*\]");
    let forms = [
        format!("S{0}{level},{level},-?{number},-?{number},{comps}", r"\("),
        format!(r"I\({level},{level},{comps}"),
        format!(r"[RPF]\({level},{comps}"),
        format!(r"T2\({level},{level},{number},{number},{comps}"),
        format!(r"T3\({level},{level},{level},{number},{number},{number},{comps}"),
        format!(r"U\({level},{number},{comps}"),
    ];
    pattern(&format!(r"^(?:{})\)$", forms.join("|")))
});

/// The normal form by the original's pattern.
fn by_pattern(text: &str) -> String {
    LIST.replace_all(&without_spaces(text), |found: &Captures| {
        let items: Vec<_> =
            found[1].split(',').map(|item| format!("'{}'", item.trim_matches(['\'', '"']))).collect();
        format!("comps=[{}]", items.join(","))
    })
    .into_owned()
}

/// Whether the original's patterns accept a text.
fn original_accepts(text: &str) -> bool {
    text.is_empty() || without_spaces(text).split('|').all(|token| TOKENS.is_match(token))
}

/// Panics where a property does not hold.
pub fn check(data: &[u8]) {
    let normal = schedule::normalize_wtf8(data);
    let key = key::make_key_wtf8(b"", data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert_eq!(normal, schedule::normalize(text).as_bytes());
    assert_eq!(key, key::make_key("", text));
    let normal = schedule::normalize(text);
    assert_eq!(normal, by_pattern(text), "{text:?}");
    assert_eq!(normal, schedule::normalize(&normal), "{text:?}");
    assert_eq!(key, key::key_of_normal("", &normal));
    check_verdict(text);
    check_verdict(&normal);
    // Spelling does not decide the dialect.
    assert_eq!(dialect::dialect_of(text), dialect::dialect_of(&without_spaces(text)));
}

fn check_verdict(text: &str) {
    let compact = without_spaces(text);
    match schedule::parse(text) {
        Ok(schedule) => {
            assert_eq!(schedule.to_string(), compact);
            assert_eq!(schedule::parse(&schedule.to_string()), Ok(schedule));
            assert_eq!(dialect::dialect_of(text), Some(dialect::Dialect::Tiralib));
            let added = ["T1(", "TG(", "D(", "E(", "M(", "Sh(", "U(L-1,"];
            let known = compact.split('|').all(|token| !added.iter().any(|form| token.starts_with(form)));
            assert!(original_accepts(text) || !known, "{text:?}");
        }
        Err(error) => {
            assert!(error.to_string().starts_with(&error.reason()));
            assert!(error.position() <= compact.chars().count());
            assert_eq!(compact.split('|').nth(error.segment()), Some(error.token()));
            let names_nothing = compact.contains("comps=['']") || compact.contains("comps=[\"\"]");
            assert!(!original_accepts(text) || names_nothing, "{text:?}: {error}");
        }
    }
}
