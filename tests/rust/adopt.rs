//! What is taken in from elsewhere is counted, keeps where it was made, and costs nobody a wait when it is there.

use std::path::Path;

use serde_json::{Map, json};
use tirastore::lock::Uninterrupted;
use tirastore::measurement::{IfExists, Measurement, Outcome};
use tirastore::mutation;
use tirastore::store::{MergedPage, Options};
use tirastore::{Error, Store};

const SOURCE: &str = "void p() {}";

fn open(directory: &Path, name: &str, compiler: &str) -> Store {
    let environment = json!({ "compiler": compiler }).as_object().cloned().unwrap_or_default();
    let options = Options {
        cpu_model: Some("TestCPU".to_owned()),
        slurm_cpus: Some("4".to_owned()),
        environment,
        ..Options::new(directory.join(name))
    };
    Store::open(options, &Uninterrupted).expect("opened")
}

fn schedule(number: usize) -> String {
    format!("P(L{number},comps=['c'])")
}

fn record(store: &Store, number: usize, time: f64) {
    let measurement = Measurement {
        program_name: "p".to_owned(),
        program_source_code: SOURCE.to_owned(),
        schedule: schedule(number),
        outcome: Outcome::of(true, Some(vec![time])),
    };
    store.record(&measurement, IfExists::Overwrite, &Uninterrupted).expect("recorded");
}

fn merge(store: &Store, other: &Store) -> MergedPage {
    store.merge_page(other, i64::MIN, 1000, &Uninterrupted).expect("merged")
}

fn compilers(store: &Store, number: usize) -> Vec<Option<String>> {
    let runs = store.runs(SOURCE, &schedule(number), &Uninterrupted).expect("read");
    let compiler = |environment: Map<_, _>| environment.get("compiler")?.as_str().map(str::to_owned);
    runs.into_iter().map(|run| run.environment.and_then(compiler)).collect()
}

/// `promise` holds, and does not hold without `mechanism`.
fn rests_on(mechanism: &str, promise: impl Fn() -> Result<(), String>) {
    promise().expect("kept");
    let without = mutation::without(mechanism, &promise);
    assert!(without.is_err(), "the promise is kept without {mechanism}: this test cannot see it fail");
}

fn require(condition: bool, broken: &str) -> Result<(), String> {
    condition.then_some(()).ok_or_else(|| broken.to_owned())
}

#[test]
fn what_is_there_is_taken_in_again_without_the_lock() {
    rests_on("adopt-asks-first", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        let (store, other) = (open(directory.path(), "s.db", "a"), open(directory.path(), "o.db", "b"));
        (0..5).for_each(|number| record(&other, number, 1.0));
        assert_eq!(merge(&store, &other).written, 5);
        let before = store.waits().count();
        let again = merge(&store, &other);
        assert_eq!((again.read, again.written), (5, 0));
        require(store.waits().count() == before, "the lock was taken")
    });
}

#[test]
fn what_was_taken_in_is_counted() {
    rests_on("adopt-counts", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        let (store, other) = (open(directory.path(), "s.db", "a"), open(directory.path(), "o.db", "b"));
        record(&store, 0, 1.0);
        (0..5).for_each(|number| record(&other, number, 1.0));
        assert_eq!(merge(&store, &other).written, 4);
        let count = store.count(&Uninterrupted).expect("counted");
        let keys =
            store.keys(tirastore::storage::records::Page::default(), &Uninterrupted).expect("listed").len();
        assert_eq!(keys, 5);
        require(count == 5, "the numbers of records do not know of it")
    });
}

#[test]
fn a_record_keeps_its_environments_whatever_their_numbers_here() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = open(directory.path(), "s.db", "here");
    record(&store, 9, 1.0);
    record(&open(directory.path(), "o.db", "first"), 0, 1.0);
    let other = open(directory.path(), "o.db", "second");
    record(&other, 0, 2.0);
    record(&other, 1, 1.0);
    merge(&store, &other);
    let expected = vec![Some("first".to_owned()), Some("second".to_owned())];
    assert_eq!(compilers(&other, 0), expected);
    assert_eq!(compilers(&store, 0), expected);
    assert_eq!(compilers(&store, 1), expected[1..]);
    assert_eq!(compilers(&store, 9), [Some("here".to_owned())]);
}

#[test]
fn pages_hold_every_record_once_also_those_that_come_meanwhile() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let (store, other) = (open(directory.path(), "s.db", "a"), open(directory.path(), "o.db", "b"));
    (0..7).for_each(|number| record(&other, number, 1.0));
    let (mut after, mut read, mut pages) = (i64::MIN, 0, 0);
    loop {
        let page = store.merge_page(&other, after, 3, &Uninterrupted).expect("merged");
        assert_eq!((page.read, page.refused.len()), (page.written, 0));
        read += page.read;
        pages += 1;
        match page.last {
            Some(last) => after = last,
            None => break,
        }
        if pages == 2 {
            record(&other, 7, 1.0);
        }
    }
    assert_eq!((read, pages), (8, 4));
    assert_eq!(store.count(&Uninterrupted).expect("counted"), 8);
}

#[test]
fn a_store_is_not_merged_with_itself() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let (store, same) = (open(directory.path(), "s.db", "a"), open(directory.path(), "s.db", "b"));
    let refused = store.merge_page(&same, i64::MIN, 10, &Uninterrupted);
    assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{refused:?}");
}
