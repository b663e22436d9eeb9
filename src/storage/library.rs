//! The SQLite library as one process has it: configured before its first use, and usable in a forked child.

use std::cell::Cell;
use std::ffi::c_int;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use rusqlite::ffi;

use crate::mutation;

/// Every mutex that SQLite shares between the connections of a process: for its list of layers, its allocations, its
/// random numbers, its page caches, its open files and, by the last three, whatever the application likes.
const SHARED: [c_int; 12] = [
    ffi::SQLITE_MUTEX_STATIC_MAIN,
    ffi::SQLITE_MUTEX_STATIC_MEM,
    ffi::SQLITE_MUTEX_STATIC_OPEN,
    ffi::SQLITE_MUTEX_STATIC_PRNG,
    ffi::SQLITE_MUTEX_STATIC_LRU,
    ffi::SQLITE_MUTEX_STATIC_PMEM,
    ffi::SQLITE_MUTEX_STATIC_VFS1,
    ffi::SQLITE_MUTEX_STATIC_VFS2,
    ffi::SQLITE_MUTEX_STATIC_VFS3,
    ffi::SQLITE_MUTEX_STATIC_APP1,
    ffi::SQLITE_MUTEX_STATIC_APP2,
    ffi::SQLITE_MUTEX_STATIC_APP3,
];
/// Each is held for microseconds. A fork that still has not got them all after this long goes on without.
const PATIENCE: Duration = Duration::from_secs(1);

static MUTEXES: [AtomicPtr<ffi::sqlite3_mutex>; SHARED.len()] =
    [const { AtomicPtr::new(ptr::null_mut()) }; SHARED.len()];

thread_local! {
    /// Does this thread, which forks, hold them all?
    static HELD: Cell<bool> = const { Cell::new(false) };
}

/// Configures SQLite before its first use in this process.
///
/// Its memory statistics stand under one mutex that every allocation takes; nobody reads them.
///
/// A thread that holds one of SQLite's mutexes while another thread forks is not there in the child to give it back:
/// the child would wait for ever. So whoever forks takes them all before and gives them back after, on both sides.
pub(super) fn configure() {
    static CONFIGURED: Once = Once::new();
    CONFIGURED.call_once(|| {
        let off: c_int = 0;
        // SAFETY: SQLite is not initialised yet, as every use of it in this crate opens a connection first and comes
        // through here; the option takes one int. Should it be refused, statistics stay on, as they are by default.
        #[allow(unsafe_code)]
        unsafe {
            ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, off);
        }
        for (mutex, kind) in MUTEXES.iter().zip(SHARED) {
            // SAFETY: these numbers name mutexes that live as long as the process; or the answer is null.
            #[allow(unsafe_code)]
            mutex.store(unsafe { ffi::sqlite3_mutex_alloc(kind) }, Ordering::Release);
        }
        // SAFETY: the functions live as long as this library, which takes them back when it is unloaded. Without
        // memory for them forks are as they were.
        #[allow(unsafe_code)]
        unsafe {
            libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(after_fork));
        }
    });
}

/// Takes all of them, whatever the order in which SQLite takes several: what it cannot have at once it gives back.
extern "C" fn before_fork() {
    if mutation::off("unlocked-in-the-child") {
        return;
    }
    let began = Instant::now();
    while !HELD.get() && began.elapsed() < PATIENCE {
        let taken = MUTEXES.iter().take_while(|mutex| try_enter(mutex)).count();
        if taken == MUTEXES.len() {
            HELD.set(true);
        } else {
            MUTEXES.iter().take(taken).for_each(leave);
            thread::yield_now();
        }
    }
}

/// Gives them back, in the parent and in the child.
extern "C" fn after_fork() {
    if HELD.take() {
        MUTEXES.iter().for_each(leave);
    }
}

fn try_enter(mutex: &AtomicPtr<ffi::sqlite3_mutex>) -> bool {
    // SAFETY: one of SQLite's mutexes, or null, which it takes for one that is always free.
    #[allow(unsafe_code)]
    let entered = unsafe { ffi::sqlite3_mutex_try(mutex.load(Ordering::Acquire)) };
    entered == ffi::SQLITE_OK
}

fn leave(mutex: &AtomicPtr<ffi::sqlite3_mutex>) {
    // SAFETY: as above; this thread has entered it.
    #[allow(unsafe_code)]
    unsafe {
        ffi::sqlite3_mutex_leave(mutex.load(Ordering::Acquire));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};

    use super::*;

    /// Is each mutex free in a child that is forked while another thread holds one of them?
    fn free_in_the_child(held: &'static AtomicPtr<ffi::sqlite3_mutex>) -> bool {
        let (holds, held_now) = mpsc::channel();
        let holder = thread::spawn(move || {
            while !try_enter(held) {
                thread::yield_now();
            }
            holds.send(()).expect("somebody waits for this");
            thread::sleep(Duration::from_millis(20));
            leave(held);
        });
        held_now.recv().expect("held");
        // SAFETY: the child asks for free mutexes, which allocates nothing, and ends.
        #[allow(unsafe_code)]
        let child = match unsafe { fork() }.expect("forked") {
            ForkResult::Child => unsafe { libc::_exit(i32::from(!MUTEXES.iter().all(try_enter))) },
            ForkResult::Parent { child } => child,
        };
        let ended = waitpid(child, None).expect("my child");
        holder.join().expect("no panic");
        ended == WaitStatus::Exited(child, 0)
    }

    #[test]
    fn a_forked_child_finds_sqlite_unlocked() {
        configure();
        for mutex in &MUTEXES {
            assert!(!mutex.load(Ordering::Relaxed).is_null());
            assert!(free_in_the_child(mutex));
        }
        assert!(!mutation::without("unlocked-in-the-child", || free_in_the_child(&MUTEXES[0])));
    }
}
