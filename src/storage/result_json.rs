//! `records.result_json`: `{"is_legal":true,"execution_times":[0.042,0.039]}`.
//!
//! Written as strict JSON. Read as Python's `json` reads it: files of the original may hold `NaN`, `Infinity` and numbers
//! beyond the range of a double.

use serde_json::{Value, json};

use crate::measurement::Outcome;

/// The JSON text of `outcome`, whose times must be finite.
#[must_use]
pub fn encode(outcome: &Outcome) -> String {
    // Not one json! object: its keys would be sorted, and the original writes is_legal first.
    let times = json!(outcome.execution_times);
    format!(r#"{{"is_legal":{},"execution_times":{times}}}"#, outcome.is_legal)
}

/// The outcome in `text`. Times may be NaN or infinite in old rows.
///
/// # Errors
///
/// What is wrong with the text, for [`crate::Error::CorruptRecord`].
pub fn decode(text: &str) -> Result<Outcome, String> {
    let parsed = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => serde_json::from_str(&quote_numbers(text)).map_err(|_| error.to_string())?,
    };
    let Value::Object(fields) = parsed else {
        return Err("the result is not a JSON object".to_owned());
    };
    let is_legal = match fields.get("is_legal") {
        Some(Value::Bool(is_legal)) => *is_legal,
        // An integer of the original's, or of quote_numbers.
        Some(number) if time(number) == Ok(1.0) => true,
        Some(number) if time(number) == Ok(0.0) => false,
        Some(other) => return Err(format!("is_legal is {other}, neither true nor false")),
        None => return Err("is_legal is missing".to_owned()),
    };
    let execution_times = match fields.get("execution_times") {
        None | Some(Value::Null) => None,
        Some(Value::Array(times)) => Some(times.iter().map(time).collect::<Result<_, _>>()?),
        Some(other) => return Err(format!("execution_times is {other}, not a list")),
    };
    Ok(Outcome { is_legal, execution_times })
}

fn time(value: &Value) -> Result<f64, String> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.strip_prefix(MARK).and_then(|number| number.parse().ok()),
        _ => None,
    };
    number.ok_or_else(|| format!("execution_times holds {value}, which is no number"))
}

/// Begins the strings that [`quote_numbers`] makes, and no string of anybody else.
const MARK: char = '\u{e000}';

/// Makes marked strings of all numbers outside strings: those that are not finite, and those beyond the range of a
/// double, are no numbers to a strict parser.
fn quote_numbers(text: &str) -> String {
    let mut quoted = String::with_capacity(2 * text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let (string, number) = (string_length(rest), number_length(rest));
        let length = if number > 0 { number } else { string.unwrap_or(next.len_utf8()) };
        if number > 0 {
            quoted.extend(['"', MARK]);
        }
        quoted.push_str(&rest[..length]);
        if number > 0 {
            quoted.push('"');
        }
        rest = &rest[length..];
    }
    quoted
}

/// Length of the JSON string that `text` begins with.
fn string_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    let closing = text.strip_prefix('"')?.find(|character| {
        let closes = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        closes
    });
    Some(closing.map_or(text.len(), |inner| inner + 2))
}

/// Length of the number that `text` begins with, as Python's `json` reads numbers; 0 if there is none.
fn number_length(text: &str) -> usize {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let sign = text.len() - unsigned.len();
    let word = ["Infinity", "NaN"].into_iter().find(|word| unsigned.starts_with(word)).map(str::len);
    let digits = unsigned.starts_with(|first: char| first.is_ascii_digit());
    let end = || unsigned.find(|other: char| !other.is_ascii_digit() && !".eE+-".contains(other));
    match word {
        Some(length) => sign + length,
        None if digits => sign + end().unwrap_or(unsigned.len()),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn results_are_written_as_the_original_writes_them() {
        let outcome = Outcome { is_legal: true, execution_times: Some(vec![0.042, 1.0]) };
        assert_eq!(encode(&outcome), r#"{"is_legal":true,"execution_times":[0.042,1.0]}"#);
        let illegal = Outcome { is_legal: false, execution_times: None };
        assert_eq!(encode(&illegal), r#"{"is_legal":false,"execution_times":null}"#);
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
    fn what_is_no_result_says_why() {
        for (text, why) in [
            ("", "EOF"),
            ("[]", "not a JSON object"),
            ("{}", "is_legal is missing"),
            (r#"{"is_legal":"yes"}"#, "neither true nor false"),
            (r#"{"is_legal":true,"execution_times":0.1}"#, "not a list"),
            (r#"{"is_legal":true,"execution_times":["fast"]}"#, "no number"),
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
            let outcome = Outcome { is_legal, execution_times: times };
            prop_assert_eq!(decode(&encode(&outcome)), Ok(outcome));
        }

        #[test]
        fn no_text_makes_decoding_panic(text in "\\PC*|[\\[\\]{}\",:NaInfity\\\\-]*") {
            let _ = decode(&text);
        }
    }
}
