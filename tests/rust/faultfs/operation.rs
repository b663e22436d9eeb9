//! What a client asked the file system to do.

use std::ffi::{OsStr, OsString};

/// The kinds of requests that are counted and that rules can match.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Op {
    Lookup,
    Getattr,
    /// A change of mode, owner or times.
    Setattr,
    /// A change of size, also the one that an open with `O_TRUNC` makes.
    Truncate,
    /// Room for what may be written. Where no content of it is shown it is no change.
    Fallocate,
    Readlink,
    Mknod,
    Mkdir,
    Unlink,
    Rmdir,
    Symlink,
    Rename,
    Link,
    /// Opening a file that exists.
    Open,
    /// `open` with `O_CREAT` where the name was not there a moment before.
    Create,
    Read,
    Write,
    /// The last descriptor of an open file was closed. Nobody sees an error of it.
    Release,
    Fsync,
    Opendir,
    Readdir,
    Fsyncdir,
    Statfs,
    /// `fcntl` and `flock` locks, where they are refused; else the kernel does not ask.
    Lock,
}

impl Op {
    /// Everything that changes a file or a directory.
    pub const CHANGES: &[Self] = &[
        Self::Setattr,
        Self::Truncate,
        Self::Mknod,
        Self::Mkdir,
        Self::Unlink,
        Self::Rmdir,
        Self::Symlink,
        Self::Rename,
        Self::Link,
        Self::Create,
        Self::Write,
    ];

    /// Everything that changes a file or a directory, or makes a change durable: the points at which a crash
    /// can make a difference.
    pub const CRASH_POINTS: &[Self] = &[
        Self::Setattr,
        Self::Truncate,
        Self::Mknod,
        Self::Mkdir,
        Self::Unlink,
        Self::Rmdir,
        Self::Symlink,
        Self::Rename,
        Self::Link,
        Self::Create,
        Self::Write,
        Self::Fsync,
        Self::Fsyncdir,
    ];
}

/// One request, as rules see it.
#[derive(Clone, Debug)]
pub struct Call {
    pub op: Op,
    /// The calling process (not the thread); 0 where the kernel itself asks, for example for a release.
    pub pid: u32,
    /// The last component of the path. For open files the name they have now; empty for the mount point.
    pub name: OsString,
    /// The second name of a rename: the destination.
    pub target: Option<OsString>,
    /// Where a read or a write begins, or the new size of a truncation.
    pub offset: u64,
    /// How many bytes a read or a write is about.
    pub length: usize,
}

impl Call {
    /// Whether `test` holds for the name, or for the destination of a rename.
    pub fn is_about(&self, test: impl Fn(&str) -> bool) -> bool {
        let test = |name: &OsStr| test(&name.to_string_lossy());
        test(&self.name) || self.target.as_deref().is_some_and(test)
    }
}
