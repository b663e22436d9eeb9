//! The processes behind the requests.

use std::fs;

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The process a thread belongs to: the kernel names the thread that asks.
pub fn of_thread(tid: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
    field(&status, "Tgid:").and_then(|text| text.parse().ok()).unwrap_or(tid)
}

/// Send a signal. A process that is gone needs none.
pub fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Stop a process one of whose threads waits for us. That thread would be the one to act on a signal to the
/// process, which it can only when it is answered: all others are told themselves.
pub fn stop(pid: u32, waiting: u32) {
    signal(pid, Signal::SIGSTOP);
    let (Ok(process), Ok(tasks)) = (i32::try_from(pid), fs::read_dir(format!("/proc/{pid}/task"))) else {
        return;
    };
    let threads = tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse::<i32>().ok());
    for thread in threads.filter(|thread| thread.cast_unsigned() != waiting) {
        #[allow(unsafe_code, reason = "nix has no tgkill")]
        // SAFETY: the system call takes three numbers and touches no memory of ours.
        unsafe {
            libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGSTOP);
        }
    }
}

/// Whether a thread is gone or about to be: SIGKILL waits for it to leave the system call.
pub fn is_doomed(tid: u32) -> bool {
    match fs::read_to_string(format!("/proc/{tid}/status")) {
        Ok(status) => is_pending(&status, Signal::SIGKILL),
        Err(_) => true,
    }
}

/// Whether SIGSTOP waits for a process, or has stopped a thread of it already. SIGCONT ends both.
pub fn is_stopped(pid: u32) -> bool {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    tasks.flatten().any(|task| {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let is_stopped = field(&status, "State:").is_some_and(|state| state.starts_with('T'));
        is_stopped || is_pending(&status, Signal::SIGSTOP)
    })
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn is_pending(status: &str, signal: Signal) -> bool {
    let bit = 1_u64 << (signal as i32 - 1);
    ["SigPnd:", "ShdPnd:"]
        .iter()
        .filter_map(|name| u64::from_str_radix(field(status, name)?, 16).ok())
        .any(|set| set & bit != 0)
}
