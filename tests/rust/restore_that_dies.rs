//! A restore over what a dead writer left, which dies itself between its two swaps: the writer's journal belongs to the
//! database that is gone.

mod fleet;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tirastore::lock::Uninterrupted;
use tirastore::store::Options;
use tirastore::{Error, Store};

use fleet::{Fleet, in_parallel, report};

/// Rows that every transaction changes: several pages.
const ROWS: usize = 30;
/// How each result of the backup begins.
const OF_THE_BACKUP: &str = r#"{"is_legal":true,"execution_times":[1.0"#;

fn open(db: &Path) -> Store {
    let options = Options { allow_cpu_mismatch: true, ..Options::new(db) };
    Store::open(options, &Uninterrupted).expect("opened")
}

/// How the result of each row begins.
fn values(store: &Store) -> Result<BTreeSet<String>, Error> {
    let found = store.program_records("void client() {}", &Uninterrupted)?;
    Ok(found
        .into_iter()
        .map(|found| found.record.result_json.chars().take(OF_THE_BACKUP.len()).collect())
        .collect())
}

/// A restore has its store open when a writer dies at the `step`-th step of its transaction, and is killed before its
/// own rename `swap`. `None` when there are no more steps.
fn die_after_a_dead_writer(step: usize, swap: &str, without: &str) -> Option<Result<(), String>> {
    let fleet = Fleet::new(&[("CLIENT_STALE", "30"), ("CLIENT_WITHOUT", without)]);
    let rows = ROWS.to_string();
    assert!(fleet.start_with(&[("CLIENT_PAUSE", "100000")], &["churn", &rows]).wait_for("value 1"));
    let directory = tempfile::tempdir().expect("temporary directory");
    let (backup, go) = (directory.path().join("backup.db"), directory.path().join("go"));
    open(&fleet.db()).backup(Some(&backup), &Uninterrupted).expect("backed up");
    assert!(fleet.start_with(&[("CLIENT_PAUSE", "20")], &["churn", &rows]).wait_for("value 3"));
    let environment = [("CLIENT_STOP_AT", swap), ("CLIENT_GO", go.to_str().expect("plain"))];
    let mut restorer = fleet.start_with(&environment, &["restore", backup.to_str().expect("plain")]);
    assert!(restorer.wait_for("open"), "it ended: {:?}", restorer.lines());
    // Some of the rows: its journal has some of the pages.
    let mut writer = fleet.start(&["change", "3", &step.to_string()]);
    if !writer.wait_until_stopped() {
        return None;
    }
    writer.kill();
    fs::write(&go, "").expect("written");
    assert!(restorer.wait_until_stopped(), "it ended: {:?}", restorer.lines());
    restorer.kill();
    let values = values(&open(&fleet.db()));
    Some(match &values {
        Ok(values) if values.len() == 1 || !values.contains(OF_THE_BACKUP) => Ok(()),
        _ => Err(format!("step {step}: {values:?}")),
    })
}

fn broken(swap: &str, without: &str) -> Vec<String> {
    let outcomes =
        in_parallel(4, (0..200).step_by(4).collect(), |step| die_after_a_dead_writer(step, swap, without));
    let outcomes: Vec<_> = outcomes.into_iter().flatten().collect();
    let count = outcomes.len();
    let broken: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    report(&format!(
        "{count} restores after a dead writer, killed at {swap}, without {without:?}: {} broken",
        broken.len()
    ));
    broken
}

#[test]
fn a_restore_that_dies_leaves_the_backup_or_what_was_there() {
    assert_eq!(broken("database-swap:0", ""), [""; 0]);
    assert_eq!(broken("database-swap:1", ""), [""; 0]);
}

#[test]
fn without_recovery_before_a_restore_a_dead_writers_journal_gets_into_the_backup() {
    let without = "settle-before-restore";
    let broken = broken("database-swap:1", without);
    assert!(!broken.is_empty(), "the promise is kept without {without}: this test cannot see it fail");
}

#[test]
fn what_cannot_be_rolled_back_is_replaced_all_the_same() {
    let fleet = Fleet::new(&[]);
    fleet.run(&["record", "base", "0", "2"]);
    let store = open(&fleet.db());
    let directory = tempfile::tempdir().expect("temporary directory");
    let backup = directory.path().join("backup.db");
    store.backup(Some(&backup), &Uninterrupted).expect("backed up");
    for name in ["s.db", "s.db-journal"] {
        fs::write(fleet.store().join(name), [b'x'; 8192]).expect("damaged");
    }
    store.restore(&backup, &Uninterrupted).expect("restored");
    fleet.verify().expect("whole");
}
