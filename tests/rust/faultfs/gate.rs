//! Every request passes here: it is counted and judged, and what the rules want happens around it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};

use super::counters::Counters;
use super::operation::{Call, Op};
use super::process;
use super::rules::{Action, Rules};

type Result<T> = std::result::Result<T, Errno>;

/// The rules and counters of a mount, which a test can reach while it is served.
#[derive(Debug, Default)]
pub struct Gate {
    pub rules: Rules,
    pub counters: Counters,
    closing: AtomicBool,
    stopped: Mutex<Vec<u32>>,
}

impl Gate {
    /// Count and judge a request about `length` bytes that the thread `tid` waits for, and perform it unless a
    /// rule forbids. `perform` is told which process asks, and how many of the bytes it is to take.
    pub fn pass<T>(
        &self,
        (op, tid, length): (Op, u32, usize),
        call: impl FnOnce(u32) -> Call,
        perform: impl FnOnce(u32, usize) -> Result<T>,
    ) -> Result<T> {
        prepare_thread();
        let pid = process::of_thread(tid);
        self.counters.add(pid, op);
        let actions = if self.rules.is_empty() { Vec::new() } else { self.rules.judge(&call(pid)) };
        self.before(&actions, pid, tid)?;
        let result = perform(pid, actions.iter().filter_map(|action| action.most()).fold(length, usize::min));
        self.after(&actions, pid, tid)?;
        result
    }

    /// Let go of everybody: nothing waits any more, and nobody is left stopped behind a test that ended early.
    pub fn close(&self) {
        self.rules.clear();
        self.closing.store(true, Ordering::SeqCst);
        for pid in self.stopped().drain(..) {
            if process::is_stopped(pid) {
                process::signal(pid, Signal::SIGCONT);
            }
        }
    }

    fn before(&self, actions: &[Action], pid: u32, tid: u32) -> Result<()> {
        for action in actions {
            if let Action::Delay(delay) = action {
                self.sleep(*delay);
            }
        }
        for action in actions {
            match action {
                Action::Stop { before: true } => self.hold(pid, tid)?,
                Action::Kill { before: true } => {
                    process::signal(pid, Signal::SIGKILL);
                    return Err(Errno::EIO);
                }
                Action::Error(error) => return Err(*error),
                _ => (),
            }
        }
        Ok(())
    }

    fn after(&self, actions: &[Action], pid: u32, tid: u32) -> Result<()> {
        for action in actions {
            match action {
                Action::Kill { before: false } => process::signal(pid, Signal::SIGKILL),
                Action::Stop { before: false } => self.stop(pid, tid),
                _ => (),
            }
        }
        actions.iter().find_map(|action| action.false_answer()).map_or(Ok(()), Err)
    }

    /// Stop a process and return when it was continued. The kernel would let a process that is killed go only
    /// when its request is answered.
    fn hold(&self, pid: u32, tid: u32) -> Result<()> {
        const STEP: Duration = Duration::from_millis(2);
        self.stop(pid, tid);
        // Between the moment a thread takes the signal and the moment it stops neither is visible.
        let mut calm = 0;
        while calm < 3 && !self.closing.load(Ordering::SeqCst) {
            if process::is_doomed(tid) {
                return Err(Errno::EIO);
            }
            calm = if process::is_stopped(pid) { 0 } else { calm + 1 };
            thread::sleep(STEP);
        }
        Ok(())
    }

    fn sleep(&self, delay: Duration) {
        const STEP: Duration = Duration::from_millis(10);
        let end = Instant::now() + delay;
        while !self.closing.load(Ordering::SeqCst) {
            let Some(rest) = end.checked_duration_since(Instant::now()) else { break };
            thread::sleep(rest.min(STEP));
        }
    }

    fn stop(&self, pid: u32, tid: u32) {
        self.stopped().push(pid);
        process::stop(pid, tid);
    }

    fn stopped(&self) -> MutexGuard<'_, Vec<u32>> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mask of the process that runs the tests must not apply to what its clients make.
fn prepare_thread() {
    thread_local!(static PREPARED: Cell<bool> = const { Cell::new(false) });
    if !PREPARED.replace(true) && unshare(CloneFlags::CLONE_FS).is_ok() {
        umask(Mode::empty());
    }
}
