//! Promises of the hard-link lock: one holder at a time, nobody's lock but one's own is touched, the dead are
//! replaced, and what the file system refuses is said at once.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tirastore::Error;
use tirastore::lock::{HardLink, Held, Patience, Uninterrupted};

fn lock(directory: &Path, stale_timeout: Duration) -> HardLink {
    HardLink {
        path: directory.join("s.db.lock"),
        mode: 0o666,
        stale_timeout,
        outwait_old_claims: false,
        gated: true,
    }
}

fn acquire(lock: &HardLink, timeout: Duration) -> Result<Held, Error> {
    lock.acquire(Patience { timeout, interrupt: &Uninterrupted })
}

fn names(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("readable directory");
    entries.map(|entry| entry.expect("readable entry").path()).collect()
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

#[test]
fn at_most_one_thread_is_inside_at_any_time() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let lock = lock(directory.path(), LONG);
    let (inside, entries, overlap) = (AtomicBool::new(false), AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let held = acquire(&lock, LONG).expect("acquired");
                    overlap.fetch_or(inside.swap(true, Ordering::SeqCst), Ordering::SeqCst);
                    entries.fetch_add(1, Ordering::SeqCst);
                    thread::yield_now();
                    inside.store(false, Ordering::SeqCst);
                    held.release().expect("released");
                }
            });
        }
    });
    assert!(!overlap.load(Ordering::SeqCst), "two holders at once");
    assert_eq!(entries.load(Ordering::SeqCst), 200);
    assert!(names(directory.path()).is_empty(), "nothing is left behind");
}

#[test]
fn a_held_lock_is_one_file_with_one_name_that_everybody_can_read() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let lock = lock(directory.path(), LONG);
    let held = acquire(&lock, SHORT).expect("free");
    assert_eq!(names(directory.path()), std::slice::from_ref(&lock.path));
    let metadata = lock.path.metadata().expect("there");
    assert_eq!((metadata.nlink(), metadata.permissions().mode() & 0o777), (1, 0o666));
    let payload: serde_json::Value = serde_json::from_slice(&fs::read(&lock.path).expect("readable"))
        .expect("JSON, as the original reads it");
    assert_eq!(payload["pid"], std::process::id());
    assert!(payload["hostname"].is_string() && payload["timestamp"].is_f64());
    drop(held);
    assert!(!lock.path.exists());
}

#[test]
fn a_timeout_names_the_holder() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let lock = lock(directory.path(), LONG);
    fs::write(&lock.path, r#"{"hostname": "node07", "pid": 4711, "timestamp": 0.0}"#).expect("written");
    let error = acquire(&lock, SHORT).expect_err("held elsewhere");
    assert!(matches!(error, Error::LockTimeout { .. }));
    assert!(error.to_string().contains("process 4711 on node07"), "{error}");
    assert!(lock.path.exists(), "an old time stamp alone is no reason to break a lock");
}

#[test]
fn an_empty_or_unreadable_lock_is_broken_after_the_stale_timeout() {
    for content in [&b""[..], b"{", b"\xff\xfe"] {
        let directory = tempfile::tempdir().expect("temporary directory");
        let lock = lock(directory.path(), Duration::from_secs(1));
        fs::write(&lock.path, content).expect("written");
        acquire(&lock, LONG).expect("broken").release().expect("released");
        assert!(names(directory.path()).is_empty());
    }
}

#[test]
fn a_provably_dead_holder_is_replaced_at_once() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let lock = lock(directory.path(), Duration::from_secs(3600));
    let held = acquire(&lock, SHORT).expect("free");
    let payload = fs::read_to_string(&lock.path).expect("readable");
    held.release().expect("released");
    let mut child = std::process::Command::new("true").spawn().expect("spawned");
    let dead = child.id();
    child.wait().expect("ended");
    let me = format!("\"pid\":{}", std::process::id());
    assert!(payload.contains(&me), "{payload}");
    fs::write(&lock.path, payload.replace(&me, &format!("\"pid\":{dead}"))).expect("written");
    acquire(&lock, SHORT).expect("its holder is dead");
}

#[test]
fn a_directory_at_the_lock_path_is_the_other_protocol() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let lock = lock(directory.path(), LONG);
    fs::create_dir(&lock.path).expect("created");
    let error = acquire(&lock, LONG).expect_err("sealed");
    assert!(matches!(error, Error::Sealed { .. }), "{error}");
}

#[test]
fn locks_that_are_held_by_hand_do_not_hinder_each_other() {
    // Enough for some to share a gate, and few enough for open files.
    let directory = tempfile::tempdir().expect("temporary directory");
    let by_hand = |number: u32| HardLink {
        path: directory.path().join(format!("{number}.db.lock")),
        gated: false,
        ..lock(directory.path(), LONG)
    };
    let held: Vec<_> = (0..600).map(|number| acquire(&by_hand(number), LONG).expect("free")).collect();
    let gated = lock(directory.path(), LONG);
    acquire(&gated, SHORT).expect("free").release().expect("released");
    assert!(acquire(&by_hand(7), SHORT).is_err(), "held: by the file, not by a gate");
    drop(held);
}

#[test]
fn a_pipe_at_the_lock_path_is_waited_for_like_any_lock() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let lock = lock(directory.path(), LONG);
    nix::unistd::mkfifo(&lock.path, nix::sys::stat::Mode::S_IRWXU).expect("created");
    let error = acquire(&lock, SHORT).expect_err("taken");
    assert!(matches!(error, Error::LockTimeout { .. }), "{error}");
}

#[test]
fn a_missing_directory_is_said_at_once() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let lock = lock(&directory.path().join("missing"), LONG);
    let error = acquire(&lock, LONG).expect_err("no directory");
    assert!(matches!(error, Error::Lock { .. }), "{error}");
}

#[test]
fn temporary_files_of_dead_processes_are_swept_when_a_store_is_opened() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let mut child = std::process::Command::new("true").spawn().expect("spawned");
    let dead = child.id();
    child.wait().expect("ended");
    let host = tirastore::machine::hostname();
    let leftover = directory.path().join(format!(".lock_{host}_{dead}_abc"));
    let living = directory.path().join(format!(".lock_{host}_{}_abc", std::process::id()));
    let foreign = directory.path().join(format!(".lock_elsewhere_{dead}_abc"));
    for path in [&leftover, &living, &foreign] {
        fs::write(path, "").expect("written");
    }
    let options = tirastore::store::Options::new(directory.path().join("s.db"));
    tirastore::Store::open(options, &Uninterrupted).expect("opened");
    assert!(!leftover.exists(), "left by a dead process of this host");
    assert!(living.exists() && foreign.exists(), "not ours to judge");
}
