//! The operations themselves, on the directory below, and their entries in the log.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags, fchmodat, fstat, fstatat, mkdirat, mknodat,
    utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{
    Gid, Uid, UnlinkatFlags, fchownat, getegid, geteuid, linkat, setfsgid, setfsuid, symlinkat, unlinkat,
};

use super::log::{Event, Log, Writing};
use super::tree::{Kind, Node};

type Result<T> = std::result::Result<T, Errno>;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    pub pid: u32,
    pub uid: u32,
    pub gid: u32,
}

/// An inode that the kernel is about to learn of: how to reach it, and its attributes.
#[derive(Debug)]
pub struct Found {
    pub fd: OwnedFd,
    pub stat: FileStat,
}

/// What is to become of a new name.
#[derive(Clone, Copy, Debug)]
pub enum New<'a> {
    Directory {
        mode: u32,
    },
    Symlink {
        target: &'a Path,
    },
    /// A regular file, pipe or socket, by the type in `mode`.
    Special {
        mode: u32,
        device: u64,
    },
}

/// An open file.
#[derive(Debug)]
pub struct Open {
    pub file: File,
    /// Whether writes go to where the file ends at that moment, wherever the kernel believes that to be.
    pub appends: bool,
    /// It had no name any more when it was opened.
    pub is_gone: bool,
}

/// The directory below a mount.
#[derive(Debug)]
pub struct Backing {
    pub log: Option<Arc<Log>>,
    pub sync: bool,
    pub atomic_appends: bool,
}

impl Backing {
    pub fn find(parent: BorrowedFd<'_>, name: &OsStr) -> Result<Found> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(parent, name, flags, Mode::empty())?;
        let stat = fstat(&fd)?;
        // Inode numbers name files, which they do within one file system only.
        if stat.st_dev != fstat(parent)?.st_dev {
            return Err(Errno::EXDEV);
        }
        Ok(Found { fd, stat })
    }

    pub fn open(&self, inode: BorrowedFd<'_>, flags: i32) -> Result<Open> {
        let appends = self.atomic_appends && flags & OFlag::O_APPEND.bits() != 0;
        let mut flags = OFlag::from_bits_truncate(flags) & (OFlag::O_ACCMODE | OFlag::O_NOATIME);
        flags.set(OFlag::O_APPEND, appends);
        let fd = openat(AT_FDCWD, &itself(inode), flags | OFlag::O_CLOEXEC, Mode::empty())?;
        let is_gone = fstat(&fd)?.st_nlink == 0;
        Ok(Open { file: File::from(fd), appends, is_gone })
    }

    /// `open` with `O_CREAT`, with or without `O_EXCL` and `O_TRUNC`.
    pub fn create(
        &self,
        caller: Caller,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        mode: u32,
        flags: i32,
    ) -> Result<(Found, Open)> {
        let mut log = self.begin();
        let wanted = OFlag::from_bits_truncate(flags);
        let new = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDWR;
        // Not without O_EXCL: the kernel forbids that to root too on a file of another user in a sticky directory.
        let make = || openat(parent, name, new, Mode::from_bits_truncate(mode));
        match as_caller(caller, make, |_| give(caller, parent, name)) {
            Ok(_) => {
                let found = Self::find(parent, name)?;
                let opened = self.open(found.fd.as_fd(), flags)?;
                born(&mut log, caller, parent, name, &found, Kind::File(Arc::default()));
                Ok((found, opened))
            }
            Err(Errno::EEXIST) if !wanted.contains(OFlag::O_EXCL) => {
                let found = Self::find(parent, name)?;
                let opened = self.open(found.fd.as_fd(), flags)?;
                if wanted.contains(OFlag::O_TRUNC) {
                    opened.file.set_len(0).map_err(errno)?;
                    if let Some(log) = &mut log {
                        let object = log.object(found.stat.st_ino);
                        log.push(caller.pid, Event::Truncate { object, size: 0 });
                    }
                }
                Ok((Found { stat: fstat(&found.fd)?, ..found }, opened))
            }
            Err(error) => Err(error),
        }
    }

    pub fn make(&self, caller: Caller, parent: BorrowedFd<'_>, name: &OsStr, new: New<'_>) -> Result<Found> {
        let mut log = self.begin();
        let make = || match new {
            New::Directory { mode } => mkdirat(parent, name, Mode::from_bits_truncate(mode)),
            New::Symlink { target } => symlinkat(target, parent, name),
            New::Special { mode, device } => {
                let kind = SFlag::from_bits_truncate(mode) & SFlag::S_IFMT;
                mknodat(parent, name, kind, Mode::from_bits_truncate(mode), device)
            }
        };
        as_caller(caller, make, |()| give(caller, parent, name))?;
        let found = Self::find(parent, name)?;
        let kind = match new {
            New::Directory { .. } => Kind::Directory,
            New::Symlink { target } => Kind::Symlink(target.to_owned()),
            New::Special { mode, .. } => match SFlag::from_bits_truncate(mode) & SFlag::S_IFMT {
                SFlag::S_IFREG => Kind::File(Arc::default()),
                kind => Kind::Special(kind.bits()),
            },
        };
        born(&mut log, caller, parent, name, &found, kind);
        Ok(found)
    }

