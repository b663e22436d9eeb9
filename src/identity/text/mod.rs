//! Text rules that agree with Python's `str`, where keys or error texts depend on them.
//!
//! Unicode's tables grow with every version, here and in Python alike; for code points that one side does not
//! know yet, [`python_repr`] and the word class can differ. Whitespace cannot: keys depend on it and its set
//! is closed.

mod class;
mod repr;
mod whitespace;

pub use class::{decimal_value, is_python_digit, is_python_word};
pub use repr::python_repr;
pub use whitespace::{is_python_space, strip_whitespace, strip_whitespace_wtf8};

pub(in crate::identity) use whitespace::{skip_spaces, trailing_space};

/// Turns bytes back into text after a normaliser removed or inserted whole characters only, which keeps UTF-8
/// valid.
pub(in crate::identity) fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
