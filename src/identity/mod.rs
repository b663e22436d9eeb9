//! What makes two measurements the same: the normal forms of programs and schedules, and the keys made of
//! them.
//!
//! Keys are shared with stores that the original `TiraStore` wrote, so the normal forms follow Python's text
//! rules byte for byte, including their oddities. Normalising is total: it never validates and never fails.
//! Validation is the business of [`schedule::parse`] alone.
//!
//! Functions that end in `_wtf8` take the bytes of a Python `str` encoded as UTF-8 with "surrogatepass": a
//! lone surrogate is three bytes, `ED A0..BF 80..BF`. They accept any other bytes too.

pub mod dialect;
mod digest;
pub mod key;
pub mod program;
pub mod schedule;
pub mod text;

pub use digest::HexDigest;
