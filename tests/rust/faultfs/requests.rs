//! The kernel's requests one by one.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use fuser::{
    BsdFileFlags, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyLock, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::stat::fstat;
use nix::sys::statvfs::fstatvfs;

use super::attributes::{MISSING, attributes, time_to_set};
use super::backing::{Backing, New};
use super::operation::Op;
use super::options::{Cache, Locks};
use super::server::{Server, Subject, answer_attributes, answer_empty, refusal};

/// A client that looks up this prefix and a text inserts the text as a mark into the log.
const MARK: &str = ".mark.";

impl Filesystem for Server {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // A directory whose lookups wait for each other would let one delayed client delay others.
        let mut wanted = vec![InitFlags::FUSE_PARALLEL_DIROPS];
        if self.locks == Locks::Refused {
            wanted.extend([InitFlags::FUSE_POSIX_LOCKS, InitFlags::FUSE_FLOCK_LOCKS]);
        }
        for capability in wanted {
            config.add_capabilities(capability).map_err(|_| io::Error::other("an old kernel"))?;
        }
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if let (Some(text), Some(log)) =
            (name.to_str().and_then(|name| name.strip_prefix(MARK)), &self.backing.log)
        {
            log.mark(text);
            return reply.error(fuser::Errno::ENOENT);
        }
        let result = self.serve(request, Op::Lookup, Subject::Name(name), |_| {
            match Backing::find(self.inodes.get(parent.0)?.as_fd(), name) {
                Err(Errno::ENOENT) => Ok(None),
                result => result.map(Some),
            }
        });
        match result {
            // That a name is missing may be remembered as well: it is an inode with the number 0.
            Ok(None) if self.cache != Cache::Coherent => {
                reply.entry(&self.cache.timeout(), &MISSING, Generation(0));
            }
            result => self.answer_entry(result.and_then(|found| found.ok_or(Errno::ENOENT)), reply),
        }
    }

    fn forget(&self, _request: &Request, inode: INodeNo, lookups: u64) {
        self.inodes.forget(inode.0, lookups);
    }

    fn getattr(&self, request: &Request, inode: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        let result = self.serve(request, Op::Getattr, Subject::Inode(inode), |_| {
            if let Some(remembered) = self.memory.recall(inode.0) {
                return Ok(remembered);
            }
            let stat = fstat(&self.inodes.get(inode.0)?)?;
            Ok((stat, self.memory.keep(inode.0, &stat)))
        });
        answer_attributes(result, reply);
    }

    fn setattr(
        &self,
        request: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _changed: Option<SystemTime>,
        handle: Option<FileHandle>,
        _created: Option<SystemTime>,
        _changed_too: Option<SystemTime>,
        _backed_up: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let op = if size.is_some() { Op::Truncate } else { Op::Setattr };
        let range = (size.unwrap_or(0), 0);
        let result = self.serve_range(request, op, Subject::Inode(inode), range, |caller, _| {
            let fd = self.inodes.get(inode.0)?;
            if self.copies.are_kept() && fstat(&fd)?.st_nlink == 0 {
                return Err(Errno::ESTALE);
            }
            if mode.is_some() || uid.is_some() || gid.is_some() {
                self.backing.change_attributes(caller, fd.as_fd(), mode, (uid, gid))?;
            }
            if let Some(size) = size {
                self.copies.drop_of(inode.0);
                let open = handle.map(|handle| self.opened(handle)).transpose()?;
                self.backing.truncate(caller, fd.as_fd(), open.as_deref(), size)?;
            }
            if accessed.is_some() || modified.is_some() {
                Backing::set_times(fd.as_fd(), time_to_set(accessed), time_to_set(modified))?;
            }
            let stat = fstat(&fd)?;
            Ok((stat, self.memory.keep(inode.0, &stat)))
        });
        answer_attributes(result, reply);
    }

    fn readlink(&self, request: &Request, inode: INodeNo, reply: ReplyData) {
        let result = self.serve(request, Op::Readlink, Subject::Inode(inode), |_| {
            Backing::read_link(self.inodes.get(inode.0)?.as_fd())
        });
        match result {
            Ok(target) => reply.data(target.as_encoded_bytes()),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let new = New::Special { mode, device: u64::from(rdev) };
        self.make(request, Op::Mknod, parent, name, new, reply);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        self.make(request, Op::Mkdir, parent, name, New::Directory { mode }, reply);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        self.make(request, Op::Symlink, parent, name, New::Symlink { target }, reply);
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove(request, Op::Unlink, parent, name, reply);
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove(request, Op::Rmdir, parent, name, reply);
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let result = self.serve(request, Op::Rename, Subject::Rename(name, new_name), |caller| {
            // Nor does Lustre know RENAME_NOREPLACE.
            if flags != RenameFlags::empty() {
                return Err(Errno::EINVAL);
            }
            let (from, to) = (self.inodes.get(parent.0)?, self.inodes.get(new_parent.0)?);
            self.backing
                .rename(caller, (from.as_fd(), name), (to.as_fd(), new_name))
                .inspect(|()| self.memory.forget_all())
        });
        answer_empty(result, reply);
    }

    fn link(&self, request: &Request, inode: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let result = self.serve(request, Op::Link, Subject::Name(name), |caller| {
            let (inode, parent) = (self.inodes.get(inode.0)?, self.inodes.get(parent.0)?);
            self.backing
                .link(caller, inode.as_fd(), parent.as_fd(), name)
                .inspect(|_| self.memory.forget_all())
        });
        self.answer_entry(result, reply);
    }

    fn open(&self, request: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let result = self.serve(request, Op::Open, Subject::Inode(inode), |_| {
            self.backing.open(self.inodes.get(inode.0)?.as_fd(), flags.0)
        });
        match result {
            Ok(open) => reply.opened(FileHandle(self.files.put(open)), self.file_flags()),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let result = self.serve(request, Op::Create, Subject::Name(name), |caller| {
            self.backing
                .create(caller, self.inodes.get(parent.0)?.as_fd(), name, mode, flags)
                .inspect(|_| self.memory.forget_all())
        });
        match result {
            Ok((found, open)) => {
                let attributes = attributes(&found.stat);
                self.inodes.remember(found.stat.st_ino, found.fd);
                let handle = FileHandle(self.files.put(open));
                reply.created(&self.cache.timeout(), &attributes, Generation(0), handle, self.file_flags());
            }
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn read(
        &self,
        request: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let range = (offset, size as usize);
        let result = self.serve_range(request, Op::Read, Subject::Inode(inode), range, |_, length| {
            let open = self.opened(handle)?;
            self.copies.read(inode.0, (offset, length), |offset, length| Backing::read(&open, offset, length))
        });
        match result {
            Ok(data) => reply.data(&data),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn write(
        &self,
        request: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let range = (offset, data.len());
        let result = self.serve_range(request, Op::Write, Subject::Inode(inode), range, |caller, length| {
            let count = self.backing.write(caller, &*self.opened(handle)?, offset, &data[..length]);
            self.memory.forget(inode.0);
            self.copies.drop_of(inode.0);
            count
        });
        match result {
            Ok(count) => reply.written(u32::try_from(count).unwrap_or(u32::MAX)),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn fallocate(
        &self,
        request: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        // Elsewhere it is unknown, as on most such file systems.
        if !self.copies.are_kept() {
            return reply.error(fuser::Errno::ENOSYS);
        }
        let result = self.serve(request, Op::Fallocate, Subject::Inode(inode), |_| {
            self.copies.drop_of(inode.0);
            let range = (i64::try_from(offset), i64::try_from(length));
            let (Ok(offset), Ok(length)) = range else { return Err(Errno::EFBIG) };
            let mode = FallocateFlags::from_bits_truncate(mode);
            fallocate(&self.opened(handle)?.file, mode, offset, length)
        });
        answer_empty(result, reply);
    }

    /// Nothing is held back until a file is closed, and nobody should wait for us there: a test process that
    /// ends with files open here would wait for itself.
    fn flush(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn release(
        &self,
        request: &Request,
        inode: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let result = self.serve(request, Op::Release, Subject::Inode(inode), |_| Ok(()));
        self.files.close(handle.0);
        answer_empty(result, reply);
    }

    fn fsync(
        &self,
        request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        self.sync(request, Op::Fsync, inode, reply);
    }

    fn fsyncdir(
        &self,
        request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        self.sync(request, Op::Fsyncdir, inode, reply);
    }

    fn opendir(&self, request: &Request, inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let result = self.serve(request, Op::Opendir, Subject::Inode(inode), |_| self.inodes.get(inode.0));
        let flags = match self.cache {
            Cache::Coherent => FopenFlags::empty(),
            // The kernel asks whether the directory has changed, and may answer that from its cache.
            Cache::Reopened(_) | Cache::Cached(_) | Cache::Copied(_) => {
                FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE
            }
        };
        match result {
            Ok(_) => reply.opened(FileHandle(self.directories.put(Mutex::default())), flags),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn readdir(
        &self,
        request: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let result = self.serve(request, Op::Readdir, Subject::Inode(inode), |_| {
            let directory = self.directories.get(handle.0)?;
            let mut listing = directory.lock().unwrap_or_else(PoisonError::into_inner);
            // One look at the directory for all the requests it takes to tell what is in it.
            if offset == 0 {
                *listing = self.list(inode)?;
            }
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            for (index, (name, number, kind)) in listing.iter().enumerate().skip(from) {
                if reply.add(INodeNo(*number), index as u64 + 1, *kind, name) {
                    break;
                }
            }
            Ok(())
        });
        match result {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn releasedir(
        &self,
        _request: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.directories.close(handle.0);
        reply.ok();
    }

    fn statfs(&self, request: &Request, inode: INodeNo, reply: ReplyStatfs) {
        let result =
            self.serve(request, Op::Statfs, Subject::Inode(inode), |_| fstatvfs(&self.inodes.get(inode.0)?));
        match result {
            Ok(stat) => reply.statfs(
                stat.blocks(),
                stat.blocks_free(),
                stat.blocks_available(),
                stat.files(),
                stat.files_free(),
                u32::try_from(stat.block_size()).unwrap_or(4096),
                u32::try_from(stat.name_max()).unwrap_or(255),
                u32::try_from(stat.fragment_size()).unwrap_or(4096),
            ),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn getlk(
        &self,
        request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        _owner: LockOwner,
        _start: u64,
        _end: u64,
        _kind: i32,
        _pid: u32,
        reply: ReplyLock,
    ) {
        reply.error(refusal(self.refuse_lock(request, inode)));
    }

    fn setlk(
        &self,
        request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        _owner: LockOwner,
        _start: u64,
        _end: u64,
        _kind: i32,
        _pid: u32,
        _sleep: bool,
        reply: ReplyEmpty,
    ) {
        reply.error(refusal(self.refuse_lock(request, inode)));
    }
}
