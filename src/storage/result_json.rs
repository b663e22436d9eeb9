//! `records.result_json`: `{"is_legal":true,"execution_times":[0.042,0.039]}`.
//!
//! Written as strict JSON. Read as Python's `json` reads it: files of the original may hold `NaN` and `Infinity`.

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
        Err(error) => serde_json::from_str(&quote_non_finite(text)).map_err(|_| error.to_string())?,
    };
    let Value::Object(fields) = parsed else {
        return Err("the result is not a JSON object".to_owned());
    };
    let is_legal = match fields.get("is_legal") {
        Some(Value::Bool(is_legal)) => *is_legal,
        Some(Value::Number(number)) if number.as_u64() == Some(1) => true,
        Some(Value::Number(number)) if number.as_u64() == Some(0) => false,
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
        Value::String(name) => NON_FINITE.iter().find(|(token, _)| token == name).map(|(_, value)| *value),
        _ => None,
    };
    number.ok_or_else(|| format!("execution_times holds {value}, which is no number"))
}

/// Longer tokens first: `-Infinity` ends in `Infinity`.
const NON_FINITE: [(&str, f64); 3] =
    [("-Infinity", f64::NEG_INFINITY), ("Infinity", f64::INFINITY), ("NaN", f64::NAN)];

/// Puts quotes around Python's non-finite numbers, outside strings.
fn quote_non_finite(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut in_string = false;
    while let Some(next) = rest.chars().next() {
        let token =
            NON_FINITE.iter().map(|(token, _)| *token).find(|token| !in_string && rest.starts_with(token));
        let length = if let Some(token) = token {
            quoted.push('"');
            quoted.push_str(token);
            quoted.push('"');
            token.len()
        } else {
            let escape = in_string && next == '\\';
            let length =
                if escape { rest.chars().take(2).map(char::len_utf8).sum() } else { next.len_utf8() };
            in_string ^= next == '"';
            quoted.push_str(&rest[..length]);
            length
        };
        rest = &rest[length..];
    }
    quoted
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
            r#"{"is_legal": 1, "execution_times": [NaN, -Infinity, Infinity, 3, 1e-05], "NaN": "\"NaN"}"#,
        )
        .expect("readable");
        let times = outcome.execution_times.expect("a list");
        assert!(outcome.is_legal && times[0].is_nan());
        assert_eq!(times[1..], [f64::NEG_INFINITY, f64::INFINITY, 3.0, 1e-5]);
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
