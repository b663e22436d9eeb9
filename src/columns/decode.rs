//! Results of records, the times of many in one piece of memory.

use serde_json::Value;

use crate::measurement::Status;
use crate::storage::result_json::{self, Plain, plain};

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
    if let Some(Plain { is_legal, has_times }) = plain::read(text, times) {
        let status = Status::derived(is_legal, times.len() > before);
        return Ok(Decoded { is_legal, has_times, status, details: None });
    }
    times.truncate(before);
    general(text, times)
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
        fn times_that_stood_there_stay(text in r#"\{"is_legal":(true|tru),"execution_times":(\[1,2\]|\[1,x\]|null)\}"#) {
            let (mut behind, mut alone) = (vec![9.0], Vec::new());
            prop_assert_eq!(decode(&text, &mut behind), decode(&text, &mut alone));
            prop_assert_eq!(behind.split_off(1), alone);
            prop_assert_eq!(behind, vec![9.0]);
        }

        #[test]
        fn no_text_makes_decoding_panic(text in "\\PC*|[\\[\\]{}\",:NaInfity\\\\-]*") {
            let _ = decode(&text, &mut Vec::new());
        }
    }
}
