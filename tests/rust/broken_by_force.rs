//! A lock that is broken by force while its holder commits: the holder's lease has not ended, so it goes on to the end
//! of its commit beside the fence that shuts it out.

mod fleet;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tirastore::lock::Uninterrupted;
use tirastore::storage::verify::Finding;
use tirastore::store::Options;
use tirastore::{Error, Store};

use fleet::{Fleet, in_parallel, report};

/// A lease that lasts for the whole test.
const TAKEOVER: &str = "30";
/// Rows that every transaction changes: several pages.
const ROWS: usize = 30;

/// A writer is stopped at the `step`-th step of its transaction, and goes on to the end of its commit after whoever
/// breaks its lock has copied the database, but not yet the journal. `None` when there are no more steps.
fn commit_beside_a_copy(step: usize, without: &str) -> Option<Result<(), String>> {
    let fleet = Fleet::new(&[("CLIENT_STALE", TAKEOVER), ("CLIENT_WITHOUT", without)]);
    let rows = ROWS.to_string();
    assert!(fleet.start_with(&[("CLIENT_PAUSE", "100000")], &["churn", &rows]).wait_for("value 1"));
    let mut writer = fleet.start(&["change", &rows, &step.to_string()]);
    if !writer.wait_until_stopped() {
        return None;
    }
    let mut breaker = fleet.start_with(&[("CLIENT_STOP_AT", "journal-copy:0")], &["break", "1"]);
    if breaker.wait_until_stopped() {
        writer.signal(Signal::SIGCONT);
        wait_until_cold(&fleet.store().join("s.db-journal"));
    }
    // Before it makes its change once more, as it will not have been acknowledged.
    writer.kill();
    breaker.signal(Signal::SIGCONT);
    if !breaker.wait().success() {
        return Some(Err(format!("whoever broke the lock ended with {:?}", breaker.lines())));
    }
    Some(match values_and_findings(&fleet.db()) {
        Ok((values, findings)) if values.len() == 1 && findings.is_empty() => Ok(()),
        otherwise => Err(format!("half a transaction: {otherwise:?}")),
    })
}

/// The values that the rows have, and what a verification finds.
fn values_and_findings(db: &Path) -> Result<(BTreeSet<String>, Vec<Finding>), Error> {
    let store = Store::open(Options { allow_cpu_mismatch: true, ..Options::new(db) }, &Uninterrupted)?;
    let rows = store.program_records("void client() {}", &Uninterrupted)?;
    assert_eq!(rows.len(), ROWS);
    let values = rows.into_iter().map(|row| row.record.result_json).collect();
    Ok((values, store.verify(&Uninterrupted)?.findings))
}

/// Waits for the end of the transaction whose journal this is.
fn wait_until_cold(journal: &Path) {
    let began = Instant::now();
    loop {
        let mut first = [0];
        let read = File::open(journal).and_then(|mut file| file.read(&mut first)).expect("read");
        if read == 0 || first[0] == 0 {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "the commit does not end");
        thread::sleep(Duration::from_millis(2));
    }
}

fn broken(without: &str) -> Vec<String> {
    let outcomes = in_parallel(4, (0..200).step_by(4).collect(), |step| {
        commit_beside_a_copy(step, without)
            .map(|verdict| verdict.map_err(|broken| format!("step {step}: {broken}")))
    });
    let outcomes: Vec<_> = outcomes.into_iter().flatten().collect();
    let count = outcomes.len();
    let broken: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    report(&format!("{count} commits beside a copy, without {without:?}: {} broken", broken.len()));
    broken
}

#[test]
fn a_holder_whose_lock_is_broken_may_end_its_commit_while_the_database_is_copied() {
    assert_eq!(broken(""), [""; 0]);
}

#[test]
fn without_a_second_look_at_what_was_copied_half_a_transaction_is_put_in_place() {
    let without = "validate-copy";
    assert!(
        !broken(without).is_empty(),
        "the promise is kept without {without}: this test cannot see it fail"
    );
}