    pub fn link(
        &self,
        caller: Caller,
        inode: BorrowedFd<'_>,
        parent: BorrowedFd<'_>,
        name: &OsStr,
    ) -> Result<Found> {
        let mut log = self.begin();
        linkat(AT_FDCWD, &itself(inode), parent, name, AtFlags::AT_SYMLINK_FOLLOW)?;
        let found = Self::find(parent, name)?;
        if let Some(log) = &mut log {
            let name = (log.object(fstat(parent)?.st_ino), name.to_owned());
            let object = log.object(found.stat.st_ino);
            log.push(caller.pid, Event::Link { name, object });
        }
        Ok(found)
    }

    pub fn unlink(
        &self,
        caller: Caller,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        flag: UnlinkatFlags,
    ) -> Result<()> {
        let mut log = self.begin();
        let number = log.as_ref().map(|_| number(parent, name)).transpose()?;
        unlinkat(parent, name, flag)?;
        if let (Some(log), Some(number)) = (&mut log, number) {
            let name = (log.object(fstat(parent)?.st_ino), name.to_owned());
            let object = log.object(number);
            log.push(caller.pid, Event::Unlink { name, object });
        }
        Ok(())
    }

    pub fn rename(
        &self,
        caller: Caller,
        from: (BorrowedFd<'_>, &OsStr),
        to: (BorrowedFd<'_>, &OsStr),
    ) -> Result<()> {
        let mut log = self.begin();
        let before = log.as_ref().map(|_| (number(from.0, from.1), number(to.0, to.1).ok()));
        renameat(from.0, from.1, to.0, to.1)?;
        if let (Some(log), Some((moved, replaced))) = (&mut log, before) {
            let moved = moved?;
            // Two names of one file stay as they are.
            if replaced != Some(moved) {
                let object = log.object(moved);
                let replaced = replaced.map(|number| log.object(number));
                let from = (log.object(fstat(from.0)?.st_ino), from.1.to_owned());
                let to = (log.object(fstat(to.0)?.st_ino), to.1.to_owned());
                log.push(caller.pid, Event::Rename { from, to, object, replaced });
            }
        }
        Ok(())
    }

    pub fn read(open: &Open, offset: u64, length: usize) -> Result<Vec<u8>> {
        let (mut data, mut filled) = (vec![0; length], 0);
        while filled < length {
            match open.file.read_at(&mut data[filled..], offset + filled as u64).map_err(errno)? {
                0 => break,
                count => filled += count,
            }
        }
        data.truncate(filled);
        Ok(data)
    }

    pub fn write(&self, caller: Caller, open: &Open, offset: u64, data: &[u8]) -> Result<usize> {
        let mut log = self.begin();
        let offset = if open.appends { open.file.metadata().map_err(errno)?.len() } else { offset };
        let count = open.file.write_at(data, offset).map_err(errno)?;
        if let Some(log) = log.as_mut().filter(|_| count > 0) {
            let object = log.object(fstat(&open.file)?.st_ino);
            log.push(caller.pid, Event::Write { object, offset, data: data[..count].into() });
        }
        Ok(count)
    }

    pub fn truncate(
        &self,
        caller: Caller,
        inode: BorrowedFd<'_>,
        open: Option<&Open>,
        size: u64,
    ) -> Result<()> {
        let mut log = self.begin();
        match open {
            Some(open) => open.file.set_len(size),
            None => File::options().write(true).open(itself(inode)).and_then(|file| file.set_len(size)),
        }
        .map_err(errno)?;
        if let Some(log) = &mut log {
            let object = log.object(fstat(inode)?.st_ino);
            log.push(caller.pid, Event::Truncate { object, size });
        }
        Ok(())
    }

    pub fn change_attributes(
        &self,
        caller: Caller,
        inode: BorrowedFd<'_>,
        mode: Option<u32>,
        (uid, gid): (Option<u32>, Option<u32>),
    ) -> Result<()> {
        let mut log = self.begin();
        if uid.is_some() || gid.is_some() {
            fchownat(inode, "", uid.map(Uid::from_raw), gid.map(Gid::from_raw), AtFlags::AT_EMPTY_PATH)?;
        }
        if let Some(mode) = mode {
            let mode = Mode::from_bits_truncate(mode);
            fchmodat(AT_FDCWD, &itself(inode), mode, FchmodatFlags::FollowSymlink)?;
        }
        if let Some(log) = &mut log {
            let stat = fstat(inode)?;
            let object = log.object(stat.st_ino);
            let (mode, uid, gid) = (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid);
            log.push(caller.pid, Event::Attributes { object, mode, uid, gid });
        }
        Ok(())
    }

    pub fn set_times(inode: BorrowedFd<'_>, accessed: TimeSpec, modified: TimeSpec) -> Result<()> {
        utimensat(AT_FDCWD, &itself(inode), &accessed, &modified, UtimensatFlags::FollowSymlink)
    }

    /// `fsync` of a file or directory.
    pub fn sync(&self, caller: Caller, inode: BorrowedFd<'_>, is_directory: bool) -> Result<()> {
        let log = self.begin();
        if self.sync {
            File::open(itself(inode)).and_then(|file| file.sync_all()).map_err(errno)?;
        }
        if let Some(mut log) = log {
            let object = log.object(fstat(inode)?.st_ino);
            let event = if is_directory {
                Event::SyncDirectory { directory: object }
            } else {
                Event::Sync { object }
            };
            log.push(caller.pid, event);
        }
        Ok(())
    }

    pub fn read_link(inode: BorrowedFd<'_>) -> Result<OsString> {
        readlinkat(inode, "")
    }

    /// The names in a directory, with inode numbers, without `.` and `..`.
    pub fn list(inode: BorrowedFd<'_>) -> Result<Vec<(OsString, u64, fs::FileType)>> {
        use std::os::unix::fs::DirEntryExt;
        let entries = fs::read_dir(itself(inode)).map_err(errno)?;
        let entry = |entry: fs::DirEntry| Ok((entry.file_name(), entry.ino(), entry.file_type()?));
        entries.map(|result| result.and_then(entry).map_err(errno)).collect()
    }

    /// The last component of the path of an open file.
    pub fn name_of(inode: BorrowedFd<'_>) -> OsString {
        let path = fs::read_link(itself(inode)).unwrap_or_default();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.strip_suffix(" (deleted)").unwrap_or(&name).into()
    }

    fn begin(&self) -> Option<Writing<'_>> {
        self.log.as_ref().map(|log| log.begin())
    }
}

/// A path that leads to an inode whatever its names, also if it has none.
fn itself(inode: BorrowedFd<'_>) -> PathBuf {
    format!("/proc/self/fd/{}", inode.as_raw_fd()).into()
}

fn number(parent: BorrowedFd<'_>, name: &OsStr) -> Result<u64> {
    Ok(fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)?.st_ino)
}

