//! Which file system a path is on, and whether what one node reads there is always what another has written.
//!
//! The directory operations that locks are made of are exact everywhere. Attributes, contents and kept connections are
//! not: where a client answers from its cache, they are old for seconds, and under a perfect lock a kept connection
//! then loses other nodes' rows. So connections are kept, and reads go without the lock, only where coherence is known.

use std::io;
use std::path::Path;

use nix::sys::statfs::statfs;

use crate::error::{Error, Result};
use crate::mutation;

/// What the kernel says of the file system that holds a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSystem {
    /// Its usual name, or `unknown`.
    pub kind: &'static str,
    /// The number by which the kernel knows it (`f_type` of statfs, see `man 2 statfs`).
    pub magic: u32,
    /// Who sees it, and how soon.
    pub reach: Reach,
}

/// Who sees a file system, and how soon they see a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Only this node, which sees every change at once.
    Node,
    /// Many nodes, each of which sees every change at once.
    Coherent,
    /// Many nodes, each of which may answer from an old cache.
    Cached,
    /// Nothing is known of it.
    Unknown,
}

/// Whether connections may be kept, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coherence {
    /// What is read is always what was written last, by whichever node.
    pub coherent: bool,
    /// Why, for a person.
    pub reason: String,
}

use Reach::{Cached, Coherent, Node};

/// What is not here is unknown, which is treated as [`Reach::Cached`]: slower, and never wrong.
const KNOWN: &[(u32, &str, Reach)] = &[
    (0x0000_EF53, "ext4", Node),
    (0x5846_5342, "xfs", Node),
    (0x9123_683E, "btrfs", Node),
    (0x0102_1994, "tmpfs", Node),
    (0x794C_7630, "overlayfs", Node),
    (0x2FC1_2FC1, "zfs", Node),
    (0xF2F5_2010, "f2fs", Node),
    (0xCA45_1A4E, "bcachefs", Node),
    (0x8584_58F6, "ramfs", Node),
    (0x3153_464A, "jfs", Node),
    (0x5265_4973, "reiserfs", Node),
    (0x0BD0_0BD0, "lustre", Coherent),
    (0x4750_4653, "gpfs", Coherent),
    (0x1983_0326, "beegfs", Coherent),
    (0x0000_6969, "nfs", Cached),
    // MooseFS, GlusterFS, sshfs and many more: one number for all, and the worst of them decides.
    (0x6573_5546, "fuse", Cached),
    (0xFF53_4D42, "cifs", Cached),
    (0xFE53_4D42, "smb2", Cached),
    (0x0000_517B, "smb", Cached),
    // Kept connections lost a third of the rows of two nodes that wrote in turn.
    (0x00C3_6400, "ceph", Cached),
    (0x5346_414F, "afs", Cached),
    (0x6B41_4653, "afs", Cached),
    (0x0102_1997, "9p", Cached),
];

impl FileSystem {
    fn from_magic(magic: u32) -> Self {
        KNOWN.iter().find(|(known, ..)| *known == magic).map_or(
            Self { kind: "unknown", magic, reach: Reach::Unknown },
            |&(_, kind, reach)| Self { kind, magic, reach },
        )
    }

    /// Is what is read here always what was written last, by whichever node?
    #[must_use]
    pub fn coherent(&self) -> bool {
        matches!(self.reach, Node | Coherent)
    }

    /// Why [`FileSystem::coherent`] answers as it does, for a person.
    #[must_use]
    pub fn reason(&self) -> String {
        let Self { kind, magic, reach } = self;
        match reach {
            Node => format!("{kind} is local to this node"),
            Coherent => format!("{kind} keeps the caches of its nodes coherent"),
            Cached => format!("{kind} may show a node what another one has already replaced"),
            Reach::Unknown => {
                format!("nothing is known about a file system of type {magic:#010x}; caution costs only time")
            }
        }
    }
}

/// The file system of `path`, or of its nearest ancestor that exists.
///
/// # Errors
///
/// [`Error::Io`], also for a symbolic link to nowhere: where its target will be created decides.
pub fn of(path: &Path) -> Result<FileSystem> {
    let absolute = std::path::absolute(path).map_err(Error::io(path, "finding"))?;
    for candidate in absolute.ancestors() {
        match statfs(candidate) {
            // The type is a signed or unsigned number of 32 or 64 bits; all magic numbers have 32.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::unnecessary_cast)]
            Ok(found) => return Ok(FileSystem::from_magic(found.filesystem_type().0 as u32)),
            Err(nix::Error::ENOENT) if candidate.symlink_metadata().is_err() => {}
            Err(error) => {
                return Err(Error::io(candidate, "asking for the file system of")(error.into()));
            }
        }
    }
    Err(Error::io(path, "asking for the file system of")(io::ErrorKind::NotFound.into()))
}

/// May connections to a database at `path` be kept, and be read without the lock? A file system that cannot be asked is
/// one of which nothing is known.
#[must_use]
pub fn coherence(path: &Path) -> Coherence {
    match of(path) {
        Ok(found) if mutation::off("coherence") => Coherence { coherent: true, reason: found.reason() },
        Ok(found) => Coherence { coherent: found.coherent(), reason: found.reason() },
        Err(error) => Coherence { coherent: false, reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_file_systems_and_those_with_coherent_caches_are_coherent() {
        let coherent = |magic| FileSystem::from_magic(magic).coherent();
        for magic in [0xEF53, 0x0102_1994, 0x794C_7630, 0x0BD0_0BD0, 0x4750_4653, 0x1983_0326] {
            assert!(coherent(magic), "{magic:#x}");
        }
        for magic in [0x6969, 0x6573_5546, 0xFF53_4D42, 0xFE53_4D42, 0x00C3_6400, 0x5346_414F, 0, u32::MAX] {
            assert!(!coherent(magic), "{magic:#x}");
        }
    }

    #[test]
    fn no_number_is_listed_twice() {
        for (index, (magic, ..)) in KNOWN.iter().enumerate() {
            assert!(KNOWN[..index].iter().all(|(other, ..)| other != magic), "{magic:#x}");
        }
    }

    #[test]
    fn an_unknown_file_system_is_named_by_its_number() {
        let unknown = FileSystem::from_magic(0x1234);
        assert_eq!(unknown.kind, "unknown");
        assert!(unknown.reason().contains("0x00001234"), "{}", unknown.reason());
    }

    #[test]
    fn the_kernel_is_asked() {
        let proc = of(Path::new("/proc")).expect("proc is mounted");
        assert_eq!(proc.magic, 0x9FA0);
        assert!(!proc.coherent());
        assert_eq!(of(Path::new("/dev/shm")).expect("shm is mounted").kind, "tmpfs");
    }

    #[test]
    fn a_path_that_is_not_there_yet_is_where_its_directory_is() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let missing = directory.path().join("not/yet/store.db");
        assert_eq!(of(&missing).expect("directory exists"), of(directory.path()).expect("exists"));
    }

    #[test]
    fn a_link_to_nowhere_is_not_judged_by_where_the_link_is() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let link = directory.path().join("store.db");
        std::os::unix::fs::symlink("/nowhere/store.db", &link).expect("symlink");
        assert!(of(&link).is_err());
        let judged = coherence(&link);
        assert!(!judged.coherent);
        assert!(judged.reason.contains("store.db"), "{}", judged.reason);
    }
}
