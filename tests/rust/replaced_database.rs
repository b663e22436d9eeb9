//! A process that has the database open while another one is put in its place, by a fence or by a restore: from then on
//! it reads and writes the new one. Several mechanisms see to that, each of which suffices where it applies.

mod fleet;

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use tirastore::lock::Uninterrupted;
use tirastore::measurement::{Measurement, Outcome};
use tirastore::storage::records::Page;
use tirastore::store::Options;
use tirastore::{Store, mutation};

use fleet::{Fleet, report};

/// The source that the clients of a fleet record.
const SOURCE: &str = "void client() {}";
/// A file change in the middle of a commit.
const WITHIN_THE_COMMIT: &str = "30";
/// Before the journal is swapped, and after the database was.
const BETWEEN_THE_SWAPS: &str = "database-swap:1";

fn open(db: &Path) -> Store {
    let options = Options {
        allow_cpu_mismatch: true,
        lock_timeout: Duration::from_secs(20),
        stale_lock_timeout: Duration::from_secs(30),
        // What it reads, it reads from the file.
        memory_cache_bytes: 0,
        ..Options::new(db)
    };
    Store::open(options, &Uninterrupted).expect("opened")
}

fn schedule(prefix: &str, number: usize) -> String {
    format!("P(L{number},comps=['{prefix}'])")
}

fn record(store: &Store, prefix: &str, number: usize) -> Result<(), String> {
    let measurement = Measurement {
        program_name: "bystander".to_owned(),
        program_source_code: "void bystander() {}".to_owned(),
        schedule: schedule(prefix, number),
        outcome: Outcome::of(true, Some(vec![1.0])),
    };
    match store.record(&measurement, false, &Uninterrupted) {
        Ok(true) => Ok(()),
        other => Err(format!("a record of {prefix} ended with {other:?}")),
    }
}

/// What a tenure of its own shows.
fn keys(store: &Store) -> usize {
    store.keys(Page::default(), &Uninterrupted).expect("listed").len()
}

/// What a read without the lock shows: the second one, as the first one may have to take a dead holder's token over.
fn seen_without_the_lock(store: &Store) -> usize {
    let count = || usize::try_from(store.count(&Uninterrupted).expect("counted")).expect("few");
    count();
    count()
}

fn require(condition: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(broken()) }
}

/// A bystander has its connections open while a taker fences a stopped writer. It finds what was recorded since, and
/// everybody finds what it records.
fn go_on_after_a_fence(without: &str) -> Result<(), String> {
    let fleet = Fleet::new(&[("CLIENT_STALE", "0.5"), ("CLIENT_WITHOUT", without)]);
    fleet.run(&["create"]);
    let bystander = open(&fleet.db());
    record(&bystander, "bystander", 0)?;
    assert_eq!((keys(&bystander), seen_without_the_lock(&bystander)), (1, 1));
    let mut first = fleet.start(&["stop", "first", "12", WITHIN_THE_COMMIT]);
    assert!(first.wait_until_stopped(), "it ended: {:?}", first.lines());
    fleet.run(&["record", "taker", "0", "2"]);
    let acknowledged = [schedule("taker", 0), schedule("taker", 1), schedule("first_before", 0)];
    mutation::without(without, || {
        let pairs: Vec<_> = acknowledged.iter().map(|schedule| (SOURCE, schedule.as_str())).collect();
        let found = bystander.lookup_many(&pairs, &Uninterrupted).map_err(|error| error.to_string())?;
        let missing = found.iter().filter(|found| found.is_none()).count();
        require(missing == 0, || format!("the bystander misses {missing} of 3 acknowledged records"))?;
        record(&bystander, "bystander", 1)
    })?;
    first.signal(Signal::SIGCONT);
    require(first.wait().success(), || format!("the writer ended with {:?}", first.lines()))?;
    let schedules = [schedule("bystander", 0), schedule("bystander", 1)];
    let pairs: Vec<_> = schedules.iter().map(|schedule| ("void bystander() {}", schedule.as_str())).collect();
    let found = open(&fleet.db()).lookup_many(&pairs, &Uninterrupted).map_err(|error| error.to_string())?;
    let lost = found.iter().filter(|found| found.is_none()).count();
    require(lost == 0, || format!("{lost} of 2 records of the bystander are lost"))?;
    fleet.verify().map(|_| ())
}

