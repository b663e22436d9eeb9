//! Mounting, and above all unmounting.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use fuser::{BackgroundSession, Config, MountOption, SessionACL};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::Mode;

use super::backing::Backing;
use super::copies::Copies;
use super::counters::Counters;
use super::gate::Gate;
use super::guard;
use super::memory::Memory;
use super::options::{Cache, Options};
use super::rules::{Action, Hits, Rule, Rules};
use super::server::Server;
use super::table::{Handles, Inodes};

/// A mounted file system. It is unmounted when this is dropped, also by a panic; clients that still have files
/// open keep them.
#[derive(Debug)]
pub struct FaultFs {
    mount_point: PathBuf,
    gate: Arc<Gate>,
    session: Option<BackgroundSession>,
}

impl FaultFs {
    /// Show `backing` at a fresh mount point. Several mounts of one directory are as many nodes.
    pub fn mount(backing: &Path, options: Options) -> io::Result<Self> {
        guard::post()?;
        let root = open(backing, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let gate = Arc::new(Gate::default());
        let atomic_appends = options.cache == Cache::Coherent;
        let server = Server {
            gate: Arc::clone(&gate),
            backing: Backing { log: options.log, sync: options.sync_backing, atomic_appends },
            cache: options.cache,
            locks: options.locks,
            memory: Memory::new(options.cache.timeout()),
            copies: Copies::new(options.cache),
            inodes: Inodes::new(root),
            files: Handles::default(),
            directories: Handles::default(),
        };
        let mut config = Config::default();
        config.mount_options =
            vec![MountOption::FSName("faultfs".to_owned()), MountOption::DefaultPermissions];
        config.acl = SessionACL::All;
        config.n_threads = Some(options.threads.max(1));
        // Never removed with what is in it: if it could not be unmounted, that would be the backing directory.
        let mount_point = tempfile::Builder::new().prefix(&guard::prefix()).tempdir()?.keep();
        match fuser::spawn_mount(server, &mount_point, &config) {
            Ok(session) => Ok(Self { mount_point, gate, session: Some(session) }),
            Err(error) => {
                fs::remove_dir(&mount_point)?;
                Err(error)
            }
        }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount_point
    }

    /// Let `action` happen to the requests that `rule` picks.
    pub fn inject(&self, rule: Rule, action: Action) -> Hits {
        self.rules().inject(rule, action)
    }

    /// Count the requests that match, and do no more about them.
    pub fn count(&self, rule: Rule) -> Hits {
        self.rules().count(rule)
    }

    /// The rules. A clone can be taken to other threads.
    pub fn rules(&self) -> &Rules {
        &self.gate.rules
    }

    /// How often what was asked for.
    pub fn counters(&self) -> &Counters {
        &self.gate.counters
    }
}

impl Drop for FaultFs {
    fn drop(&mut self) {
        self.gate.close();
        let unmounted = unmount(&self.mount_point);
        if let Some(session) = self.session.take() {
            if unmounted {
                let _ = session.join();
            } else {
                drop(session);
            }
        }
        let _ = fs::remove_dir(&self.mount_point);
    }
}

/// Unmount; false if clients still use it, who are left alone with it then.
fn unmount(mount_point: &Path) -> bool {
    for _ in 0..20 {
        match umount2(mount_point, MntFlags::empty()) {
            // A process that has just ended may still be closing its files.
            Err(Errno::EBUSY) => thread::sleep(Duration::from_millis(10)),
            result => return result.is_ok(),
        }
    }
    let _ = umount2(mount_point, MntFlags::MNT_DETACH);
    false
}

/// Whether file systems can be mounted here, or why not.
pub fn available() -> Result<(), String> {
    static AVAILABLE: OnceLock<Result<(), String>> = OnceLock::new();
    AVAILABLE
        .get_or_init(|| try_mount().map_err(|error| format!("no FUSE file system can be mounted: {error}")))
        .clone()
}

fn try_mount() -> io::Result<()> {
    fs::File::options().read(true).write(true).open("/dev/fuse")?;
    let directory = tempfile::tempdir()?;
    FaultFs::mount(directory.path(), Options::default()).map(drop)
}
