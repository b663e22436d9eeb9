//! Results of records, the times of many in one piece of memory.

use serde_json::Value;

use crate::measurement::Status;
use crate::storage::result_json;

/// A result without its times.
#[derive(Debug, PartialEq)]
pub(super) struct Decoded {
    pub(super) is_legal: bool,
    /// Are there times, maybe none?
    pub(super) has_times: bool,
    pub(super) status: Status,
    /// As JSON; few records have some.
    pub(super) details: Option<Box<str>>,
}

/// Decodes `text`; its times are put behind those that are in `times`. Those of old rows may be NaN or infinite.
///
/// # Errors
///
/// What is wrong with the text, in a line.
pub(super) fn decode(text: &str, times: &mut Vec<f64>) -> Result<Decoded, String> {
    let before = times.len();
    plain(text, times).map_or_else(
        || {
            times.truncate(before);
            general(text, times)
        },
        Ok,
    )
}

/// What our library writes of most, without a tree of values between text and times: there are millions of them.
fn plain(text: &str, times: &mut Vec<f64>) -> Option<Decoded> {
    let before = times.len();
    let rest = text.strip_prefix(r#"{"is_legal":"#)?;
    let (is_legal, rest) = match rest.strip_prefix("true") {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix("false")?),
    };
    let rest = rest.strip_prefix(r#","execution_times":"#)?;
    let (has_times, mut rest) = match rest.strip_prefix("null") {
        Some(rest) => (false, rest),
        None => (true, list(rest.strip_prefix('[')?, times)?),
    };
    if let Some(number) = rest.strip_prefix(r#","environment":"#) {
        let digits = number.strip_suffix('}')?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        (is_number && !digits.is_empty()).then_some(())?;
        rest = "}";
    }
    let status = Status::derived(is_legal, times.len() > before);
    (rest == "}").then_some(Decoded { is_legal, has_times, status, details: None })
}

/// Reads numbers up to the bracket that closes them; what stands behind it.
fn list<'a>(mut rest: &'a str, times: &mut Vec<f64>) -> Option<&'a str> {
    if let Some(rest) = rest.strip_prefix(']') {
        return Some(rest);
    }
    loop {
        let length = number_length(rest.as_bytes())?;
        times.push(rest[..length].parse().ok().filter(|time: &f64| time.is_finite())?);
        rest = &rest[length..];
        match rest.as_bytes().first()? {
            b',' => rest = &rest[1..],
            b']' => return Some(&rest[1..]),
            _ => return None,
        }
    }
}

/// Length of the JSON number at the start of `text`: what Rust reads as a number is more than what JSON does.
fn number_length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let length = text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (length > 0).then_some(from + length)
    };
    let sign = usize::from(text.first() == Some(&b'-'));
    let mut end = digits(sign)?;
    if text[sign] == b'0' && end > sign + 1 {
        return None;
    }
    if text.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let signed = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        end = digits(end + 1 + signed)?;
    }
    Some(end)
}

fn general(text: &str, times: &mut Vec<f64>) -> Result<Decoded, String> {
    let outcome = result_json::decode(text)?;
    times.extend(outcome.execution_times.iter().flatten());
    Ok(Decoded {
        is_legal: outcome.is_legal,
        has_times: outcome.execution_times.is_some(),
        status: outcome.status(),
        details: outcome.details.map(|details| Value::Object(details).to_string().into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_short_way_reads_what_the_long_way_reads() {
        let lists = [
            "null",
            "[]",
            "[1]",
            "[0.1,2e-3,-0.0]",
            "[1,]",
            "[,1]",
            "[1e400]",
            "[NaN]",
            "[inf]",
            "[true]",
            "[01]",
            "[1.]",
            "[.5]",
            "[+1]",
            "[-]",
            "[1e]",
            "[1e+5,1E5]",
            "[ 1]",
            "{}",
            "1",
            "",
        ];
        let tails = [
            "}",
            "}}",
            " }",
            r#","status":"timeout"}"#,
            r#","status":"timeout","environment":3}"#,
            r#","environment":12}"#,
            r#","environment":01}"#,
            r#","environment":-1}"#,
            r#","environment":null}"#,
            r#","details":{"exit":9},"environment":3}"#,
            r#","status":"failed","details":{}}"#,
            r#","status":7}"#,
            r#","status":"a\"b"}"#,
            r#","execution_times":[2]}"#,
        ];
        let mut short = 0;
        for is_legal in ["true", "false", "1", "tru"] {
            for list in lists {
                for tail in tails {
                    let text = format!("{{\"is_legal\":{is_legal},\"execution_times\":{list}{tail}");
                    let (mut times, mut other) = (Vec::new(), Vec::new());
                    if let Some(decoded) = plain(&text, &mut times) {
                        short += 1;
                        assert_eq!(general(&text, &mut other), Ok(decoded), "{text}");
                        assert_eq!(times, other, "{text}");
                    }
                }
            }
        }
        assert!(short >= 20, "only {short} went the short way");
    }

    #[test]
    fn what_stands_behind_the_times_is_read() {
        let text =
            r#"{"is_legal":true,"execution_times":null,"status":"failed","details":{"a":1},"environment":3}"#;
        let decoded = decode(text, &mut Vec::new()).expect("readable");
        assert_eq!(decoded.status, Status::Failed);
        assert_eq!(decoded.details.as_deref(), Some(r#"{"a":1}"#));
        assert!(!decoded.has_times);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            is_legal: bool,
            times in proptest::option::of(proptest::collection::vec(proptest::num::f64::NORMAL | proptest::num::f64::ZERO, 0..40)),
        ) {
            let text = format!(r#"{{"is_legal":{is_legal},"execution_times":{}}}"#, serde_json::json!(times));
            let mut found = vec![9.0];
            let decoded = plain(&text, &mut found).expect("the short way");
            prop_assert_eq!(decoded.has_times, times.is_some());
            prop_assert_eq!(found.split_off(1), times.unwrap_or_default());
            prop_assert_eq!(found, vec![9.0]);
        }

        #[test]
        fn no_text_makes_decoding_panic(text in "\\PC*|[\\[\\]{}\",:NaInfity\\\\-]*") {
            let _ = decode(&text, &mut Vec::new());
        }
    }
}