fn born(
    log: &mut Option<Writing<'_>>,
    caller: Caller,
    parent: BorrowedFd<'_>,
    name: &OsStr,
    found: &Found,
    kind: Kind,
) {
    if let (Some(log), Ok(parent)) = (log, fstat(parent)) {
        let name = (log.object(parent.st_ino), name.to_owned());
        let object = log.born(found.stat.st_ino);
        let node =
            Node { kind, mode: found.stat.st_mode & 0o7777, uid: found.stat.st_uid, gid: found.stat.st_gid };
        log.push(caller.pid, Event::Create { name, object, node });
    }
}

/// Make something as the calling user, so that it is never seen as another's. The kernel has checked the
/// permissions already, and it knows of all the caller's groups: where it would be refused to us, it is made
/// by us and given away.
fn as_caller<T>(caller: Caller, make: impl Fn() -> Result<T>, give: impl Fn(&T) -> Result<()>) -> Result<T> {
    let (uid, gid) = (geteuid(), getegid());
    let theirs = (Uid::from_raw(caller.uid), Gid::from_raw(caller.gid));
    if !uid.is_root() || theirs == (uid, gid) {
        return make();
    }
    setfsgid(theirs.1);
    setfsuid(theirs.0);
    let outcome = make();
    setfsuid(uid);
    setfsgid(gid);
    if matches!(outcome, Err(Errno::EACCES)) {
        return make().and_then(|thing| give(&thing).map(|()| thing));
    }
    outcome
}

fn give(caller: Caller, parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    let inherits_group = fstat(parent)?.st_mode & Mode::S_ISGID.bits() != 0;
    let group = (!inherits_group).then(|| Gid::from_raw(caller.gid));
    fchownat(parent, name, Some(Uid::from_raw(caller.uid)), group, AtFlags::AT_SYMLINK_NOFOLLOW)
}

pub fn errno(error: impl Into<std::io::Error>) -> Errno {
    Errno::from_raw(error.into().raw_os_error().unwrap_or(Errno::EIO as i32))
}
