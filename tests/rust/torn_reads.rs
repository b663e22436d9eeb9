//! A read without the lock sees one committed state, whatever writers do meanwhile: commit, die in the middle, are
//! taken over and shut out.

#![allow(clippy::print_stderr)] // figures for docs/reliability.md

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use tirastore::identity::{key, program};
use tirastore::lock::{HardLink, Locking, Place, Uninterrupted, lock_path};
use tirastore::reads::{self, ReadMode};
use tirastore::store::Options;
use tirastore::{Error, Store, mutation};

/// Rows that every transaction changes: several pages, written so slowly that reads fall between two of them.
const ROWS: u64 = 60;
const MICROSECONDS_PER_PAGE: u64 = 1000;

fn client(db: &Path, words: &[&str], pause: u64) -> Child {
    Command::new(env!("CARGO_BIN_EXE_client"))
        .arg(db)
        .args(words)
        .env("CLIENT_STALE", "1")
        .env("CLIENT_PAUSE", pause.to_string())
        .env("CLIENT_SLOW", MICROSECONDS_PER_PAGE.to_string())
        .stdout(Stdio::null())
        .spawn()
        .expect("started")
}

/// Writers that work and are killed, and one that takes locks by force, until `done`.
fn disturb(db: &Path, done: &AtomicBool) -> (u32, u32) {
    let (mut kills, mut breaks) = (0, 0);
    while !done.load(Ordering::Relaxed) {
        let rows = ROWS.to_string();
        let mut writers: Vec<Child> = (0..2).map(|_| client(db, &["churn", &rows], 15)).collect();
        let mut breaker = client(db, &["break", "3"], 60);
        thread::sleep(Duration::from_millis(rand::rng().random_range(150..500)));
        for writer in &mut writers {
            writer.kill().expect("killed");
            writer.wait().expect("ended");
            kills += 1;
        }
        breaks += u32::from(breaker.wait().expect("ended").success()) * 3;
    }
    (kills, breaks)
}

/// What came of `enough` reads that were accepted, or of reading for `patience`.
struct Outcome {
    torn: u64,
    accepted: u64,
    rejected: u64,
}

fn read_beside_writers(enough: u64, patience: Duration, without: Option<&str>) -> Outcome {
    let directory = tempfile::tempdir().expect("temporary directory");
    let db = directory.path().join("s.db");
    let options = || Options { stale_lock_timeout: Duration::from_secs(1), ..Options::new(&db) };
    drop(Store::open(options(), &Uninterrupted).expect("created"));
    let mut first = client(&db, &["churn", &ROWS.to_string()], 0);
    thread::sleep(Duration::from_millis(300));
    first.kill().and_then(|()| first.wait()).expect("ended");
    let program = program::hash("void client() {}");
    let key_of = |number| {
        key::make_key(program.as_str(), &format!("P(L{number},comps=['churn'])")).as_str().to_owned()
    };
    let keys: Vec<String> = (0..ROWS).map(key_of).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let disturber = scope.spawn(|| disturb(&db, &done));
        let _end = End(&done);
        let place = place_of(&db);
        let began = Instant::now();
        let counts = &place.read_counts;
        let (mut torn, mut reads) = (0, 0_u32);
        let mut look = || {
            reads += 1;
            // Slow enough for a whole commit to fall into it: always for mutants, now and then else.
            let slow = without.is_some() || reads.is_multiple_of(50);
            let values = reads::read(&place, ReadMode::Shared, &Uninterrupted, |snapshot| {
                let sql = "SELECT result_json FROM records WHERE key = ?1";
                let mut select = snapshot.connection().prepare_cached(sql).map_err(sqlite)?;
                let mut value = |key: &String| {
                    if slow {
                        thread::sleep(Duration::from_millis(1));
                    }
                    select.query_row([key], |row| row.get::<_, String>(0)).map_err(sqlite)
                };
                keys.iter().map(&mut value).collect::<Result<Vec<_>, _>>()
            });
            let values = match values {
                // Its tenure was taken by force, again and again: it has read nothing.
                Err(Error::LockLost { .. }) => return torn,
                values => values.expect("read"),
            };
            torn += u64::from(values.iter().any(|value| *value != values[0]));
            torn
        };
        let mut again = || match without {
            Some(mechanism) => mutation::without(mechanism, &mut look),
            None => look(),
        };
        // A mutant that has torn once has shown what it had to.
        while counts.accepted.load(Ordering::Relaxed) < enough && began.elapsed() < patience {
            if again() > 0 && without.is_some() {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
        let (kills, breaks) = disturber.join().expect("no panic");
        let (accepted, rejected) =
            (counts.accepted.load(Ordering::Relaxed), counts.rejected.load(Ordering::Relaxed));
        let name = without.unwrap_or("as it is");
        eprintln!(
            "reliability: torn reads, {name}: {accepted} accepted, {rejected} rejected, {torn} torn, \
             {} locked; {kills} kills, {breaks} taken by force",
            counts.locked.load(Ordering::Relaxed)
        );
        Outcome { torn, accepted, rejected }
    })
}

/// Ends what disturbs the reads, also where a read has failed.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn place_of(db: &Path) -> Place {
    let lock = HardLink {
        path: lock_path(db),
        mode: 0o666,
        stale_timeout: Duration::from_secs(1),
        outwait_old_claims: false,
        gated: false,
    };
    let db_path = db.canonicalize().expect("there");
    Place::new(db_path, Locking::Here(lock), Duration::from_secs(60), true)
}

fn sqlite(source: rusqlite::Error) -> Error {
    Error::Sqlite { path: PathBuf::new(), action: "reading", source }
}

#[test]
fn a_read_without_the_lock_sees_one_committed_state() {
    let outcome = read_beside_writers(20_000, Duration::from_secs(30), None);
    assert_eq!(outcome.torn, 0);
    assert!(outcome.accepted > 1000, "{} accepted: nothing was tried", outcome.accepted);
    assert!(outcome.rejected > 0, "no writer was ever in the way");
}

#[test]
#[ignore = "minutes: make reliability"]
fn a_million_reads_without_the_lock_see_committed_states() {
    let outcome = read_beside_writers(1_000_000, Duration::from_secs(300), None);
    assert_eq!(outcome.torn, 0);
    assert!(outcome.accepted >= 1_000_000, "{} accepted", outcome.accepted);
}

#[test]
fn the_change_counter_alone_lets_torn_reads_through() {
    let outcome = read_beside_writers(u64::MAX, Duration::from_secs(60), Some("token-sequence"));
    assert!(outcome.torn > 0, "the promise is kept without the token: this test cannot see it fail");
}

#[test]
fn pages_of_a_rejected_attempt_let_torn_reads_through() {
    let outcome = read_beside_writers(u64::MAX, Duration::from_secs(60), Some("forget-rejected-pages"));
    assert!(outcome.torn > 0, "the promise is kept with these pages: this test cannot see it fail");
}
