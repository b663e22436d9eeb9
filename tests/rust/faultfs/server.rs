//! The file system as the kernel sees it: what it holds, and how its requests are answered.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fuser::{
    FileHandle, FileType, FopenFlags, Generation, INodeNo, ReplyAttr, ReplyEmpty, ReplyEntry, Request,
};
use nix::errno::Errno;
use nix::sys::stat::FileStat;
use nix::unistd::UnlinkatFlags;

use super::attributes::attributes;
use super::backing::{Backing, Caller, Found, New, Open};
use super::copies::Copies;
use super::gate::Gate;
use super::memory::Memory;
use super::operation::{Call, Op};
use super::options::{Cache, Locks};
use super::table::{Handles, Inodes};

pub type Result<T> = std::result::Result<T, Errno>;

/// What a request is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    Name(&'a OsStr),
    Rename(&'a OsStr, &'a OsStr),
    Inode(INodeNo),
}

/// The names in a directory, with inode numbers and types.
pub type Listing = Vec<(OsString, u64, FileType)>;

/// The file system as the kernel sees it.
#[derive(Debug)]
pub struct Server {
    pub gate: Arc<Gate>,
    pub backing: Backing,
    pub cache: Cache,
    pub locks: Locks,
    pub memory: Memory,
    pub copies: Copies,
    pub inodes: Inodes,
    pub files: Handles<Open>,
    pub directories: Handles<Mutex<Listing>>,
}

impl Server {
    /// Perform a request, if the rules let it pass.
    pub fn serve<T>(
        &self,
        request: &Request,
        op: Op,
        subject: Subject<'_>,
        perform: impl FnOnce(Caller) -> Result<T>,
    ) -> Result<T> {
        self.serve_range(request, op, subject, (0, 0), |caller, _| perform(caller))
    }

    /// Perform a request about `length` bytes at `offset`, if the rules let it pass. `perform` is told how many
    /// of the bytes it is to take.
    pub fn serve_range<T>(
        &self,
        request: &Request,
        op: Op,
        subject: Subject<'_>,
        (offset, length): (u64, usize),
        perform: impl FnOnce(Caller, usize) -> Result<T>,
    ) -> Result<T> {
        let call = |pid| {
            let (name, target) = self.names(subject);
            Call { op, pid, name, target, offset, length }
        };
        self.gate.pass((op, request.pid(), length), call, |pid, length| {
            perform(Caller { pid, uid: request.uid(), gid: request.gid() }, length)
        })
    }

    fn names(&self, subject: Subject<'_>) -> (OsString, Option<OsString>) {
        match subject {
            Subject::Name(name) => (name.to_owned(), None),
            Subject::Rename(from, to) => (from.to_owned(), Some(to.to_owned())),
            Subject::Inode(INodeNo::ROOT) => (OsString::new(), None),
            Subject::Inode(number) => {
                let inode = self.inodes.get(number.0);
                (inode.map(|inode| Backing::name_of(inode.as_fd())).unwrap_or_default(), None)
            }
        }
    }

    /// Answer with an inode, which the kernel knows from now on.
    pub fn answer_entry(&self, result: Result<Found>, reply: ReplyEntry) {
        match result {
            Ok(found) => {
                let attributes = attributes(&found.stat);
                let timeout = self.memory.keep(found.stat.st_ino, &found.stat);
                self.inodes.remember(found.stat.st_ino, found.fd);
                reply.entry(&timeout, &attributes, Generation(0));
            }
            Err(error) => reply.error(refusal(error)),
        }
    }

    /// How the kernel is to cache the content of an open file.
    pub fn file_flags(&self) -> FopenFlags {
        match self.cache {
            Cache::Coherent => FopenFlags::FOPEN_DIRECT_IO,
            Cache::Reopened(_) | Cache::Copied(_) => FopenFlags::empty(),
            Cache::Cached(_) => FopenFlags::FOPEN_KEEP_CACHE,
        }
    }

    /// An open file, when it is used.
    pub fn opened(&self, handle: FileHandle) -> Result<Arc<Open>> {
        let open = self.files.get(handle.0)?;
        if open.is_gone && self.copies.are_kept() { Err(Errno::ESTALE) } else { Ok(open) }
    }

    /// Serve a request for a new name.
    pub fn make(
        &self,
        request: &Request,
        op: Op,
        parent: INodeNo,
        name: &OsStr,
        new: New<'_>,
        reply: ReplyEntry,
    ) {
        let result = self.serve(request, op, Subject::Name(name), |caller| {
            self.backing
                .make(caller, self.inodes.get(parent.0)?.as_fd(), name, new)
                .inspect(|_| self.memory.forget_all())
        });
        self.answer_entry(result, reply);
    }

    /// Serve `unlink` and `rmdir`.
    pub fn remove(&self, request: &Request, op: Op, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let flag = if op == Op::Rmdir { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
        let result = self.serve(request, op, Subject::Name(name), |caller| {
            self.backing
                .unlink(caller, self.inodes.get(parent.0)?.as_fd(), name, flag)
                .inspect(|()| self.memory.forget_all())
        });
        answer_empty(result, reply);
    }

    /// Serve `fsync`.
    pub fn sync(&self, request: &Request, op: Op, inode: INodeNo, reply: ReplyEmpty) {
        let result = self.serve(request, op, Subject::Inode(inode), |caller| {
            self.backing.sync(caller, self.inodes.get(inode.0)?.as_fd(), op == Op::Fsyncdir)
        });
        answer_empty(result, reply);
    }

    /// Serve a request for a lock: never.
    pub fn refuse_lock(&self, request: &Request, inode: INodeNo) -> Errno {
        let result = self.serve(request, Op::Lock, Subject::Inode(inode), |_| Err::<(), _>(Errno::ENOSYS));
        result.err().unwrap_or(Errno::ENOSYS)
    }

    /// What is in a directory now.
    pub fn list(&self, inode: INodeNo) -> Result<Listing> {
        let directory = self.inodes.get(inode.0)?;
        let own = Inodes::number_of(&directory)?;
        let special = [".", ".."].map(|name| (name.into(), own, FileType::Directory));
        let entries = Backing::list(directory.as_fd())?.into_iter().map(|(name, number, kind)| {
            (name, number, FileType::from_std(kind).unwrap_or(FileType::RegularFile))
        });
        Ok(special.into_iter().chain(entries).collect())
    }
}

pub fn refusal(error: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(error as i32)
}

pub fn answer_empty(result: Result<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(refusal(error)),
    }
}

pub fn answer_attributes(result: Result<(FileStat, Duration)>, reply: ReplyAttr) {
    match result {
        Ok((stat, timeout)) => reply.attr(&timeout, &attributes(&stat)),
        Err(error) => reply.error(refusal(error)),
    }
}
