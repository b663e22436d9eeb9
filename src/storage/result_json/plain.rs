//! Results that say nothing beside verdict and times, without a tree of values between text and times: lookups wait
//! for it, and columns are made of millions of them.

/// Verdict of a result whose times went elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) is_legal: bool,
    /// Is there a list of times, maybe an empty one?
    pub(crate) has_times: bool,
}

/// Reads what our library and the original write of most; the times are put behind those that are in `times`. `None`,
/// and some times more, for what is written otherwise.
pub(crate) fn read(text: &str, times: &mut Vec<f64>) -> Option<Plain> {
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
    if let Some(number) = rest.strip_prefix(super::ENVIRONMENT) {
        let digits = number.strip_suffix('}')?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        (is_number && !digits.is_empty()).then_some(())?;
        rest = "}";
    }
    (rest == "}").then_some(Plain { is_legal, has_times })
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

#[cfg(test)]
mod tests {
    use super::super::{decode, general};
    use super::*;
    use crate::measurement::Outcome;
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
            "[1]}",
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
            r#","environment":}"#,
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
                    let mut times = Vec::new();
                    if let Some(Plain { is_legal, has_times }) = read(&text, &mut times) {
                        short += 1;
                        let outcome = Outcome::of(is_legal, has_times.then_some(times));
                        assert_eq!(general(&text).as_ref(), Ok(&outcome), "{text}");
                        assert_eq!(decode(&text), Ok(outcome), "{text}");
                    }
                }
            }
        }
        assert!(short >= 20, "only {short} went the short way");
    }

    proptest! {
        #[test]
        fn what_is_written_goes_the_short_way(
            is_legal: bool,
            times in proptest::option::of(proptest::collection::vec(proptest::num::f64::NORMAL | proptest::num::f64::ZERO, 0..40)),
        ) {
            let text = super::super::encode(&Outcome::of(is_legal, times.clone()));
            let mut found = vec![9.0];
            let has_times = times.is_some();
            prop_assert_eq!(read(&text, &mut found), Some(Plain { is_legal, has_times }));
            prop_assert_eq!(found.split_off(1), times.unwrap_or_default());
            prop_assert_eq!(found, vec![9.0]);
        }
    }
}
