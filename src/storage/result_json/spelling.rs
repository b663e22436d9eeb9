//! JSON as Python's `json` writes it, for a strict parser: `NaN`, `Infinity`, and numbers beyond the range of a double.

use serde_json::{Map, Value};

/// How a parsed text spells numbers and strings.
pub(super) enum Spelling {
    /// As JSON does.
    Strict,
    /// As [`mark`] does.
    Marked,
}

impl Spelling {
    /// The field of an object called `name`.
    pub(super) fn field<'a>(&self, fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
        match self {
            Self::Strict => fields.get(name),
            Self::Marked => fields.get(&format!("{STRING}{name}")),
        }
    }

    pub(super) fn number(&self, value: &Value) -> Option<f64> {
        match (self, value) {
            (Self::Strict, Value::Number(number)) => number.as_f64(),
            (Self::Marked, Value::String(text)) => {
                text.strip_prefix(NUMBER).filter(|text| is_number(text))?.parse().ok()
            }
            _ => None,
        }
    }

    pub(super) fn string<'a>(&self, value: &'a Value) -> Option<&'a str> {
        match self {
            Self::Strict => value.as_str(),
            Self::Marked => value.as_str()?.strip_prefix(STRING),
        }
    }

    /// Nobody writes them beside numbers that need marks.
    pub(super) fn details(&self, value: &Value) -> Option<Map<String, Value>> {
        match self {
            Self::Strict => value.as_object().cloned(),
            Self::Marked => None,
        }
    }
}

/// Begins the strings that [`mark`] makes of numbers.
const NUMBER: char = '#';
/// Begins the strings that were strings: whatever a file holds, none of its strings passes for a number.
const STRING: char = '$';

/// Makes strings of all numbers outside strings: those that are not finite, and those beyond the range of a double,
/// are no numbers to a strict parser.
pub(super) fn mark(text: &str) -> String {
    let mut marked = String::with_capacity(2 * text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let number = number_length(rest);
        let length = if number > 0 {
            marked.extend(['"', NUMBER]);
            marked.push_str(&rest[..number]);
            marked.push('"');
            number
        } else if let Some(string) = string_length(rest) {
            marked.extend(['"', STRING]);
            marked.push_str(&rest[1..string]);
            string
        } else {
            marked.push(next);
            next.len_utf8()
        };
        rest = &rest[length..];
    }
    marked
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

/// Is `text`, which a number begins, one to Python's `json`? Rust takes `01`, `1.` and `1.e5` for numbers, too.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let digits =
        |text: &str| text.len() - text.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    if !unsigned.starts_with(|first: char| first.is_ascii_digit()) {
        return true;
    }
    let whole = digits(unsigned);
    let mut rest = &unsigned[whole..];
    if whole > 1 && unsigned.starts_with('0') {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        let length = digits(fraction);
        rest = &fraction[length..];
        if length == 0 {
            return false;
        }
    }
    match rest.strip_prefix(['e', 'E']) {
        None => rest.is_empty(),
        Some(exponent) => {
            let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent) == exponent.len()
        }
    }
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
