//! Stores, buffers, and what they hand over: for the tests of handing over.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tirastore::Store;
use tirastore::lock::{Uninterrupted, lock_path};
use tirastore::measurement::{IfExists, Measurement, Outcome};
use tirastore::mutation;
use tirastore::store::{Buffer, HandedOver, Limits, Options};

/// `promise` holds, and does not hold without `mechanism`.
pub fn rests_on(mechanism: &str, promise: impl Fn() -> Result<(), String>) {
    promise().expect("kept");
    let without = mutation::without(mechanism, &promise);
    assert!(without.is_err(), "the promise is kept without {mechanism}: this test cannot see it fail");
}

pub fn require(condition: bool, broken: &str) -> Result<(), String> {
    condition.then_some(()).ok_or_else(|| broken.to_owned())
}

pub fn open(directory: &Path) -> Arc<Store> {
    let options = Options { allow_cpu_mismatch: true, ..Options::new(directory.join("s.db")) };
    Arc::new(Store::open(options, &Uninterrupted).expect("opened"))
}

pub fn buffer(store: &Arc<Store>) -> Buffer {
    Buffer::new(Arc::clone(store), Limits { records: 1000, age: None }).expect("writable")
}

pub const SOURCE: &str = "void p() {}";

pub fn schedule(number: u32) -> String {
    format!("P(L{number},comps=['c'])")
}

pub fn measurement(number: u32, time: f64) -> Measurement {
    Measurement {
        program_name: "p".to_owned(),
        program_source_code: SOURCE.to_owned(),
        schedule: schedule(number),
        outcome: Outcome::of(true, Some(vec![time])),
    }
}

pub fn put(buffer: &Buffer, number: u32, time: f64, if_exists: IfExists) {
    buffer.record(&measurement(number, time), if_exists, &Uninterrupted).expect("taken");
}

pub fn hand_over(buffer: &Buffer, number: u32, time: f64) {
    put(buffer, number, time, IfExists::Overwrite);
    assert_eq!(buffer.post(&Uninterrupted).expect("handed over"), HandedOver::Safe(1));
}

pub fn overwrite(store: &Store, number: u32, time: f64) {
    store.record(&measurement(number, time), true, &Uninterrupted).expect("recorded");
}

pub fn time(store: &Store, number: u32) -> Option<f64> {
    let found = store.lookup(SOURCE, &schedule(number), &Uninterrupted).expect("read")?;
    found.outcome.execution_times.as_ref()?.first().copied()
}

/// The files that wait beside the token.
pub fn waiting(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(lock_path(&directory.join("s.db"))).expect("sealed");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let mut found: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "new")).collect();
    found.sort();
    found
}
