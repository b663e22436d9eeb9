//! A process as others may name it, and whether it is provably dead.

use std::cell::RefCell;
use std::fs;
use std::process;

use nix::errno::Errno;
use nix::sys::signal;
use nix::unistd::Pid;

use crate::{machine, mutation};

thread_local! {
    /// What `/proc` says of this process, read once.
    static ME: RefCell<Option<Process>> = const { RefCell::new(None) };
}

/// What tells a process from all others, on every node. A fact that cannot be read is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Process {
    pub(crate) hostname: Option<String>,
    pub(crate) pid: Option<i32>,
    pub(crate) boot_id: Option<String>,
    /// Inode numbers of the namespaces.
    pub(crate) pid_namespace: Option<u64>,
    pub(crate) time_namespace: Option<u64>,
    /// Clock ticks from boot to the start of the process.
    pub(crate) start_time: Option<u64>,
}

impl Process {
    /// This process.
    pub(crate) fn me() -> Self {
        ME.with_borrow_mut(|known| match known {
            // A forked child is another process.
            Some(me) if me.pid == i32::try_from(process::id()).ok() => me.clone(),
            _ => known.insert(Self::look_at_this_process()).clone(),
        })
    }

    fn look_at_this_process() -> Self {
        let pid = i32::try_from(process::id()).ok();
        Self {
            hostname: Some(machine::hostname()),
            pid,
            boot_id: boot_id(),
            pid_namespace: namespace("pid"),
            time_namespace: namespace("time"),
            start_time: pid.and_then(start_time),
        }
    }

    /// Does it run on this node, as far as it says?
    pub(crate) fn is_here(&self) -> bool {
        self.hostname == Some(machine::hostname()) && self.boot_id == Self::me().boot_id
    }

    /// Did the process certainly end? Only its own node and namespaces can know: everywhere else, and where a fact is
    /// missing, the answer is no.
    pub(crate) fn is_provably_dead(&self) -> bool {
        if mutation::off("proof-of-death") {
            return true;
        }
        if mutation::off("notice-death") {
            return false;
        }
        let here = Self::me();
        let same_place = self.boot_id.is_some()
            && self.boot_id == here.boot_id
            && self.hostname == here.hostname
            && self.pid_namespace.is_some()
            && self.pid_namespace == here.pid_namespace
            // Start times are counted from another boot in another time namespace. Old kernels have none.
            && self.time_namespace == here.time_namespace;
        let Some(pid) = self.pid.filter(|&pid| same_place && pid > 0) else {
            return false;
        };
        // EPERM means alive and of another user.
        let gone = signal::kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH);
        // A process that started at another time only inherited the number.
        let replaced = matches!((self.start_time, start_time(pid)), (Some(then), Some(now)) if then != now);
        gone || replaced || is_zombie(pid)
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.hostname, self.pid) {
            (Some(host), Some(pid)) => write!(f, "process {pid} on {host}"),
            (Some(host), None) => write!(f, "a process on {host}"),
            _ => f.write_str("an unknown process"),
        }
    }
}

fn boot_id() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

/// The link reads like `pid:[4026531836]`.
fn namespace(kind: &str) -> Option<u64> {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
    link.to_str()?.split(['[', ']']).nth(1)?.parse().ok()
}

/// Start of process `pid` in clock ticks since boot.
fn start_time(pid: i32) -> Option<u64> {
    stat_fields(pid)?.get(19)?.parse().ok()
}

/// Has `pid` ended without its parent having asked for its status? One that still has threads has not.
fn is_zombie(pid: i32) -> bool {
    stat_fields(pid).is_some_and(|fields| {
        matches!(fields.first().map(String::as_str), Some("Z" | "X"))
            && fields.get(17).is_some_and(|threads| matches!(threads.as_str(), "0" | "1"))
    })
}

/// The fields of `/proc/PID/stat` from the third on. The second is a name in parentheses that may itself hold blanks
/// and parentheses, so fields are counted from the last one.
fn stat_fields(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    Some(after_name.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_and_the_unknown_are_never_called_dead() {
        assert!(!Process::me().is_provably_dead());
        assert!(!Process::default().is_provably_dead());
        let gone = Process { pid: Some(999_999_999), start_time: None, ..Process::me() };
        assert!(gone.is_provably_dead());
        for elsewhere in [
            Process { boot_id: Some("another boot".into()), ..gone.clone() },
            Process { hostname: Some("another host".into()), ..gone.clone() },
            Process { pid_namespace: Some(1), ..gone.clone() },
            Process { time_namespace: Some(1), ..gone.clone() },
            Process { boot_id: None, ..gone.clone() },
            Process { pid_namespace: None, ..gone },
        ] {
            assert!(!elsewhere.is_provably_dead(), "{elsewhere:?}");
        }
    }

    #[test]
    fn the_dead_of_this_node_are_recognised() {
        let mut child = process::Command::new("true").spawn().expect("spawn");
        let pid = i32::try_from(child.id()).ok();
        // Nobody has asked for its status yet.
        let ended = || {
            fs::read_to_string(format!("/proc/{}/stat", child.id())).is_ok_and(|stat| stat.contains(") Z "))
        };
        while !ended() {
            std::thread::yield_now();
        }
        assert!(Process { pid, start_time: pid.and_then(start_time), ..Process::me() }.is_provably_dead());
        child.wait().expect("wait");
        assert!(Process { pid, start_time: None, ..Process::me() }.is_provably_dead());
        let reused = Process { start_time: Process::me().start_time.map(|t| t + 1), ..Process::me() };
        assert!(reused.is_provably_dead(), "the number was given to another process");
    }
}
