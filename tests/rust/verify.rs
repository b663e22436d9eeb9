//! A verification finds what was changed, names it, and goes on behind what cannot be read. Each of its parts is
//! switched off once, to show that its test can fail: see `src/mutation.rs`.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tirastore::identity::{key, program};
use tirastore::lock::{HardLink, Interrupt, Patience, Uninterrupted, lock_path};
use tirastore::measurement::{Measurement, Outcome};
use tirastore::mutation;
use tirastore::storage::verify::{Finding, Kind, Report};
use tirastore::store::Options;
use tirastore::{Error, Store};

const SOURCE: &str = "void p() {}";

/// A store with records `0..count`, one program, and a second name of it.
fn store_in(directory: &Path, count: u32) -> Store {
    let store = Store::open(Options::new(directory.join("s.db")), &Uninterrupted).expect("opened");
    let measurements: Vec<_> = (0..count).map(|number| measurement("p", number)).collect();
    store.record_batch(&measurements, "measurements", false, &Uninterrupted).expect("recorded");
    store.record(&measurement("q", 0), false, &Uninterrupted).expect("named");
    store
}

fn measurement(name: &str, number: u32) -> Measurement {
    Measurement {
        program_name: name.to_owned(),
        program_source_code: SOURCE.to_owned(),
        schedule: schedule(number),
        outcome: Outcome::of(true, Some(vec![f64::from(number)])),
    }
}

fn schedule(number: u32) -> String {
    format!("U(L0,{number},comps=['c'])")
}

fn key_of(number: u32) -> String {
    key::make_key(program::hash(SOURCE).as_str(), &schedule(number)).to_string()
}

fn change(store: &Store, sql: &str) {
    let connection = Connection::open(store.db_path()).expect("opened");
    connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).expect("changed");
}

fn verify(store: &Store) -> Report {
    store.verify(&Uninterrupted).expect("verified")
}

fn has(findings: &[Finding], kind: Kind, key: Option<&str>, cause: &str) -> bool {
    findings
        .iter()
        .any(|found| found.kind == kind && found.key.as_deref() == key && found.cause.contains(cause))
}

/// `kind` and `key` are reported with `cause` after `damage`, and are not without `mechanism`.
fn rests_on(mechanism: &str, damage: impl Fn(&Store), kind: Kind, key: Option<&str>, cause: &str) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = store_in(directory.path(), 400);
    assert_eq!(verify(&store), Report { programs: 1, records: 400, findings: Vec::new() });
    damage(&store);
    let found = verify(&store).findings;
    assert!(has(&found, kind, key, cause), "{found:?}");
    let without = mutation::without(mechanism, || verify(&store)).findings;
    assert!(!has(&without, kind, key, cause), "found without {mechanism}: this test cannot see it fail");
}

#[test]
fn a_changed_source_is_noticed_by_its_hash() {
    let damage = |store: &Store| change(store, "UPDATE programs SET source_code = 'void p() { other(); }'");
    let hash = program::hash(SOURCE);
    rests_on("verify-hashes", damage, Kind::Program, Some(hash.as_str()), "another hash");
}

#[test]
fn a_changed_schedule_is_noticed_by_its_key() {
    let sql = "UPDATE records SET schedule = 'U(L1,7,comps=[''c''])' WHERE schedule LIKE 'U(L0,7,%'";
    rests_on("verify-keys", |store| change(store, sql), Kind::Record, Some(&key_of(7)), "another key");
}

#[test]
fn a_result_that_cannot_be_decoded_is_noticed() {
    let sql = "UPDATE records SET result_json = '{\"is_legal\":tru' WHERE schedule LIKE 'U(L0,7,%'";
    rests_on(
        "verify-results",
        |store| change(store, sql),
        Kind::Record,
        Some(&key_of(7)),
        "cannot be decoded",
    );
}

#[test]
fn a_record_without_its_program_is_noticed() {
    let damage = |store: &Store| change(store, "DELETE FROM programs");
    rests_on("verify-programs-of-records", damage, Kind::Record, Some(&key_of(7)), "not in the store");
}

#[test]
fn a_broken_index_is_noticed() {
    let damage = |store: &Store| {
        let root = page_of(store, "records_by_creation");
        overwrite(store, root);
    };
    rests_on("verify-pages", damage, Kind::Database, None, "");
}

#[test]
fn what_lies_behind_a_broken_page_is_verified() {
    let damage = |store: &Store| {
        change(store, "UPDATE records SET result_json = '' WHERE schedule LIKE 'U(L0,399,%'");
        let leaves = leaves_of(store, page_of(store, "records"));
        overwrite(store, leaves[leaves.len() / 2]);
    };
    rests_on("verify-goes-on", damage, Kind::Record, Some(&key_of(399)), "cannot be decoded");
}

#[test]
fn every_row_before_and_behind_broken_pages_is_counted() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = store_in(directory.path(), 400);
    let leaves = leaves_of(&store, page_of(&store, "records"));
    assert!(leaves.len() > 8, "a tree of {} leaves is none to lose some of", leaves.len());
    let largest = 400 / leaves.len() as u64 + 20;
    for lost in [0, 3, 4, leaves.len() - 1] {
        overwrite(&store, leaves[lost]);
    }
    let report = verify(&store);
    assert!(report.records < 400 && report.records >= 400 - 4 * largest, "{} of 400", report.records);
    // Two neighbours are one gap.
    let gaps = report.findings.iter().filter(|found| found.cause.contains("what the table records holds"));
    assert_eq!(gaps.count(), 3, "{:?}", report.findings);
}

