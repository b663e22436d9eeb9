//! Each safety mechanism keeps its promise, and without it the promise is broken: a test that cannot fail proves
//! nothing. The mechanisms are switched off by name, see `src/mutation.rs`.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tirastore::commit;
use tirastore::lock::{HardLink, Locking, Patience, Place, Uninterrupted, lock_path};
use tirastore::measurement::{Measurement, Outcome};
use tirastore::mutation;
use tirastore::reads::{self, ReadMode};
use tirastore::storage::records::NewRecord;
use tirastore::store::{Options, Protocol};
use tirastore::{Error, Store};

/// `promise` holds, and does not hold without `mechanism`.
fn rests_on(mechanism: &str, promise: impl Fn() -> Result<(), String>) {
    promise().expect("kept");
    let without = mutation::without(mechanism, &promise);
    assert!(without.is_err(), "the promise is kept without {mechanism}: this test cannot see it fail");
}

fn require(condition: bool, broken: &str) -> Result<(), String> {
    condition.then_some(()).ok_or_else(|| broken.to_owned())
}

fn store_in(directory: &Path) -> Store {
    let options = Options { protocol: Protocol::HardLink, ..Options::new(directory.join("s.db")) };
    Store::open(options, &Uninterrupted).expect("opened")
}

fn place_in(directory: &Path) -> Place {
    let db_path = directory.join("s.db");
    let lock = HardLink { gated: false, ..lock_in(directory) };
    Place::new(db_path, Locking::Here(lock), Duration::from_secs(10), true)
}

fn lock_in(directory: &Path) -> HardLink {
    HardLink {
        path: lock_path(&directory.join("s.db")),
        mode: 0o666,
        stale_timeout: Duration::from_secs(600),
        outwait_old_claims: false,
        gated: true,
    }
}

fn measurement(schedule: &str, time: f64) -> Measurement {
    Measurement {
        program_name: "p".to_owned(),
        program_source_code: "void p() {}".to_owned(),
        schedule: schedule.to_owned(),
        outcome: Outcome::of(true, Some(vec![time])),
    }
}

/// Somebody else breaks the lock at `path` and takes it, as an original client does after the stale timeout.
fn steal(path: &Path) {
    fs::remove_file(path).expect("held");
    fs::write(path, "{}").expect("taken over");
}

#[test]
fn a_release_leaves_the_lock_of_the_next_holder_alone() {
    rests_on("release-own-inode", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        let lock = lock_in(directory.path());
        let patience = Patience { timeout: Duration::from_secs(1), interrupt: &Uninterrupted };
        let held = lock.acquire(patience).expect("free");
        steal(&lock.path);
        held.release().expect("nothing to do");
        require(lock.path.exists(), "the next holder's lock was removed")
    });
}

#[test]
fn whoever_lost_the_lock_commits_nothing() {
    rests_on("confirm-before-commit", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        store_in(directory.path());
        let place = place_in(directory.path());
        let mut attempts = 0;
        let outcome = commit::write(&place, &Uninterrupted, |tenure| {
            attempts += 1;
            let connection = tenure.connection();
            connection
                .execute("INSERT INTO db_meta VALUES (?1, 'written')", [format!("attempt {attempts}")])
                .expect("inserted");
            if attempts == 1 {
                steal(&lock_path(&place.db_path));
                // The thief is done, too, before anybody waits for it.
                fs::remove_file(lock_path(&place.db_path)).expect("released");
            }
            Ok(())
        });
        outcome.expect("the second attempt is undisturbed");
        let connection = Connection::open(&place.db_path).expect("opened");
        let written: Vec<String> = connection
            .prepare("SELECT key FROM db_meta WHERE value = 'written'")
            .and_then(|mut select| select.query_map([], |row| row.get(0))?.collect())
            .expect("read");
        require(written == ["attempt 2"], &format!("committed: {written:?}"))
    });
}

#[test]
fn what_is_overwritten_can_still_be_listed() {
    rests_on("overwrite-keeps-history", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = store_in(directory.path());
        for (number, time) in [(0, 1.0), (1, 2.0), (2, 3.0)] {
            let written = store.record(&measurement("", time), number > 0, &Uninterrupted).expect("recorded");
            assert!(written, "number {number}");
        }
        let runs = store.runs("void p() {}", "", &Uninterrupted).expect("read");
        let times: Vec<_> =
            runs.iter().map(|run| run.record.outcome().expect("whole").execution_times).collect();
        let expected = [1.0, 2.0, 3.0].map(|time| Some(vec![time]));
        require(times == expected, &format!("the runs are {times:?}"))
    });
}

#[test]
fn a_lock_that_is_renewed_is_never_broken() {
    rests_on("renewal", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        let lock = lock_in(directory.path());
        let lock = HardLink { stale_timeout: Duration::from_secs(1), ..lock };
        let patience = |timeout| Patience { timeout, interrupt: &Uninterrupted };
        let mut held = lock.acquire(patience(Duration::from_secs(1))).expect("free");
        thread::scope(|scope| {
            // Past the gate of this process: as another process would watch.
            let watch = || {
                mutation::without("gate", || lock.acquire(patience(Duration::from_millis(2500))).map(drop))
            };
            let watcher = scope.spawn(watch);
            while !watcher.is_finished() && held.renew_if_due().is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
            match watcher.join().expect("no panic") {
                Err(Error::LockTimeout { .. }) => Ok(()),
                other => Err(format!("the watcher's wait ended with {other:?}")),
            }
        })
    });
}

