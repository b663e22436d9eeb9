//! What this client does when the library reaches a point (`src/mutation.rs`): sees whether it is alone inside, counts,
//! stops itself.

use std::fs::File;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use tirastore::mutation;

use crate::say;

/// A kernel lock tells whether anybody else is inside: it ends with its process, and it is not the store's.
static ORACLE: OnceLock<File> = OnceLock::new();
pub static ENTERED: AtomicU64 = AtomicU64::new(0);
/// Microseconds that every change of a file takes, as it does on a file server.
static DELAY: AtomicU64 = AtomicU64::new(0);
/// Points that are left until this process stops itself; negative: it does not.
static STOP_IN: AtomicI64 = AtomicI64::new(-1);

/// The name of a point, and how often it is passed before this process stops itself there.
static STOP_BEFORE: OnceLock<(String, AtomicI64)> = OnceLock::new();

/// Begins to watch. `oracle` is the file whose kernel lock is the oracle.
pub fn begin(oracle: Option<String>) {
    if let Some(path) = oracle {
        let file = File::options().create(true).append(true).open(path).expect("the oracle can be opened");
        let _ = ORACLE.set(file);
    }
    mutation::watch(reached);
}

/// Makes every step last for `microseconds`.
pub fn slow_down(microseconds: u64) {
    DELAY.store(microseconds, Ordering::Relaxed);
}

/// Stops this process at the `point`-th point from here on.
pub fn stop_at(point: i64) {
    STOP_IN.store(point, Ordering::Relaxed);
}

/// Stops this process when it reaches the point called `name` for the `times + 1`-th time.
pub fn stop_before(name: &str, times: i64) {
    let _ = STOP_BEFORE.set((name.to_owned(), AtomicI64::new(times)));
}

/// Has this process come past the point where it was to stop?
pub fn has_stopped() -> bool {
    STOP_IN.load(Ordering::Relaxed) < 0
}

fn reached(point: &'static str) {
    match point {
        "enter" => enter(),
        "leave" => leave(),
        "silent-holder-replaced" | "ended-holder-replaced" => say(point),
        _ => thread::sleep(Duration::from_micros(DELAY.load(Ordering::Relaxed))),
    }
    let by_number = STOP_IN.load(Ordering::Relaxed) >= 0 && STOP_IN.fetch_sub(1, Ordering::Relaxed) == 0;
    let by_name = STOP_BEFORE
        .get()
        .is_some_and(|(name, left)| name == point && left.fetch_sub(1, Ordering::Relaxed) == 0);
    if by_number || by_name {
        say(&format!("stopping at {point}"));
        raise(Signal::SIGSTOP).expect("a process may stop itself");
    }
}

/// Notes that this process is inside.
pub fn enter() {
    ENTERED.fetch_add(1, Ordering::Relaxed);
    if ORACLE.get().is_some_and(|oracle| oracle.try_lock().is_err()) {
        say("overlap");
    }
}

/// Notes that it is about to leave.
pub fn leave() {
    if let Some(oracle) = ORACLE.get() {
        let _ = oracle.unlock();
    }
}
