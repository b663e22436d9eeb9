//! Feeds arbitrary bytes to the properties of schedules.

#![no_main]

#[path = "../properties/python.rs"]
mod python;
#[path = "../properties/schedule.rs"]
mod schedule;

libfuzzer_sys::fuzz_target!(|data: &[u8]| schedule::check(data));
