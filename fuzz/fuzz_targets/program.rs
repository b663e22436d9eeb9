//! Feeds arbitrary bytes to the properties of programs.

#![no_main]

#[path = "../properties/program.rs"]
mod program;
#[path = "../properties/python.rs"]
mod python;

libfuzzer_sys::fuzz_target!(|data: &[u8]| program::check(data));
