//! A client in a process of its own, for tests that kill, stop or starve it. One command, from the command line:
//!
//! ```text
//! client DB create
//! client DB record PREFIX FROM COUNT [BATCH]   one line "ack PREFIX NUMBER" for each acknowledged record
//! client DB overwrite PREFIX FROM COUNT        the same, replacing records
//! client DB lookup PREFIX FROM COUNT           one line "hit|miss PREFIX NUMBER" for each
//! client DB check                              one line "ok|bad PREFIX NUMBER" for each record, by its own checksum
//! client DB churn ROWS                         for ever: gives all of ROWS records one new value, in one transaction
//! client DB break COUNT                        takes the lock by force, so often
//! client DB seal | unseal | recover
//! ```
//!
//! Environment: `CLIENT_STALE` and `CLIENT_TIMEOUT` in seconds (takeover time of a store that it creates, patience),
//! `CLIENT_PROTOCOL` (auto, token, hardlink), `CLIENT_WITHOUT` (mechanisms to switch off, comma-separated),
//! `CLIENT_PAUSE` (milliseconds between records), `CLIENT_SLOW_WRITES` (microseconds that a page write takes longer).
//!
//! Every record says in its times what they must be, so that a page that was mixed up is seen (`integrity_check` is
//! satisfied with pages of another time).

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use tirastore::lock::Uninterrupted;
use tirastore::measurement::{Measurement, Outcome};
use tirastore::store::{Options, Protocol};
use tirastore::{Error, Store};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let switched_off = env::var("CLIENT_WITHOUT").unwrap_or_default();
    for mechanism in switched_off.split(',').filter(|name| !name.is_empty()) {
        tirastore::mutation::switch_off(mechanism);
    }
    let slowness = env::var("CLIENT_SLOW_WRITES").ok().and_then(|value| value.parse().ok());
    tirastore::mutation::slow_page_writes(slowness.unwrap_or(0));
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
    if *command == "recover" {
        return Store::open(options(db), &Uninterrupted).map(|_| ());
    }
    let store = Store::open(options(db), &Uninterrupted)?;
    match (*command, rest) {
        ("create", []) => Ok(()),
        ("record", [prefix, from, count]) => record(&store, prefix, number(from), number(count), 1, false),
        ("record", [prefix, from, count, batch]) => {
            record(&store, prefix, number(from), number(count), number(batch), false)
        }
        ("overwrite", [prefix, from, count]) => record(&store, prefix, number(from), number(count), 1, true),
        ("lookup", [prefix, from, count]) => lookup(&store, prefix, number(from), number(count)),
        ("churn", [rows]) => churn(&store, number(rows)),
        ("break", [count]) => (0..number(count)).try_for_each(|_| {
            std::thread::sleep(seconds("CLIENT_PAUSE", 0.0) / 1000);
            tirastore::store::break_lock(&options(db), &Uninterrupted)
        }),
        ("check", []) => check(&store),
        ("seal", []) => store.seal(&Uninterrupted).map(|_| ()),
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
        outcome: Outcome { is_legal: true, execution_times: Some(times(prefix, number)) },
    }
}

fn record(
    store: &Store,
    prefix: &str,
    from: u64,
    count: u64,
    batch: u64,
    overwrite: bool,
) -> Result<(), Error> {
    let mut next = from;
    while next < from.saturating_add(count) {
        let numbers = next..(next + batch.max(1)).min(from.saturating_add(count));
        let rows: Vec<_> = numbers.clone().map(|number| measurement(prefix, number)).collect();
        store.record_batch(&rows, "rows", overwrite, &Uninterrupted)?;
        for number in numbers.clone() {
            say(&format!("ack {prefix} {number}"));
        }
        next = numbers.end;
        std::thread::sleep(seconds("CLIENT_PAUSE", 0.0) / 1000);
    }
    Ok(())
}

fn churn(store: &Store, rows: u64) -> Result<(), Error> {
    for value in 1.. {
        let row = |number| Measurement {
            outcome: Outcome { is_legal: true, execution_times: Some(vec![f64::from(value); 30]) },
            ..measurement("churn", number)
        };
        let rows: Vec<_> = (0..rows).map(row).collect();
        store.record_batch(&rows, "rows", true, &Uninterrupted)?;
        std::thread::sleep(seconds("CLIENT_PAUSE", 0.0) / 1000);
    }
    Ok(())
}

fn lookup(store: &Store, prefix: &str, from: u64, count: u64) -> Result<(), Error> {
    for number in from..from.saturating_add(count) {
        let found = store.lookup(SOURCE, &schedule(prefix, number), &Uninterrupted)?;
        say(&format!("{} {prefix} {number}", if found.is_some() { "hit" } else { "miss" }));
    }
    Ok(())
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
        let expected = Outcome { is_legal: true, execution_times: Some(times(prefix, number(digits))) };
        let whole = found.record.outcome().is_ok_and(|outcome| outcome == expected);
        say(&format!("{} {prefix} {digits}", if whole { "ok" } else { "bad" }));
    }
    Ok(())
}

fn say(line: &str) {
    // A test that no longer listens has what it wanted.
    let _ = writeln!(io::stdout(), "{line}");
}
