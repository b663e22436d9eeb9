//! What a lock file says of the process that wrote it.

use serde_json::{Map, Value, json};

use crate::clock;
use crate::lock::process::Process;

/// The writer of a lock file. The original writes host name, process id and time stamp; ours adds the rest, which the
/// original ignores.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Holder {
    pub(crate) process: Process,
    /// Seconds since 1970 by the writer's clock.
    pub(crate) timestamp: Option<f64>,
}

impl Holder {
    /// This process, now.
    pub(crate) fn me() -> Self {
        Self { process: Process::me(), timestamp: Some(clock::unix_seconds()) }
    }

    /// Reads the JSON of a lock file; fields that are absent or of another type are unknown.
    pub(crate) fn parse(content: &[u8]) -> Self {
        let fields: Map<String, Value> = serde_json::from_slice(content).unwrap_or_default();
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let number = |name: &str| fields.get(name).and_then(Value::as_u64);
        Self {
            process: Process {
                hostname: text("hostname"),
                pid: fields.get("pid").and_then(Value::as_i64).and_then(|pid| i32::try_from(pid).ok()),
                boot_id: text("boot_id"),
                pid_namespace: number("pid_namespace"),
                time_namespace: number("time_namespace"),
                start_time: number("start_time"),
            },
            timestamp: fields.get("timestamp").and_then(Value::as_f64),
        }
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        let Process { hostname, pid, boot_id, pid_namespace, time_namespace, start_time } = &self.process;
        json!({
            "hostname": hostname, "pid": pid, "timestamp": self.timestamp, "boot_id": boot_id,
            "pid_namespace": pid_namespace, "time_namespace": time_namespace, "start_time": start_time,
        })
        .to_string()
        .into_bytes()
    }

    /// How long ago, by the wall clocks of two nodes, the lock claims to have been taken. Only a hint: never a
    /// reason to break a lock.
    pub(crate) fn claimed_age(&self) -> Option<f64> {
        self.timestamp.map(|then| clock::unix_seconds() - then)
    }

    /// Did the holder certainly end?
    pub(crate) fn is_provably_dead(&self) -> bool {
        self.process.is_provably_dead()
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.process.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine;

    #[test]
    fn a_lock_file_round_trips() {
        let me = Holder::me();
        assert!(me.timestamp.is_some());
        assert_eq!(Holder::parse(&me.to_json()), me);
    }

    #[test]
    fn the_lock_file_of_an_original_proves_nothing() {
        assert!(!Holder::parse(b"").is_provably_dead());
        let original =
            format!(r#"{{"hostname": "{}", "pid": 999999999, "timestamp": 1.0}}"#, machine::hostname());
        assert!(!Holder::parse(original.as_bytes()).is_provably_dead());
    }
}
