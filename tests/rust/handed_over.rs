//! Records that are handed over for good come into the store once, whatever becomes of their process and of who applies
//! them; and each mechanism that this rests on is needed (`src/mutation.rs`).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tirastore::lock::{Uninterrupted, lock_path};
use tirastore::measurement::{Measurement, Outcome};
use tirastore::mutation;
use tirastore::store::{Buffer, HandedOver, Limits, Options};
use tirastore::{Store, machine};

/// `promise` holds, and does not hold without `mechanism`.
fn rests_on(mechanism: &str, promise: impl Fn() -> Result<(), String>) {
    promise().expect("kept");
    let without = mutation::without(mechanism, &promise);
    assert!(without.is_err(), "the promise is kept without {mechanism}: this test cannot see it fail");
}

fn require(condition: bool, broken: &str) -> Result<(), String> {
    condition.then_some(()).ok_or_else(|| broken.to_owned())
}

fn open(directory: &Path) -> Arc<Store> {
    let options = Options { allow_cpu_mismatch: true, ..Options::new(directory.join("s.db")) };
    Arc::new(Store::open(options, &Uninterrupted).expect("opened"))
}

fn buffer(store: &Arc<Store>) -> Buffer {
    Buffer::new(Arc::clone(store), Limits { records: 1000, age: None }).expect("writable")
}

const SOURCE: &str = "void p() {}";

fn schedule(number: u32) -> String {
    format!("P(L{number},comps=['c'])")
}

fn measurement(number: u32, time: f64) -> Measurement {
    Measurement {
        program_name: "p".to_owned(),
        program_source_code: SOURCE.to_owned(),
        schedule: schedule(number),
        outcome: Outcome::of(true, Some(vec![time])),
    }
}

fn hand_over(buffer: &Buffer, number: u32, time: f64) {
    buffer.record(&measurement(number, time), true, &Uninterrupted).expect("taken");
    assert_eq!(buffer.post(&Uninterrupted).expect("handed over"), HandedOver::Safe(1));
}

fn overwrite(store: &Store, number: u32, time: f64) {
    store.record(&measurement(number, time), true, &Uninterrupted).expect("recorded");
}

fn time(store: &Store, number: u32) -> Option<f64> {
    let found = store.lookup(SOURCE, &schedule(number), &Uninterrupted).expect("read")?;
    found.outcome.execution_times.as_ref()?.first().copied()
}

/// The files that wait beside the token.
fn waiting(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(lock_path(&directory.join("s.db"))).expect("sealed");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let mut found: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "new")).collect();
    found.sort();
    found
}

#[test]
fn records_are_applied_once_though_their_file_outlives_whoever_applied_them() {
    rests_on("keep-once", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = open(directory.path());
        hand_over(&buffer(&store), 1, 1.0);
        let [file] = waiting(directory.path()).try_into().map_err(|_| "not one file")?;
        let contents = fs::read(&file).expect("readable");
        overwrite(&store, 2, 2.0);
        require(time(&store, 1) == Some(1.0), "it was not applied")?;
        require(!file.exists(), "its file is still there")?;
        overwrite(&store, 1, 3.0);
        // As if the first holder had died between its release and the removal.
        fs::write(&file, contents).expect("put back");
        overwrite(&store, 2, 4.0);
        require(time(&store, 1) == Some(3.0), "it was applied again, over what was recorded since")?;
        require(!file.exists(), "its file stays for ever")
    });
}

#[test]
fn records_outlive_their_process_without_being_swept() {
    rests_on("outlive-the-process", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = open(directory.path());
        hand_over(&buffer(&store), 1, 1.0);
        let [file] = waiting(directory.path()).try_into().map_err(|_| "not one file")?;
        // As if of a process that has ended: no process id is so large.
        let mine = format!("_{}_{}_", machine::hostname(), std::process::id());
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        let of_the_dead = name.replace(&mine, &format!("_{}_{}_", machine::hostname(), i32::MAX));
        assert_ne!(name, of_the_dead);
        fs::rename(&file, file.with_file_name(of_the_dead)).expect("renamed");
        let reader = open(directory.path());
        require(time(&reader, 1) == Some(1.0), "the record is lost")
    });
}

#[test]
fn records_of_one_process_are_applied_in_their_order() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = open(directory.path());
    let buffer = buffer(&store);
    for number in 0..12 {
        hand_over(&buffer, 1, f64::from(number));
    }
    assert_eq!(waiting(directory.path()).len(), 12);
    assert_eq!(time(&open(directory.path()), 1), Some(11.0));
    assert_eq!(waiting(directory.path()), [] as [PathBuf; 0]);
}

#[test]
fn a_file_that_is_not_whole_is_left_alone() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = open(directory.path());
    hand_over(&buffer(&store), 1, 1.0);
    let [file] = waiting(directory.path()).try_into().expect("one file");
    let contents = fs::read(&file).expect("readable");
    fs::write(&file, &contents[..contents.len() / 2]).expect("cut");
    overwrite(&store, 2, 2.0);
    assert_eq!(time(&store, 1), None);
    assert!(file.exists());
    fs::write(&file, &contents).expect("mended");
    overwrite(&store, 2, 3.0);
    assert_eq!(time(&store, 1), Some(1.0));
}
