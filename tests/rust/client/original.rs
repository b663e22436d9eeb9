//! A client of the original, written from the facts of its protocol: `link()` a file with a JSON description of the
//! holder to the lock path; break a lock whose time stamp is old by the wall clock; remove it by path. Plain SQLite, with
//! its own locks, and two commits for each record.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tirastore::identity::{key, program};
use tirastore::lock::lock_path;

use crate::{SOURCE, say, schedule, seconds, since_boot, times, watcher};

pub fn record(db: &str, prefix: &str, from: u64, count: u64) -> Result<(), Box<dyn std::error::Error>> {
    let db = Path::new(db);
    let program = program::hash(SOURCE);
    for number in from..from.saturating_add(count) {
        let text = schedule(prefix, number);
        let key = key::make_key(program.as_str(), &text);
        let result = json!({"is_legal": true, "execution_times": times(prefix, number)}).to_string();
        let lock = Lock::take(&lock_path(db))?;
        say(&format!("entered {}", since_boot().as_nanos()));
        let connection = Connection::open(db)?;
        connection.execute_batch("PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL")?;
        connection.execute(
            "INSERT OR IGNORE INTO programs VALUES (?1, 'client', ?2)",
            [program.as_str(), SOURCE],
        )?;
        connection.execute(
            "INSERT OR IGNORE INTO records VALUES (?1, ?2, ?3, ?4, 'host', 'user', ?5, ?5, '')",
            params![key.as_str(), program.as_str(), text, result, "2025-01-01T00:00:00+00:00"],
        )?;
        drop(connection);
        lock.release()?;
        say(&format!("ack {prefix} {number}"));
        thread::sleep(seconds("CLIENT_PAUSE", 0.0) / 1000);
    }
    Ok(())
}

/// The original's lock, held.
struct Lock {
    path: PathBuf,
    temporary: PathBuf,
}

impl Lock {
    fn take(path: &Path) -> io::Result<Self> {
        let (stale, patience) = (seconds("CLIENT_STALE", 2.0), seconds("CLIENT_TIMEOUT", 60.0));
        let began = Instant::now();
        let mut delay = Duration::from_millis(2);
        let name = format!(
            ".lock_{}_{}_{:x}",
            tirastore::machine::hostname(),
            process::id(),
            since_boot().as_nanos()
        );
        let temporary = path.with_file_name(name);
        loop {
            let holder = json!({
                "hostname": tirastore::machine::hostname(), "pid": process::id(), "timestamp": wall_clock(),
            });
            File::create(&temporary)?.write_all(holder.to_string().as_bytes())?;
            match fs::hard_link(&temporary, path) {
                Ok(()) => {
                    watcher::enter();
                    return Ok(Self { path: path.to_path_buf(), temporary });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            fs::remove_file(&temporary)?;
            if is_old(path, stale) {
                let _ = fs::remove_file(path);
                continue;
            }
            if began.elapsed() > patience {
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            }
            thread::sleep(delay);
            delay = (delay * 2).min(Duration::from_millis(50));
        }
    }

    fn release(self) -> io::Result<()> {
        watcher::leave();
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        fs::remove_file(&self.temporary)
    }
}

/// Two wall clocks are compared here: the original's fault, not this test's.
fn is_old(path: &Path, stale: Duration) -> bool {
    let holder: Option<Value> = fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let then = holder.and_then(|holder| holder.get("timestamp").and_then(Value::as_f64));
    then.is_some_and(|then| wall_clock() - then > stale.as_secs_f64())
}

fn wall_clock() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