#[test]
fn a_damaged_copy_is_not_published() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = store_in(directory.path(), 40);
    let target = directory.path().join("copy.db");
    store.backup_verified(Some(&target), &Uninterrupted).expect("a good store");
    let good = fs::read(&target).expect("written");
    change(&store, "UPDATE records SET result_json = '' WHERE schedule LIKE 'U(L0,7,%'");
    match store.backup_verified(Some(&target), &Uninterrupted) {
        Err(error @ Error::DamagedCopy { .. }) => assert!(error.to_string().contains(&key_of(7)), "{error}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(&target).expect("untouched"), good);
    // The store, its lock directory and the good copy; SQLite's own client has removed the journal.
    let there = fs::read_dir(directory.path()).expect("listed").count();
    assert_eq!(there, 3, "something was left behind");
    mutation::without("verify-backup", || store.backup_verified(Some(&target), &Uninterrupted))
        .expect("published without the mechanism");
    store.backup(Some(&target), &Uninterrupted).expect("a copy as it is");
}

#[test]
fn a_lookup_does_not_answer_for_another_schedule() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = store_in(directory.path(), 8);
    change(&store, "UPDATE records SET schedule = 'U(L1,7,comps=[''c''])' WHERE schedule LIKE 'U(L0,7,%'");
    let lookup = || store.lookup(SOURCE, &schedule(7), &Uninterrupted);
    match lookup() {
        Err(Error::CorruptRecord { key, .. }) => assert_eq!(key, key_of(7)),
        other => panic!("{other:?}"),
    }
    let answered = mutation::without("read-checks-keys", lookup).expect("answered without the mechanism");
    assert!(answered.is_some());
}

#[test]
fn a_verification_ends_when_it_is_told_to() {
    struct After(Cell<u32>);
    impl Interrupt for After {
        fn pending(&self) -> bool {
            self.0.set(self.0.get().saturating_sub(1));
            self.0.get() == 0
        }
    }
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = store_in(directory.path(), 400);
    for calls in 1..3 {
        let stopped = store.verify(&After(Cell::new(calls)));
        assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
    }
    assert_eq!(verify(&store).findings, []);
}

#[test]
fn a_long_verification_keeps_its_lock() {
    /// Makes every piece of the work long.
    struct Slow;
    impl Interrupt for Slow {
        fn pending(&self) -> bool {
            thread::sleep(Duration::from_millis(180));
            false
        }
    }
    /// Does somebody who breaks locks after a second stay out until the verification is over?
    fn is_alone(verify: impl FnOnce(&Store) -> tirastore::Result<Report> + Send) -> bool {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = store_in(directory.path(), 400);
        store.unseal(&Uninterrupted).expect("open to those who break locks by watching a file");
        let stale_timeout = Duration::from_secs(1);
        let slow = Options { stale_lock_timeout: stale_timeout, ..Options::new(store.db_path()) };
        let slow = Store::open(slow, &Uninterrupted).expect("opened");
        // Each page that is stepped over is a piece of the work.
        for leaf in leaves_of(&store, page_of(&store, "records")).into_iter().skip(1).step_by(2) {
            overwrite(&store, leaf);
        }
        let path = lock_path(store.db_path());
        let lock = HardLink { path, mode: 0o666, stale_timeout, outwait_old_claims: false, gated: false };
        thread::scope(|scope| {
            let verification = scope.spawn(|| {
                verify(&slow).expect("verified");
                Instant::now()
            });
            while !lock.path.exists() {
                thread::sleep(Duration::from_millis(5));
            }
            let patience = Patience { timeout: Duration::from_secs(60), interrupt: &Uninterrupted };
            lock.acquire(patience).expect("in the end").release().expect("released");
            let entered = Instant::now();
            entered + Duration::from_millis(500) > verification.join().expect("no panic")
        })
    }
    assert!(is_alone(|store| store.verify(&Slow)));
    let unnoticed = is_alone(|store| mutation::without("renewal", || store.verify(&Slow)));
    assert!(!unnoticed, "kept without renewal: this test cannot see it fail");
}

/// The root page of a table or an index.
fn page_of(store: &Store, name: &str) -> u32 {
    let connection = Connection::open(store.db_path()).expect("opened");
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    connection.query_row(sql, [name], |row| row.get(0)).expect("found")
}

/// The leaves of the tree whose root is an inner page, in the order of their rows.
fn leaves_of(store: &Store, root: u32) -> Vec<u32> {
    let page = page(&fs::read(store.db_path()).expect("readable"), root).to_vec();
    assert_eq!(page[0], 5, "the root is an inner page of a table");
    let number = |at: usize| u32::from_be_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]);
    let short = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
    let cells = (0..short(3)).map(|cell| number(short(12 + 2 * cell)));
    cells.chain([number(8)]).collect()
}

fn page(file: &[u8], number: u32) -> &[u8] {
    let size = usize::from(u16::from_be_bytes([file[16], file[17]]));
    &file[(number as usize - 1) * size..][..size]
}

fn overwrite(store: &Store, number: u32) {
    let mut file = fs::read(store.db_path()).expect("readable");
    let size = page(&file, 1).len();
    file[(number as usize - 1) * size..][..size].fill(0xa5);
    fs::write(store.db_path(), file).expect("written");
}