#[test]
fn a_holder_that_saw_a_waiter_stays_away_for_a_moment() {
    rests_on("rest-for-waiters", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        let lock = lock_in(directory.path());
        let patience = || Patience { timeout: Duration::from_secs(60), interrupt: &Uninterrupted };
        // Of several, as a busy machine makes any of them long.
        let away = (0..10).map(|number| {
            let held = lock.acquire(patience()).expect("free");
            let request = directory.path().join(format!("waiting {number}"));
            fs::hard_link(&lock.path, &request).expect("asked");
            held.release().expect("released");
            let began = Instant::now();
            lock.acquire(patience()).expect("free").release().expect("released");
            began.elapsed()
        });
        let shortest = away.min().unwrap_or_default();
        // A waiter that has asked polls every 10 ms.
        require(shortest >= Duration::from_millis(15), &format!("back after {shortest:?}"))
    });
}

#[test]
fn a_batch_is_written_whole_or_not_at_all() {
    rests_on("one-transaction", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = store_in(directory.path());
        store.record(&measurement("", 1.0), false, &Uninterrupted).expect("recorded");
        let known = tirastore::identity::program::hash("void p() {}");
        let unknown = tirastore::identity::program::hash("void q() {}");
        let row = |key, program_hash| NewRecord { key, program_hash, schedule: "", result_json: "{}" };
        let rows = [row("a", known.as_str()), row("b", unknown.as_str())];
        let error = store.put(&rows, None, false, &Uninterrupted).expect_err("its program is not stored");
        assert!(matches!(error, Error::UnknownProgram(_)), "{error}");
        let count = store.count(&Uninterrupted).expect("counted");
        require(count == 1, &format!("{count} records: half a batch was written"))
    });
}

#[test]
fn nothing_is_written_into_a_store_of_a_newer_schema() {
    rests_on("refuse-newer-schemas", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        store_in(directory.path()).close();
        let file = directory.path().join("s.db");
        let connection = Connection::open(&file).expect("opened");
        let newer = "UPDATE db_meta SET value = '3' WHERE key = 'schema_version'";
        connection.execute(newer, []).expect("changed");
        drop(connection);
        let before = fs::read(&file).expect("read");
        let options = Options { protocol: Protocol::HardLink, ..Options::new(&file) };
        let opened = Store::open(options, &Uninterrupted);
        if let Ok(store) = &opened {
            let _ = store.record(&measurement("P(L0,comps=['a'])", 1.0), false, &Uninterrupted);
        }
        let refused = matches!(opened, Err(Error::UnknownSchema { ref found, .. }) if found == "3");
        require(refused && fs::read(&file).expect("read") == before, "it was opened, and written")
    });
}

#[test]
fn a_read_without_the_lock_is_accepted_only_if_nobody_wrote_meanwhile() {
    rests_on("validate-reads", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = store_in(directory.path());
        store.record(&measurement("", 1.0), false, &Uninterrupted).expect("recorded");
        let place = place_in(directory.path());
        let mut attempts = 0;
        let counts = reads::read(&place, ReadMode::Validated, &Uninterrupted, |snapshot| {
            attempts += 1;
            let count = || -> u64 {
                let sql = "SELECT COUNT(*) FROM records";
                snapshot.connection().query_row(sql, [], |row| row.get(0)).expect("counted")
            };
            let before = count();
            if attempts == 1 {
                store
                    .record(&measurement("P(L0,comps=['c'])", 1.0), false, &Uninterrupted)
                    .expect("recorded");
            }
            // What is true when the read returns.
            Ok((before, 2))
        });
        let (seen, actual) = counts.expect("accepted in the end");
        require(seen == actual, &format!("accepted a count of {seen} when there were {actual}"))
    });
}

#[test]
fn a_backup_holds_nothing_that_was_never_committed() {
    rests_on("copy-through-sqlite", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = store_in(directory.path());
        store.record(&measurement("", 1.0), false, &Uninterrupted).expect("recorded");
        leave_a_hot_journal(directory.path());
        let backup =
            store.backup(Some(&directory.path().join("backup.db")), &Uninterrupted).expect("backed up");
        let connection = Connection::open(backup).expect("opened");
        let sql = "SELECT COUNT(*) FROM programs NOT INDEXED WHERE program_name = 'uncommitted'";
        let uncommitted: u64 = connection.query_row(sql, [], |row| row.get(0)).unwrap_or(u64::MAX);
        require(uncommitted == 0, &format!("{uncommitted} uncommitted programs in the backup"))
    });
}

/// What a writer leaves that is killed within a transaction larger than its page cache: changed pages in the database,
/// the old ones in its journal. A copy of both files in that moment is the same as the kill.
fn leave_a_hot_journal(directory: &Path) {
    let (database, journal) = (directory.join("s.db"), directory.join("s.db-journal"));
    let copies = tempfile::tempdir().expect("temporary directory");
    let connection = Connection::open(&database).expect("opened");
    for number in 0..200 {
        let row = [format!("hash {number}"), "committed".to_owned(), "x".repeat(2000)];
        connection.execute("INSERT INTO programs VALUES (?1, ?2, ?3)", row).expect("inserted");
    }
    let update = "PRAGMA cache_size = 4; BEGIN IMMEDIATE; UPDATE programs SET program_name = 'uncommitted'";
    connection.execute_batch(update).expect("updated");
    fs::copy(&database, copies.path().join("s.db")).expect("copied");
    fs::copy(&journal, copies.path().join("journal")).expect("copied");
    drop(connection);
    fs::copy(copies.path().join("s.db"), &database).expect("copied");
    fs::copy(copies.path().join("journal"), &journal).expect("copied");
}
