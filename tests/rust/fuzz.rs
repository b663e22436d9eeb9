//! Drives the properties of the fuzz targets on stable Rust, for a bounded time, from a seed that is printed.
//!
//! `TIRASTORE_FUZZ_SEED` repeats a run, `TIRASTORE_FUZZ_SECONDS` lengthens it.

#![expect(clippy::print_stdout, reason = "the seed of a failed run must be known")]

#[path = "../../fuzz/properties/program.rs"]
mod program;
#[path = "../../fuzz/properties/python.rs"]
mod python;
#[path = "../../fuzz/properties/result.rs"]
mod result;
#[path = "../../fuzz/properties/schedule.rs"]
mod schedule;
#[path = "../../fuzz/properties/token.rs"]
mod token;

use std::env;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A small generator of pseudo-random numbers: a counter with good mixing.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or_default()
    }
}

/// Fragments in a row, in one of four inputs with bytes changed at random.
fn input(random: &mut Random, fragments: &[&str]) -> Vec<u8> {
    let mut data = Vec::new();
    for _ in 0..random.below(14) {
        data.extend_from_slice(fragments[random.below(fragments.len())].as_bytes());
    }
    if random.below(4) == 0 && !data.is_empty() {
        for _ in 0..=random.below(3) {
            let at = random.below(data.len());
            data[at] = random.next().to_le_bytes()[0];
        }
    }
    data
}

fn setting(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

fn drive(what: &str, fragments: &[&str], check: fn(&[u8])) {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let seed =
        setting("TIRASTORE_FUZZ_SEED").unwrap_or(u64::try_from(clock % 1_000_000_007).unwrap_or_default());
    println!("TIRASTORE_FUZZ_SEED={seed}");
    let end = Instant::now() + Duration::from_secs(setting("TIRASTORE_FUZZ_SECONDS").unwrap_or(1));
    let mut random = Random(seed);
    let mut inputs = 0;
    while inputs < 100 || Instant::now() < end {
        check(&input(&mut random, fragments));
        inputs += 1;
    }
    println!("reliability: {inputs} {what} at random with seed {seed}, no panic, every property holds");
}

#[test]
fn properties_of_programs_hold() {
    drive("programs", program::FRAGMENTS, program::check);
}

#[test]
fn properties_of_schedules_hold() {
    drive("schedules", schedule::FRAGMENTS, schedule::check);
}

#[test]
fn properties_of_results_hold() {
    drive("results", result::FRAGMENTS, result::check);
}

#[test]
fn properties_of_token_names_hold() {
    drive("names of tokens", token::FRAGMENTS, token::check);
}
