//! Normal forms, verdicts, hashes and keys agree with recorded outputs of the original.

use std::path::Path;

use serde_json::Value;
use tirastore::identity::{key, program, schedule};

const RECORDED_OF_EACH_KIND: usize = 150;

fn vectors(kind: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden_vectors.jsonl");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let vectors: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .filter(|vector| vector["kind"] == kind)
        .collect();
    assert_eq!(vectors.len(), RECORDED_OF_EACH_KIND, "vectors of kind {kind}");
    vectors
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap_or_else(|| panic!("{vector} has no text {field:?}"))
}

fn without_whitespace(text: &str) -> String {
    tirastore::identity::text::strip_whitespace(text)
}

/// Whether some list names nothing: the one thing that the original accepts and we refuse.
fn names_no_computation(text: &str) -> bool {
    ["comps=['']", "comps=[\"\"]"].iter().any(|list| without_whitespace(text).contains(list))
}

/// Whether some segment is of a form that the original does not know.
fn uses_an_added_form(text: &str) -> bool {
    let added = ["T1(", "TG(", "D(", "E(", "M(", "Sh(", "U(L-1,"];
    without_whitespace(text).split('|').any(|segment| added.iter().any(|form| segment.starts_with(form)))
}

#[test]
fn programs_have_the_recorded_normal_forms_and_hashes() {
    for vector in vectors("program") {
        let source = text(&vector, "text");
        assert_eq!(program::normalize(source), text(&vector, "normalized"), "{source:?}");
        assert_eq!(program::normalize_wtf8(source.as_bytes()), text(&vector, "normalized").as_bytes());
        assert_eq!(program::hash(source).as_str(), text(&vector, "program_hash"), "{source:?}");
    }
}

#[test]
fn schedules_have_the_recorded_normal_forms_and_keys() {
    let program_hash = program::hash("void blur() {}");
    for vector in vectors("schedule") {
        let written = text(&vector, "text");
        let normal = text(&vector, "normalized");
        let recorded = text(&vector, "key_with_void_blur");
        assert_eq!(schedule::normalize(written), normal, "{written:?}");
        assert_eq!(schedule::normalize_wtf8(written.as_bytes()), normal.as_bytes());
        assert_eq!(key::make_key(program_hash.as_str(), written).as_str(), recorded, "{written:?}");
        assert_eq!(key::key_of_normal(program_hash.as_str(), normal).as_str(), recorded, "{written:?}");
        let of_bytes = key::make_key_wtf8(program_hash.as_str().as_bytes(), written.as_bytes());
        assert_eq!(of_bytes.as_str(), recorded, "{written:?}");
    }
}

#[test]
fn verdicts_and_reasons_are_the_recorded_ones() {
    let mut accepted = 0;
    let mut refused = 0;
    let mut excepted = 0;
    for vector in vectors("schedule") {
        for (field, valid, reason) in
            [("text", "valid", "reason"), ("normalized", "normalized_valid", "normalized_reason")]
        {
            let written = text(&vector, field);
            let verdict = schedule::validate(written);
            if names_no_computation(written) {
                assert!(verdict.is_err(), "{written:?}");
                excepted += 1;
            } else if uses_an_added_form(written) {
                // Where we refuse it too, it may be for another reason.
                excepted += 1;
            } else if vector[valid] == true {
                assert_eq!(verdict, Ok(()), "{written:?}");
                accepted += 1;
            } else {
                let error = verdict.expect_err(written);
                assert_eq!(error.reason(), text(&vector, reason), "{written:?}");
                assert!(error.to_string().starts_with(text(&vector, reason)), "{error}");
                refused += 1;
            }
        }
    }
    assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused, {excepted} excepted");
    assert_eq!(accepted + refused + excepted, 2 * RECORDED_OF_EACH_KIND);
}
