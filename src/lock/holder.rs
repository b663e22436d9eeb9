//! Who holds a lock: what a lock file says of its writer, and whether that writer is provably dead.

use std::cell::RefCell;
use std::fs;
use std::process;

use nix::errno::Errno;
use nix::sys::signal;
use nix::unistd::Pid;
use serde_json::{Map, Value, json};

use crate::{clock, machine};

thread_local! {
    /// What `/proc` says of this process, read once.
    static ME: RefCell<Option<Holder>> = const { RefCell::new(None) };
}

/// The process that wrote a lock file. The original writes the first three fields; ours adds the rest, which the
/// original ignores.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Holder {
    hostname: Option<String>,
    pid: Option<i32>,
    timestamp: Option<f64>,
    boot_id: Option<String>,
    pid_namespace: Option<String>,
    start_time: Option<u64>,
}

impl Holder {
    /// This process, now.
    pub(crate) fn me() -> Self {
        let me = ME.with_borrow_mut(|known| match known {
            // A forked child is another process.
            Some(me) if me.pid == i32::try_from(process::id()).ok() => me.clone(),
            _ => known.insert(Self::look_at_this_process()).clone(),
        });
        Self { timestamp: Some(clock::unix_seconds()), ..me }
    }

    fn look_at_this_process() -> Self {
        let pid = i32::try_from(process::id()).ok();
        Self {
            hostname: Some(machine::hostname()),
            pid,
            timestamp: None,
            boot_id: boot_id(),
            pid_namespace: pid_namespace(),
            start_time: pid.and_then(start_time),
        }
    }

    /// Reads the JSON of a lock file; fields that are absent or of another type are unknown.
    pub(crate) fn parse(content: &[u8]) -> Self {
        let fields: Map<String, Value> = serde_json::from_slice(content).unwrap_or_default();
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            hostname: text("hostname"),
            pid: fields.get("pid").and_then(Value::as_i64).and_then(|pid| i32::try_from(pid).ok()),
            timestamp: fields.get("timestamp").and_then(Value::as_f64),
            boot_id: text("boot_id"),
            pid_namespace: text("pid_namespace"),
            start_time: fields.get("start_time").and_then(Value::as_u64),
        }
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        json!({
            "hostname": self.hostname, "pid": self.pid, "timestamp": self.timestamp,
            "boot_id": self.boot_id, "pid_namespace": self.pid_namespace, "start_time": self.start_time,
        })
        .to_string()
        .into_bytes()
    }

    /// How long ago, by the wall clocks of two nodes, the lock claims to have been taken. Only a hint: never a
    /// reason to break a lock.
    pub(crate) fn claimed_age(&self) -> Option<f64> {
        self.timestamp.map(|then| clock::unix_seconds() - then)
    }

    /// Did the holder certainly end? Only its own node and PID namespace can know: everywhere else, and where a
    /// fact is missing, the answer is no.
    pub(crate) fn is_provably_dead(&self) -> bool {
        let here = Self::me();
        let same_place = self.boot_id.is_some()
            && self.boot_id == here.boot_id
            && self.hostname == here.hostname
            && self.pid_namespace.is_some()
            && self.pid_namespace == here.pid_namespace;
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

impl std::fmt::Display for Holder {
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

fn pid_namespace() -> Option<String> {
    fs::read_link("/proc/self/ns/pid").ok().map(|link| link.to_string_lossy().into_owned())
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
    fn a_lock_file_round_trips() {
        let me = Holder::me();
        assert!(me.timestamp.is_some());
        assert_eq!(Holder::parse(&me.to_json()), me);
    }

    #[test]
    fn the_living_and_the_unknown_are_never_called_dead() {
        assert!(!Holder::me().is_provably_dead());
        assert!(!Holder::parse(b"").is_provably_dead());
        let original =
            format!(r#"{{"hostname": "{}", "pid": 999999999, "timestamp": 1.0}}"#, machine::hostname());
        assert!(!Holder::parse(original.as_bytes()).is_provably_dead(), "the original proves nothing");
        let elsewhere =
            Holder { boot_id: Some("another boot".into()), pid: Some(999_999_999), ..Holder::me() };
        assert!(!elsewhere.is_provably_dead());
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
        assert!(Holder { pid, start_time: pid.and_then(start_time), ..Holder::me() }.is_provably_dead());
        child.wait().expect("wait");
        assert!(Holder { pid, start_time: None, ..Holder::me() }.is_provably_dead());
        let reused = Holder { start_time: Holder::me().start_time.map(|t| t + 1), ..Holder::me() };
        assert!(reused.is_provably_dead(), "the number was given to another process");
    }
}
