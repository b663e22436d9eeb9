//! Records that are remembered in memory are what the store holds, whoever changed it.

mod fleet;

use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tirastore::lock::Uninterrupted;
use tirastore::measurement::{Measurement, Outcome};
use tirastore::store::Options;
use tirastore::{Store, mutation};

use fleet::Fleet;

const SOURCE: &str = "void hits() {}";

fn open(fleet: &Fleet) -> Store {
    Store::open(Options { allow_cpu_mismatch: true, ..Options::new(fleet.db()) }, &Uninterrupted)
        .expect("opened")
}

fn schedule(number: usize) -> String {
    format!("P(L{number},comps=['c'])")
}

fn record(store: &Store, number: usize, time: f64, overwrite: bool) {
    let measurement = Measurement {
        program_name: "hits".to_owned(),
        program_source_code: SOURCE.to_owned(),
        schedule: schedule(number),
        outcome: Outcome::of(true, Some(vec![time])),
    };
    assert!(store.record(&measurement, overwrite, &Uninterrupted).expect("recorded"));
}

fn time(store: &Store, number: usize) -> Option<f64> {
    let hit = store.lookup(SOURCE, &schedule(number), &Uninterrupted).expect("read")?;
    hit.outcome.execution_times.as_ref().map(|times| times[0])
}

/// A reader that remembers record 0, and a writer.
fn reader_and_writer() -> (Fleet, Store, Store) {
    let fleet = Fleet::new(&[]);
    let (reader, writer) = (open(&fleet), open(&fleet));
    record(&writer, 0, 1.0, false);
    assert_eq!([time(&reader, 0), time(&reader, 0)], [Some(1.0); 2]);
    assert!(reader.hit_counts().hits >= 1, "{:?}", reader.hit_counts());
    (fleet, reader, writer)
}

#[test]
fn an_overwrite_elsewhere_is_seen_by_the_next_lookup() {
    let (_fleet, reader, writer) = reader_and_writer();
    record(&writer, 0, 2.0, true);
    assert_eq!(time(&reader, 0), Some(2.0));
    mutation::without("raise-epoch", || record(&writer, 0, 3.0, true));
    assert_eq!(
        time(&reader, 0),
        Some(2.0),
        "the promise is kept without the epoch: this test cannot see it fail"
    );
}

#[test]
fn a_delete_elsewhere_is_seen_by_the_next_lookup() {
    let (_fleet, reader, writer) = reader_and_writer();
    let keys = writer.keys(tirastore::storage::records::Page::default(), &Uninterrupted).expect("listed");
    assert!(writer.delete(&keys[0], &Uninterrupted).expect("deleted"));
    assert_eq!(time(&reader, 0), None);
}

#[test]
fn a_look_at_the_token_is_what_keeps_hits_true() {
    let (_fleet, reader, writer) = reader_and_writer();
    record(&writer, 0, 2.0, true);
    let old = mutation::without("validate-hits", || time(&reader, 0));
    assert_eq!(old, Some(1.0), "the promise is kept without a look: this test cannot see it fail");
    assert_eq!(time(&reader, 0), Some(2.0));
}

#[test]
fn new_records_of_others_do_not_empty_the_memory() {
    let (_fleet, reader, writer) = reader_and_writer();
    for number in 1..5 {
        record(&writer, number, 1.0, false);
        let before = reader.hit_counts().hits;
        assert_eq!(time(&reader, 0), Some(1.0));
        assert_eq!(reader.hit_counts().hits, before + 1, "after record {number}");
    }
}

#[test]
fn a_writer_in_the_middle_of_its_work_keeps_nobody_from_what_is_remembered() {
    let (fleet, reader, writer) = reader_and_writer();
    record(&writer, 1, 1.0, false);
    let mut holder = fleet.start(&["hold", "20"]);
    assert!(holder.wait_for("holding"), "{:?}", holder.lines());
    let began = Instant::now();
    assert_eq!(time(&reader, 0), Some(1.0));
    assert!(began.elapsed() < Duration::from_secs(10), "it has waited");
    assert_eq!(reader.read_counts().locked.load(Ordering::Relaxed), 0);
    holder.kill();
    // What it had not read before, it reads when the dead holder's token has been taken over.
    assert_eq!(time(&reader, 1), Some(1.0));
}

thread_local! {
    /// What somebody else does just after this thread has looked at the header.
    static MEANWHILE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

fn meanwhile(point: &'static str) {
    if point == "header-looked-at"
        && let Some(act) = MEANWHILE.take()
    {
        act();
    }
}

/// What a reader tells of a record that is overwritten between its look at the header and the one at the token, in its
/// next lookup but one.
fn overwritten_beside_the_look(without: &str) -> Option<f64> {
    mutation::watch(meanwhile);
    let (fleet, reader, writer) = reader_and_writer();
    record(&writer, 1, 1.0, false);
    let db = fleet.db();
    MEANWHILE.set(Some(Box::new(move || {
        let other = Store::open(Options { allow_cpu_mismatch: true, ..Options::new(db) }, &Uninterrupted)
            .expect("opened");
        record(&other, 0, 2.0, true);
    })));
    mutation::without(without, || time(&reader, 0));
    assert!(MEANWHILE.take().is_none(), "the reader has not looked");
    time(&reader, 0)
}

#[test]
fn a_stamp_is_not_tied_to_a_later_name_of_the_token() {
    assert_eq!(overwritten_beside_the_look(""), Some(2.0));
    let old = overwritten_beside_the_look("look-at-the-header-again");
    assert_eq!(old, Some(1.0), "the promise is kept with one look: this test cannot see it fail");
}

#[test]
fn a_restored_backup_is_seen_by_the_next_lookup() {
    let (fleet, reader, writer) = reader_and_writer();
    let backup = fleet.store().join("backup.db");
    writer.backup(Some(&backup), &Uninterrupted).expect("backed up");
    record(&writer, 0, 2.0, true);
    assert_eq!(time(&reader, 0), Some(2.0));
    writer.restore(&backup, &Uninterrupted).expect("restored");
    assert_eq!(time(&reader, 0), Some(1.0));
    // The backup's epoch is raised again, to a value that it had with other records.
    record(&writer, 0, 4.0, true);
    assert_eq!(time(&reader, 0), Some(4.0));
}

#[test]
fn without_a_limit_above_zero_nothing_is_remembered() {
    let (fleet, _reader, _writer) = reader_and_writer();
    let options = Options { allow_cpu_mismatch: true, memory_cache_bytes: 0, ..Options::new(fleet.db()) };
    let store = Store::open(options, &Uninterrupted).expect("opened");
    assert_eq!([time(&store, 0), time(&store, 0)], [Some(1.0); 2]);
    let counts = store.hit_counts();
    assert_eq!((counts.hits, counts.entries, counts.bytes), (0, 0, 0));
}
