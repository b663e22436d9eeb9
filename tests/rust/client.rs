//! A client in a process of its own, for tests that kill, stop or starve it. One command, from the command line:
//!
//! ```text
//! client DB create
//! client DB record PREFIX FROM COUNT [BATCH]   one line "ack PREFIX NUMBER" for each acknowledged record, and "known
//!                                              PREFIX NUMBER" where the store says that it had some of a batch
//! client DB overwrite PREFIX FROM COUNT        the same, replacing records
//! client DB append PREFIX FROM COUNT           the same, adding runs beside records
//! client DB lookup PREFIX FROM COUNT           one line "hit|miss PREFIX NUMBER" for each
//! client DB check                              one line "ok|bad PREFIX NUMBER" for each record, by its own checksum
//! client DB churn ROWS                         for ever: gives all of ROWS records one new value, in one transaction
//! client DB change ROWS POINT                  gives them the value 2, and stops itself within the transaction
//! client DB break COUNT                        takes the lock by force, so often
//! client DB restore BACKUP                    "open", then waits for `CLIENT_GO`, if there is one
//! client DB seal | unseal | recover
//! client DB work PREFIX SEED COUNT             records, overwrites, lookups and long batches, COUNT in all
//! client DB enter COUNT                        as many tenures, most of which only look
//! client DB hold SECONDS                       one tenure, which renews; "holding" when it begins, "held" at its end
//! client DB stop PREFIX COUNT POINT            one batch, within which the process stops itself (SIGSTOP)
//! client DB original PREFIX FROM COUNT         as a client of the original
//! client DB claim PREFIX FROM COUNT LEASE      one line "claimed|taken PREFIX NUMBER" for each
//! client DB measure PREFIX FROM COUNT LEASE SECONDS   the same, and "ack|known|lost" when those that it got are done
//! ```
//!
//! Environment: `CLIENT_STALE` and `CLIENT_TIMEOUT` in seconds (takeover time of a store that it creates, patience),
//! `CLIENT_PROTOCOL` (auto, token, hardlink), `CLIENT_WITHOUT` (mechanisms to switch off, comma-separated),
//! `CLIENT_PAUSE` (milliseconds between records), `CLIENT_ORACLE` (a file whose kernel lock each tenure takes; one line
//! "overlap" where it is taken), `CLIENT_NODE` (a host name to pretend), `CLIENT_CLOCK_SKEW` (seconds),
//! `CLIENT_STOP_AT` (steps from its beginning after which the process stops itself, or `NAME:COUNT` of a point),
//! `CLIENT_SLOW` (microseconds that each step of a commit takes, as it does on a file server: kills then meet all of them),
//! `CLIENT_GO` (a file: a call that fails is a line "refused ERROR", and made once more, with the same rows, when that
//! file exists), `CLIENT_COUNTS` (a last line "counts ENTERED ACCEPTED REJECTED LOCKED": tenures, and reads without the
//! lock, sent back, and in a tenure), `CLIENT_MARKS` (a mount of the file system for tests: a mark in its log for each
//! "ack").
//!
//! Every record says in its times what they must be, so that a page that was mixed up is seen (`integrity_check` is
//! satisfied with pages of another time).

