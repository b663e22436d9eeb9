//! What holds for every text that a database may hold as a result, and for every result that is written.

use serde_json::Value;
use tirastore::measurement::Outcome;
use tirastore::storage::result_json::{decode, encode};

/// Pieces from which inputs are built that reach every rule.
pub const FRAGMENTS: &[&str] = &[
    "{",
    "}",
    "{\"is_legal\":",
    "{\"is_legal\":true,\"execution_times\":[",
    "{\"execution_times\":[0.5],\"is_legal\":",
    "\"is_legal\":",
    "\"execution_times\":",
    "\"note\":\"",
    "\"status\":",
    "\"timeout\"",
    "\"illegal\"",
    "\"details\":{}",
    ",\"environment\":3}",
    "true",
    "false",
    "null",
    "1",
    "0",
    "-0.0",
    "0.042",
    "1e400",
    "-1e-400",
    "1e-05",
    "123456789012345678901234567890",
    "1.",
    "01",
    "NaN",
    "-NaN",
    "Infinity",
    "-Infinity",
    "[",
    "]",
    "]}",
    ",",
    ":",
    "\"",
    "\\",
    "\\\"",
    "\\ue000",
    "\u{e000}",
    "#1",
    "$",
    "\\ud800",
    " ",
    "\0",
    "é",
    "😀",
];

/// The rules once more, for what a strict parser reads.
fn by_rules(value: &Value) -> Option<Outcome> {
    let is_legal = match &value.as_object()?.get("is_legal")? {
        Value::Bool(verdict) => *verdict,
        Value::Number(number) if number.as_f64() == Some(1.0) => true,
        Value::Number(number) if number.as_f64() == Some(0.0) => false,
        _ => return None,
    };
    let execution_times = match value.get("execution_times") {
        None | Some(Value::Null) => None,
        Some(Value::Array(times)) => Some(times.iter().map(Value::as_f64).collect::<Option<_>>()?),
        Some(_) => return None,
    };
    let outcome = Outcome::of(is_legal, execution_times);
    let has_times = outcome.execution_times.as_ref().is_some_and(|times| !times.is_empty());
    let goes = match value.get("status") {
        None | Some(Value::Null) => true,
        Some(status) => match status.as_str()? {
            "illegal" => !is_legal,
            "measured" => is_legal && has_times,
            "unmeasured" | "timeout" | "failed" => is_legal && !has_times,
            _ => false,
        },
    };
    goes.then_some(outcome)
}

fn bits(outcome: &Outcome) -> (bool, Option<Vec<u64>>) {
    let bits = |times: &Vec<f64>| times.iter().map(|time| time.to_bits()).collect();
    (outcome.is_legal, outcome.execution_times.as_ref().map(bits))
}

fn survives(outcome: &Outcome) {
    let text = encode(outcome);
    let read = decode(&text).unwrap_or_else(|cause| panic!("{text}: {cause}"));
    assert_eq!(bits(&read), bits(outcome), "{text}");
}

fn is_finite(outcome: &Outcome) -> bool {
    outcome.execution_times.iter().flatten().all(|time| time.is_finite())
}

/// Panics where a property does not hold.
pub fn check(data: &[u8]) {
    let times = data.chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap_or_default()));
    let times: Vec<_> = times.filter(|time| time.is_finite()).collect();
    survives(&Outcome::of(data.len().is_multiple_of(2), Some(times)));

    let Ok(text) = std::str::from_utf8(data) else { return };
    let decoded = decode(text);
    if let Ok(strict) = serde_json::from_str::<Value>(text) {
        let expected = by_rules(&strict);
        assert_eq!(decoded.as_ref().ok().map(bits), expected.as_ref().map(bits), "{text:?}");
    }
    match decoded {
        Ok(outcome) if is_finite(&outcome) => survives(&outcome),
        Ok(_) => {}
        Err(cause) => assert!(!cause.is_empty() && cause.len() < 400 && !cause.contains('\n'), "{cause:?}"),
    }
}
