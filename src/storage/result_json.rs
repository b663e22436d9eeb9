//! `records.result_json`: `{"is_legal":true,"execution_times":[0.042,0.039]}`, and behind it what is not derivable from
//! these two, each where there is something to say:
//!
//! ```text
//! ,"status":"timeout","details":{"bound":60.0},"environment":3
//! ```
//!
//! The original looks at its two keys only. Written as strict JSON. Read as Python's `json` reads it: files of the
//! original may hold `NaN`, `Infinity` and numbers beyond the range of a double.

pub(crate) mod plain;
mod spelling;

use memchr::memmem;
use serde_json::{Value, json};

pub(crate) use self::plain::Plain;
use self::spelling::{Spelling, mark};
use crate::measurement::{Outcome, Status};

/// Begins the number of the environment, which stands last.
const ENVIRONMENT: &str = r#","environment":"#;

/// The JSON text of `outcome`, whose times must be finite.
#[must_use]
pub fn encode(outcome: &Outcome) -> String {
    // Not one json! object: its keys would be sorted, and the original writes is_legal first.
    let times = json!(outcome.execution_times);
    let mut text = format!(r#"{{"is_legal":{},"execution_times":{times}"#, outcome.is_legal);
    if outcome.status() != outcome.derived() {
        text.extend([r#","status":""#, outcome.status().name(), "\""]);
    }
    if let Some(details) = &outcome.details {
        text.extend([r#","details":"#, &json!(details).to_string()]);
    }
    text.push('}');
    text
}

/// `text`, which [`encode`] has written, with the number of the environment that it was measured in.
pub(crate) fn with_environment(text: &str, environment: i64) -> String {
    let open = text.strip_suffix('}').unwrap_or(text);
    format!("{open}{ENVIRONMENT}{environment}}}")
}

/// The number of the environment that `text` names.
pub(crate) fn environment(text: &str) -> Option<i64> {
    match split_environment(text.strip_suffix('}')?) {
        (_, Some(environment)) => Some(environment),
        // Most texts that name none need no parser to tell.
        (_, None) if memmem::find(text.as_bytes(), b"\"environment\"").is_none() => None,
        (_, None) => serde_json::from_str::<Value>(text).ok()?.get("environment")?.as_i64(),
    }
}

/// What stands before the number of the environment, and the number.
fn split_environment(open: &str) -> (&str, Option<i64>) {
    let before = open.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let number = open[before.len()..].parse().ok();
    match before.strip_suffix(ENVIRONMENT).filter(|_| number.is_some()) {
        Some(rest) => (rest, number),
        None => (open, None),
    }
}

/// The outcome in `text`. Times may be NaN or infinite in old rows.
///
/// # Errors
///
/// What is wrong with the text, in a line, for [`crate::Error::CorruptRecord`].
pub fn decode(text: &str) -> Result<Outcome, String> {
    let mut times = Vec::new();
    match plain::read(text, &mut times) {
        Some(Plain { is_legal, has_times }) => Ok(Outcome::of(is_legal, has_times.then_some(times))),
        None => general(text),
    }
}

fn general(text: &str) -> Result<Outcome, String> {
    match serde_json::from_str(text) {
        Ok(strict) => outcome(&strict, &Spelling::Strict),
        Err(error) => {
            let marked = serde_json::from_str(&mark(text)).map_err(|_| error.to_string())?;
            outcome(&marked, &Spelling::Marked)
        }
    }
}

fn outcome(parsed: &Value, spelling: &Spelling) -> Result<Outcome, String> {
    let Value::Object(fields) = parsed else {
        return Err("the result is not a JSON object".to_owned());
    };
    let field = |name: &str| spelling.field(fields, name);
    let is_legal = match field("is_legal") {
        Some(Value::Bool(is_legal)) => *is_legal,
        // An integer of the original's.
        Some(value) => match spelling.number(value) {
            Some(1.0) => true,
            Some(0.0) => false,
            _ => return Err(format!("is_legal is {}, neither true nor false", shown(value))),
        },
        None => return Err("is_legal is missing".to_owned()),
    };
    let time = |value| {
        let number = spelling.number(value);
        number.ok_or_else(|| format!("execution_times holds {}, which is no number", shown(value)))
    };
    let execution_times = match field("execution_times") {
        None | Some(Value::Null) => None,
        Some(Value::Array(times)) => Some(times.iter().map(time).collect::<Result<_, _>>()?),
        Some(other) => return Err(format!("execution_times is {}, not a list", shown(other))),
    };
    let said = match field("status") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let said = spelling.string(value).and_then(Status::from_name);
            let said = said.ok_or_else(|| format!("status is {}, which is none", shown(value)))?;
            let has_times = execution_times.as_ref().is_some_and(|times: &Vec<f64>| !times.is_empty());
            match said.contradiction(is_legal, has_times) {
                None => Some(said),
                Some(why) => return Err(format!("status is {:?}, but {why}", said.name())),
            }
        }
    };
    Ok(Outcome {
        is_legal,
        execution_times,
        said,
        details: field("details").and_then(|value| spelling.details(value)),
    })
}

/// The beginning of a value: what a damaged file holds can be of any length, and messages are read by people.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn results_are_written_as_the_original_writes_them() {
        let outcome = Outcome::of(true, Some(vec![0.042, 1.0]));
        assert_eq!(encode(&outcome), r#"{"is_legal":true,"execution_times":[0.042,1.0]}"#);
        let illegal = Outcome::of(false, None);
        assert_eq!(encode(&illegal), r#"{"is_legal":false,"execution_times":null}"#);
    }

    #[test]
    fn only_what_is_not_derivable_is_written() {
        let details = json!({"bound": 60.5}).as_object().cloned();
        for (outcome, text) in [
            (
                Outcome { said: Some(Status::Unmeasured), ..Outcome::of(true, None) },
                r#"{"is_legal":true,"execution_times":null}"#,
            ),
            (
                Outcome { said: Some(Status::Timeout), details, ..Outcome::of(true, None) },
                r#"{"is_legal":true,"execution_times":null,"status":"timeout","details":{"bound":60.5}}"#,
            ),
        ] {
            assert_eq!(encode(&outcome), text);
            let read = decode(text).expect("readable");
            assert_eq!((read.status(), &read.details), (outcome.status(), &outcome.details));
        }
    }

    #[test]
    fn an_environment_is_named_behind_everything_and_read_back() {
        let details = json!({"message": "}"}).as_object().cloned();
        let failed = Outcome { said: Some(Status::Failed), details, ..Outcome::of(true, None) };
        for outcome in [Outcome::of(true, Some(vec![0.5])), Outcome::of(false, None), failed] {
            let text = with_environment(&encode(&outcome), 12);
            assert!(text.ends_with(r#","environment":12}"#), "{text}");
            assert_eq!(environment(&text), Some(12));
            assert_eq!(decode(&text), Ok(outcome));
        }
        assert_eq!(environment(r#"{"environment": 7, "is_legal": false}"#), Some(7));
        assert_eq!(environment(r#"{"is_legal":false,"details":{"environment":7}}"#), None);
    }

    #[test]
    fn numbers_that_python_wrote_are_read() {
        let outcome = decode(
            r#"{"is_legal": 1, "execution_times": [NaN, -Infinity, Infinity, 1e400, 3, 1e-05], "NaN": "\"NaN 1"}"#,
        )
        .expect("readable");
        let times = outcome.execution_times.expect("a list");
        assert!(outcome.is_legal && times[0].is_nan());
        assert_eq!(times[1..], [f64::NEG_INFINITY, f64::INFINITY, f64::INFINITY, 3.0, 1e-5]);
    }

    #[test]
    fn what_python_takes_for_no_number_is_none() {
        for time in ["04.5", "-01", "1.", "1.e5", "1e", "1e+", "1e5.5", "1-2", "00"] {
            for other in ["1.0", "NaN"] {
                let text = format!(r#"{{"is_legal":true,"execution_times":[{time},{other}]}}"#);
                assert!(decode(&text).is_err(), "{text}");
            }
        }
        let text = r#"{"is_legal":true,"execution_times":[0,-0.5,10E+2,1e400,NaN,-Infinity]}"#;
        assert_eq!(decode(text).expect("readable").execution_times.expect("a list").len(), 6);
    }

    #[test]
    fn no_string_passes_for_a_number() {
        for number in ["1", "#1", "$#1", "\u{e000}1", "NaN"] {
            for other in ["1", "NaN"] {
                let text = format!(r#"{{"is_legal":true,"execution_times":["{number}",{other}]}}"#);
                assert!(decode(&text).is_err_and(|cause| cause.contains("no number")), "{text}");
            }
        }
    }

    #[test]
    fn a_cause_is_short_whatever_the_text() {
        for text in [
            format!(r#"{{"is_legal":"{}"}}"#, "é".repeat(10_000)),
            format!(r#"{{"is_legal":true,"execution_times":["{}"]}}"#, "x".repeat(10_000)),
            format!(r#"{{"is_legal":true,"execution_times":{{"{}":1}}}}"#, "x".repeat(10_000)),
            "[".repeat(10_000),
        ] {
            assert!(decode(&text).is_err_and(|cause| cause.len() < 300));
        }
    }

    #[test]
    fn what_is_no_result_says_why() {
        for (text, why) in [
            ("", "EOF"),
            ("[]", "not a JSON object"),
            ("{}", "is_legal is missing"),
            (r#"{"is_legal":"yes"}"#, "neither true nor false"),
            (r#"{"is_legal":true,"execution_times":0.1}"#, "not a list"),
            (r#"{"is_legal":true,"execution_times":["fast"]}"#, "no number"),
            (r#"{"is_legal":true,"status":"sleeping"}"#, "which is none"),
            (r#"{"is_legal":false,"status":"timeout"}"#, "but is_legal is False"),
        ] {
            let cause = decode(text).expect_err(text);
            assert!(cause.contains(why), "{text}: {cause}");
        }
    }

    proptest! {
        #[test]
        fn every_finite_time_survives_to_the_last_bit(
            is_legal: bool,
            times in proptest::option::of(proptest::collection::vec(proptest::num::f64::NORMAL | proptest::num::f64::ZERO, 0..40)),
        ) {
            let outcome = Outcome::of(is_legal, times);
            prop_assert_eq!(decode(&encode(&outcome)), Ok(outcome));
        }

        #[test]
        fn no_text_makes_decoding_panic(text in "\\PC*|[\\[\\]{}\",:NaInfity\\\\-]*") {
            let _ = decode(&text);
        }
    }
}
