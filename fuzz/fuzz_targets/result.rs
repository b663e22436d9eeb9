//! Feeds arbitrary bytes to the properties of results.

#![no_main]

#[path = "../properties/result.rs"]
mod result;

libfuzzer_sys::fuzz_target!(|data: &[u8]| result::check(data));
