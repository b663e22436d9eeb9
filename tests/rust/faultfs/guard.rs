//! Mounts of test processes that were killed.
//!
//! A thread that waits for an answer from its own process cannot die before it is answered, and nobody is left
//! to answer: the process would stay for ever, and the mount with it. Only another process can end that.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use nix::mount::{MntFlags, umount2};

const PREFIX: &str = "faultfs-";
/// Tells a test process that it is the guard of another one.
const GUARDED: &str = "FAULTFS_GUARDED_PROCESS";

/// What the names of our mount points begin with.
pub fn prefix() -> String {
    format!("{PREFIX}{}-", std::process::id())
}

/// Unmount what dead test processes have left, and have a guard do so for us. Once in each process.
pub fn post() -> io::Result<()> {
    static POSTED: Mutex<bool> = Mutex::new(false);
    let Ok(mut posted) = POSTED.lock() else { return Ok(()) };
    if *posted {
        return Ok(());
    }
    for (mount_point, owner) in mounts() {
        if is_dead(&owner) {
            remove(&mount_point);
        }
    }
    let test = concat!(module_path!(), "::guards_another_process_if_told_to");
    let test = test.split_once("::").map_or(test, |(_, test)| test);
    let mut guard = Command::new(std::env::current_exe()?);
    guard.args([test, "--exact"]).env(GUARDED, std::process::id().to_string()).current_dir("/");
    // Not in our process group: what is typed to end the tests must not end the guard.
    guard.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    guard.spawn()?;
    *posted = true;
    Ok(())
}

/// Not a test, but the only way to run something else in a test's executable.
#[test]
fn guards_another_process_if_told_to() {
    let Ok(owner) = std::env::var(GUARDED) else { return };
    while !is_dead(&owner) {
        thread::sleep(Duration::from_millis(200));
    }
    for (mount_point, _) in mounts().into_iter().filter(|(_, other)| *other == owner) {
        remove(&mount_point);
    }
}

/// Our kind of mounts, with the process that serves each.
fn mounts() -> Vec<(PathBuf, String)> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let ours = mounts.lines().filter_map(|line| {
        let mount_point = PathBuf::from(line.split(' ').nth(1)?);
        let (owner, _) = mount_point.file_name()?.to_str()?.strip_prefix(PREFIX)?.split_once('-')?;
        let owner = owner.to_owned();
        Some((mount_point, owner))
    });
    ours.collect()
}

/// Whether a process has ended, or would have but for threads that wait for it.
fn is_dead(pid: &str) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    stat.rsplit(") ").next().is_none_or(|rest| rest.starts_with(['Z', 'X']))
}

/// Answer everything with an error, and unmount.
fn remove(mount_point: &Path) {
    let _ = umount2(mount_point, MntFlags::MNT_FORCE);
    let _ = umount2(mount_point, MntFlags::MNT_DETACH);
    let _ = fs::remove_dir(mount_point);
}