/// A bystander has its connections open while a restore dies between its two swaps. What does it then see by `look`,
/// when everybody else sees one record?
fn look_after_half_a_restore(without: &str, look: fn(&Store) -> usize) -> Result<(), String> {
    let fleet = Fleet::new(&[("CLIENT_STALE", "30"), ("CLIENT_WITHOUT", without)]);
    let bystander = open(&fleet.db());
    record(&bystander, "bystander", 0)?;
    let directory = tempfile::tempdir().expect("temporary directory");
    let backup = directory.path().join("backup.db");
    bystander.backup(Some(&backup), &Uninterrupted).expect("backed up");
    record(&bystander, "bystander", 1)?;
    assert_eq!((keys(&bystander), seen_without_the_lock(&bystander)), (2, 2));
    let backup = backup.to_str().expect("plain");
    let mut restorer = fleet.start_with(&[("CLIENT_STOP_AT", BETWEEN_THE_SWAPS)], &["restore", backup]);
    assert!(restorer.wait_until_stopped(), "it ended: {:?}", restorer.lines());
    restorer.kill();
    let seen = mutation::without(without, || look(&bystander));
    let there = keys(&open(&fleet.db()));
    assert_eq!(there, 1, "the backup is in place");
    require(seen == there, || format!("the bystander sees {seen} records, and others {there}"))?;
    fleet.verify().map(|_| ())
}

/// Another program, which ends its transactions by removing the journal, has written between two records of a process that
/// has it open. Has what that process writes next a journal that a survivor would find?
fn go_on_without_the_journal(without: &str) -> Result<(), String> {
    let fleet = Fleet::new(&[]);
    let store = open(&fleet.db());
    record(&store, "before", 0)?;
    let journal = fleet.store().join("s.db-journal");
    std::fs::remove_file(&journal).expect("removed");
    mutation::without(without, || record(&store, "after", 0))?;
    require(journal.exists(), || "its journal has no name".to_owned())?;
    fleet.verify().map(|_| ())
}

/// `promise` holds without any one of `mechanisms`, and does not hold without all of them.
fn rests_on_any_of(mechanisms: &[&str], promise: impl Fn(&str) -> Result<(), String>) {
    promise("").expect("kept");
    if let [_, _, ..] = mechanisms {
        for mechanism in mechanisms {
            promise(mechanism).unwrap_or_else(|why| panic!("not kept without {mechanism} alone: {why}"));
        }
    }
    let all = mechanisms.join(",");
    let without = promise(&all);
    report(&format!("without {all}: {without:?}"));
    assert!(without.is_err(), "the promise is kept without {all}: this test cannot see it fail");
}

#[test]
fn after_a_fence_a_kept_connection_is_known_by_the_number() {
    rests_on_any_of(&["raise-fence-number"], go_on_after_a_fence);
}

#[test]
fn after_half_a_restore_only_its_file_tells_a_reader_that_its_connection_is_old() {
    rests_on_any_of(&["same-file"], |without| look_after_half_a_restore(without, seen_without_the_lock));
}

#[test]
fn after_half_a_restore_a_taker_sees_what_is_there_as_it_opens_by_path() {
    rests_on_any_of(&["taker-reopens", "same-file"], |without| look_after_half_a_restore(without, keys));
}

#[test]
fn a_journal_that_was_removed_is_not_written_any_more() {
    rests_on_any_of(&["same-journal"], go_on_without_the_journal);
}