#[path = "client/claims.rs"]
mod claims;
#[path = "client/original.rs"]
mod original;
#[path = "client/watcher.rs"]
mod watcher;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tirastore::commit;
use tirastore::lock::{self, HardLink, Locking, Place, Uninterrupted, lock_path};
use tirastore::measurement::{IfExists, Measurement, Outcome};
use tirastore::store::{Options, Protocol};
use tirastore::{Error, Store, filesystem};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let switched_off = env::var("CLIENT_WITHOUT").unwrap_or_default();
    for mechanism in switched_off.split(',').filter(|name| !name.is_empty()) {
        tirastore::mutation::switch_off(mechanism);
    }
    if let Ok(node) = env::var("CLIENT_NODE") {
        tirastore::mutation::be_on(&node);
    }
    if let Some(skew) = env::var("CLIENT_CLOCK_SKEW").ok().and_then(|seconds| seconds.parse().ok()) {
        tirastore::mutation::set_clocks_wrong(skew);
    }
    watcher::slow_down(number(&env::var("CLIENT_SLOW").unwrap_or_default()));
    watcher::begin(env::var("CLIENT_ORACLE").ok());
    let stop = env::var("CLIENT_STOP_AT").unwrap_or_default();
    match (stop.split_once(':'), stop.parse()) {
        (Some((name, times)), _) => watcher::stop_before(name, times.parse().unwrap_or(0)),
        (None, Ok(point)) => watcher::stop_at(point),
        (None, Err(_)) => {}
    }
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<(), Error> {
    let [db, command, rest @ ..] = words else { return Err(usage()) };
    match (*command, rest) {
        ("recover", _) => return Store::open(options(db), &Uninterrupted).map(|_| ()),
        ("break", [count]) => {
            return (0..number(count)).try_for_each(|_| {
                std::thread::sleep(seconds("CLIENT_PAUSE", 0.0) / 1000);
                tirastore::store::break_lock(&options(db), &Uninterrupted)
            });
        }
        ("original", [prefix, from, count]) => {
            let recorded = original::record(db, prefix, number(from), number(count));
            return recorded.map_err(|error| Error::InvalidArgument(error.to_string()));
        }
        _ => {}
    }
    let store = insist(|| Store::open(options(db), &Uninterrupted))?;
    let done = run_on(&store, db, words);
    if env::var("CLIENT_COUNTS").is_ok() {
        let reads = store.read_counts();
        let [accepted, rejected, locked] =
            [&reads.accepted, &reads.rejected, &reads.locked].map(|count| count.load(Ordering::Relaxed));
        let entered = watcher::ENTERED.load(Ordering::Relaxed);
        say(&format!("counts {entered} {accepted} {rejected} {locked}"));
    }
    done
}

fn run_on(store: &Store, db: &str, words: &[&str]) -> Result<(), Error> {
    let [_, command, rest @ ..] = words else { return Err(usage()) };
    match (*command, rest) {
        ("create", []) => Ok(()),
        ("record", [prefix, from, count]) => record(store, prefix, number(from), number(count), 1, false),
        ("record", [prefix, from, count, batch]) => {
            record(store, prefix, number(from), number(count), number(batch), false)
        }
        ("overwrite", [prefix, from, count]) => record(store, prefix, number(from), number(count), 1, true),
        ("claim", [prefix, from, count, lease]) => {
            claims::claim(store, prefix, number(from), number(count), duration(lease))
        }
        ("measure", [prefix, from, count, lease, time]) => {
            let times = (duration(lease), duration(time));
            claims::measure(store, prefix, number(from), number(count), times)
        }
        ("append", [prefix, from, count]) => {
            record(store, prefix, number(from), number(count), 1, IfExists::Append)
        }
        ("lookup", [prefix, from, count]) => lookup(store, prefix, number(from), number(count)),
        ("churn", [rows]) => churn(store, number(rows)),
        ("change", [rows, point]) => change(store, number(rows), point.parse().unwrap_or(-1)),
        ("check", []) => check(store),
        ("restore", [backup]) => {
            say("open");
            wait_for_go();
            store.restore(backup.as_ref(), &Uninterrupted)
        }
        ("seal", []) => store.seal(&Uninterrupted).map(|_| ()),
        ("work", [prefix, seed, count]) => work(store, prefix, number(seed), number(count)),
        ("enter", [count]) => enter(&place(db), number(count)),
        ("hold", [time]) => hold(&place(db), duration(time)),
        ("stop", [prefix, count, point]) => stop(store, prefix, number(count), point.parse().unwrap_or(-1)),
        ("unseal", []) => store.unseal(&Uninterrupted).map(|_| ()),
        _ => Err(usage()),
    }
}

fn usage() -> Error {
    Error::InvalidArgument("see tests/rust/client.rs".to_owned())
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or(0)
}

fn duration(word: &str) -> Duration {
    Duration::from_secs_f64(word.parse().unwrap_or(1.0))
}

fn seconds(variable: &str, default: f64) -> Duration {
    let given = env::var(variable).ok().and_then(|value| value.parse().ok());
    Duration::from_secs_f64(given.unwrap_or(default))
}

fn options(db: &str) -> Options {
    let protocol = match env::var("CLIENT_PROTOCOL").as_deref() {
        Ok("token") => Protocol::Token,
        Ok("hardlink") => Protocol::HardLink,
        _ => Protocol::Auto,
    };
    Options {
        stale_lock_timeout: seconds("CLIENT_STALE", 2.0),
        lock_timeout: seconds("CLIENT_TIMEOUT", 60.0),
        allow_cpu_mismatch: true,
        protocol,
        ..Options::new(db)
    }
}

/// Source of the one program that all records are of.
const SOURCE: &str = "void client() {}";

fn schedule(prefix: &str, number: u64) -> String {
    format!("P(L{number},comps=['{prefix}'])")
}

/// What the record of `number` must hold.
fn times(prefix: &str, number: u64) -> Vec<f64> {
    let seed = prefix.bytes().fold(number, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    (0..30_u32)
        .map(|run| f64::from(u32::try_from(seed % 100_003).unwrap_or(0)) + f64::from(run) / 64.0)
        .collect()
}

fn measurement(prefix: &str, number: u64) -> Measurement {
    Measurement {
        program_name: "client".to_owned(),
        program_source_code: SOURCE.to_owned(),
        schedule: schedule(prefix, number),
        outcome: outcome(prefix, number),
    }
}

fn outcome(prefix: &str, number: u64) -> Outcome {
    Outcome::of(true, Some(times(prefix, number)))
}

fn record(
    store: &Store,
    prefix: &str,
    from: u64,
    count: u64,
    batch: u64,
    if_exists: impl Into<IfExists> + Copy,
) -> Result<(), Error> {
    let mut next = from;
    while next < from.saturating_add(count) {
        let numbers = next..(next + batch.max(1)).min(from.saturating_add(count));
        let rows: Vec<_> = numbers.clone().map(|number| measurement(prefix, number)).collect();
        let written = insist(|| store.record_batch(&rows, "rows", if_exists, &Uninterrupted))?;
        if written < rows.len() {
            say(&format!("known {prefix} {next}"));
        }
        for number in numbers.clone() {
            acknowledge(prefix, number);
        }
        next = numbers.end;
        std::thread::sleep(seconds("CLIENT_PAUSE", 0.0) / 1000);
    }
    Ok(())
}

/// Makes a call that failed once more, if that is asked for.
fn insist<T>(call: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    match (call(), env::var_os("CLIENT_GO")) {
        (Err(error), Some(_)) => {
            say(&format!("refused {error}"));
            wait_for_go();
            call()
        }
        (outcome, _) => outcome,
    }
}

/// Waits for the file that it is told to wait for. Bounded, should its test have ended.
fn wait_for_go() {
    let Some(go) = env::var_os("CLIENT_GO") else { return };
    for _ in 0..2000 {
        if std::path::Path::new(&go).exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn churn(store: &Store, rows: u64) -> Result<(), Error> {
    for value in 1.. {
        give_value(store, rows, value)?;
        say(&format!("value {value}"));
        std::thread::sleep(seconds("CLIENT_PAUSE", 0.0) / 1000);
    }
    Ok(())
}

fn change(store: &Store, rows: u64, point: i64) -> Result<(), Error> {
    watcher::stop_at(point);
    give_value(store, rows, 2)?;
    say(if watcher::has_stopped() { "stopped" } else { "not stopped" });
    Ok(())
}

/// Gives all of the records one value, in one transaction.
fn give_value(store: &Store, rows: u64, value: u32) -> Result<(), Error> {
    let row = |number| Measurement {
        outcome: Outcome::of(true, Some(vec![f64::from(value); 30])),
        ..measurement("churn", number)
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    store.record_batch(&rows, "rows", true, &Uninterrupted).map(|_| ())
}

fn lookup(store: &Store, prefix: &str, from: u64, count: u64) -> Result<(), Error> {
    for number in from..from.saturating_add(count) {
        let found = insist(|| store.lookup(SOURCE, &schedule(prefix, number), &Uninterrupted))?;
        say(&format!("{} {prefix} {number}", if found.is_some() { "hit" } else { "miss" }));
    }
    Ok(())
}

/// Everything a worker does, at random. A record that it was promised and does not find is "bad".
fn work(store: &Store, prefix: &str, seed: u64, count: u64) -> Result<(), Error> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut recorded = 0;
    for _ in 0..count {
        match chance.random_range(0..10) {
            0..4 => {
                record(store, prefix, recorded, 1, 1, false)?;
                recorded += 1;
            }
            4..6 if recorded > 0 => record(store, prefix, chance.random_range(0..recorded), 1, 1, true)?,
            6 => {
                let batch = chance.random_range(20..300);
                record(store, prefix, recorded, batch, batch, false)?;
                recorded += batch;
            }
            _ if recorded > 0 => {
                let number = chance.random_range(0..recorded);
                let found = store.lookup(SOURCE, &schedule(prefix, number), &Uninterrupted)?;
                let whole = found.is_some_and(|found| found.outcome == outcome(prefix, number));
                if !whole {
                    say(&format!("bad {prefix} {number}"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn place(db: &str) -> Place {
    let db_path = std::path::PathBuf::from(db);
    let stale_timeout = seconds("CLIENT_STALE", 2.0);
    let lock = HardLink {
        path: lock_path(&db_path),
        mode: 0o666,
        stale_timeout,
        outwait_old_claims: false,
        gated: false,
    };
    let coherent = filesystem::coherence(&db_path).coherent;
    Place::new(db_path, Locking::Here(lock), seconds("CLIENT_TIMEOUT", 60.0), coherent)
}

fn enter(place: &Place, count: u64) -> Result<(), Error> {
    for number in 0..count {
        if number % 10 == 0 {
            commit::write(place, &Uninterrupted, |_| Ok(()))?;
        } else {
            lock::read(place, &Uninterrupted, |_| Ok(()))?;
        }
        std::thread::sleep(seconds("CLIENT_PAUSE", 0.0) / 1000);
    }
    say(&format!("entered {}", watcher::ENTERED.load(Ordering::Relaxed)));
    Ok(())
}

fn hold(place: &Place, time: Duration) -> Result<(), Error> {
    let mut tries = 0;
    commit::write(place, &Uninterrupted, |tenure| {
        tries += 1;
        say("holding");
        let until = since_boot() + time;
        while since_boot() < until {
            tenure.renew()?;
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    })?;
    say(if tries == 1 { "held" } else { "held again" });
    Ok(())
}

fn stop(store: &Store, prefix: &str, count: u64, point: i64) -> Result<(), Error> {
    // Everything is open, as it is in the middle of a worker's life.
    record(store, &format!("{prefix}_before"), 0, 2, 1, false)?;
    let rows: Vec<_> = (0..count).map(|number| measurement(prefix, number)).collect();
    watcher::stop_at(point);
    let written = store.record_batch(&rows, "rows", false, &Uninterrupted)?;
    say(if watcher::has_stopped() { "stopped" } else { "not stopped" });
    say(&format!("wrote {written}"));
    for number in 0..count {
        say(&format!("ack {prefix} {number}"));
    }
    watcher::stop_at(-1);
    // Goes on as if nothing had been.
    record(store, &format!("{prefix}_after"), 0, 2, 1, false)
}

/// The clock of all processes, whatever a test makes of it.
fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

fn check(store: &Store) -> Result<(), Error> {
    for found in store.program_records(SOURCE, &Uninterrupted)? {
        let schedule = &found.record.schedule;
        let parts = schedule.strip_prefix("P(L").and_then(|rest| rest.split_once(",comps=['"));
        let Some((digits, rest)) = parts else {
            say(&format!("bad {schedule}"));
            continue;
        };
        let prefix = rest.trim_end_matches("'])");
        let expected = outcome(prefix, number(digits));
        let whole = found.record.outcome().is_ok_and(|outcome| outcome == expected);
        say(&format!("{} {prefix} {digits}", if whole { "ok" } else { "bad" }));
    }
    Ok(())
}

/// Tells the test, and the log of its file system, that a record is promised.
fn acknowledge(prefix: &str, number: u64) {
    if let Ok(directory) = env::var("CLIENT_MARKS") {
        let mark = std::path::Path::new(&directory).join(format!(".mark.{prefix} {number}"));
        let _ = mark.symlink_metadata();
    }
    say(&format!("ack {prefix} {number}"));
}

fn say(line: &str) {
    // A test that no longer listens has what it wanted.
    let _ = writeln!(io::stdout(), "{line}");
}
