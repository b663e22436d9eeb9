//! What a connection's files ask before they touch the disk: is this process still inside?

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bytes::{is_cold, read_at, write_at};
use super::pending::Pending;
use crate::mutation;

/// The tenure that covers a connection, as far as its files need to know it.
pub(crate) trait Cover: Send {
    /// Renews the lease if it is older than it may be. `false`: the lock is lost, nothing may be touched any more.
    fn keep(&mut self) -> bool;

    /// Is it a tenure that writes?
    fn may_write(&self) -> bool;

    /// Has it shown, after it opened its files, that it is inside and writes?
    fn has_shown(&self) -> bool;

    /// Shows it. `false`: the lock is lost, or the tenure does not write.
    fn show(&mut self) -> bool;
}

/// The database file and its journal, opened by path at one moment.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) database: File,
    /// `None` where there is none, and nothing will be written.
    pub(crate) journal: Option<File>,
}

/// One connection's files, its tenure, and what went wrong.
pub(crate) struct Guard {
    path: PathBuf,
    identity: (u64, u64),
    state: Mutex<State>,
}

struct State {
    database: File,
    journal: Option<File>,
    /// The journal between two tenures.
    resting: Option<File>,
    /// The database's size, for a reader who knows that nobody has written since it asked.
    size: Option<u64>,
    /// What a reader without the lock has just read, for SQLite's next question whether its pages still hold.
    version: Option<Version>,
    /// The running transaction has begun a journal, so that it may begin it again.
    own_header: bool,
    /// What the running transaction has written into the journal so far, from its beginning on: SQLite writes it long
    /// before it needs it on the disk, and readers without the lock are sent away from the first byte on.
    pending: Option<Pending>,
    cover: Option<Box<dyn Cover>>,
    poisoned: bool,
    failure: Option<io::Error>,
}

/// The part of the header that SQLite compares: the change counter and what follows.
type Version = [u8; 16];
const VERSION_AT: usize = 24;

thread_local! {
    /// The connection of this thread's tenure. A thread has one at a time.
    static ACTIVE: RefCell<Option<Arc<Guard>>> = const { RefCell::new(None) };
}

/// Bytes of a journal's header that say what is in it.
const JOURNAL_HEADER: usize = 28;

/// The connection of this thread's tenure.
pub(super) fn active() -> Option<Arc<Guard>> {
    ACTIVE.with_borrow(Clone::clone)
}

/// What a file wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    Read,
    Write,
}

/// Refused: the tenure is over, or never began.
#[derive(Debug)]
pub(super) struct Refused;

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Database,
    Journal,
}

impl Guard {
    pub(crate) fn new(path: &Path, files: Files) -> Arc<Self> {
        let Files { database, journal } = files;
        let identity = database.metadata().map_or((0, 0), |metadata| identity_of(&metadata));
        let state = State {
            database,
            journal,
            resting: None,
            size: None,
            version: None,
            own_header: false,
            pending: None,
            cover: None,
            poisoned: false,
            failure: None,
        };
        Arc::new(Self { path: path.to_path_buf(), identity, state: Mutex::new(state) })
    }

    /// Never contended: a connection is used by one thread at a time.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on the files belong to a tenure of this thread, with the journal that it opened.
    pub(crate) fn begin(self: &Arc<Self>, cover: Box<dyn Cover>, journal: Option<File>) {
        ACTIVE.set(Some(Arc::clone(self)));
        let mut state = self.state();
        state.cover = Some(cover);
        state.journal = journal;
        state.own_header = false;
        (state.pending, state.version) = (None, None);
        state.failure = None;
    }

    /// The journal that the last tenure had open, if it is still the one beside the database. Within one fence number
    /// nobody puts another one there without removing this one.
    pub(crate) fn take_journal(&self) -> Option<File> {
        let resting = self.state().resting.take()?;
        let stands = resting.metadata().is_ok_and(|metadata| metadata.nlink() > 0);
        (stands || mutation::off("same-journal")).then_some(resting)
    }

    /// The tenure's last look at its files: `true` if no transaction is unfinished, so that the lock may be released.
    pub(crate) fn end(&self) -> bool {
        ACTIVE.set(None);
        let mut state = self.state();
        (state.cover, state.pending) = (None, None);
        state.resting = state.journal.take();
        let clean = state.resting.as_ref().is_none_or(|journal| is_cold(journal).unwrap_or(false));
        clean && !state.poisoned
    }

    /// The system's own error behind SQLite's last one.
    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.state().failure.take()
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.state().poisoned
    }

    /// Called by long computations that touch no file: keeps the lease.
    pub(crate) fn keep(&self) -> bool {
        self.state().check(Touch::Read).is_ok()
    }

    /// Does `work` to the database's descriptor, for what is not reading or writing.
    pub(crate) fn with_database<T>(&self, work: impl FnOnce(&File) -> T) -> T {
        work(&self.state().database)
    }

    /// The first bytes of the database file.
    pub(crate) fn header(&self) -> io::Result<[u8; 100]> {
        let mut header = [0; 100];
        let mut state = self.state();
        state.version = None;
        state.database.read_exact_at(&mut header, 0)?;
        Ok(header)
    }

    /// The same, and SQLite does not ask for its part of it again. For a reader who looks at the header once more when
    /// it has read, and believes nothing if it has changed.
    pub(crate) fn header_before_reading(&self) -> io::Result<[u8; 100]> {
        let header = self.header()?;
        self.state().version = header[VERSION_AT..].first_chunk().copied();
        Ok(header)
    }

    /// Device and inode of the database file.
    pub(crate) fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Does the path lead to another file by now?
    pub(crate) fn has_moved(&self) -> bool {
        let there = std::fs::metadata(&self.path).map(|metadata| identity_of(&metadata));
        there.ok() != Some(self.identity) && !mutation::off("same-file")
    }

    /// The size of the database file. Of a reader without the lock: as it was when it first asked.
    pub(super) fn size(&self) -> Result<u64, Failure> {
        let known = Some(&*self.state()).filter(|state| state.cover.is_none()).and_then(|state| state.size);
        if let Some(size) = known {
            return Ok(size);
        }
        let size =
            self.touch(Which::Database, Touch::Read, |file| file.metadata().map(|metadata| metadata.len()))?;
        self.state().size = Some(size);
        Ok(size)
    }

    /// Somebody may have written: the size is to be asked again.
    pub(crate) fn forget_size(&self) {
        self.state().size = None;
    }

    /// May a dead writer's journal be rolled back by this connection?
    pub(super) fn may_recover(&self) -> bool {
        let state = self.state();
        !state.poisoned && state.cover.as_ref().is_some_and(|cover| cover.has_shown())
    }

    /// May this connection begin to write?
    pub(super) fn may_write(&self) -> bool {
        let state = self.state();
        !state.poisoned && state.cover.as_ref().is_some_and(|cover| cover.may_write())
    }

    pub(super) fn has_journal(&self) -> bool {
        self.state().journal.is_some()
    }

    /// Does `work` to one of the files, if the tenure still covers it.
    pub(super) fn touch<T>(
        &self,
        which: Which,
        touch: Touch,
        work: impl FnOnce(&File) -> io::Result<T>,
    ) -> Result<T, Failure> {
        let mut state = self.state();
        if touch == Touch::Write {
            // The journal comes before everything else.
            state.write_pending()?;
        }
        state.touch(which, touch, work)
    }

    /// Reads from one of the files; answers how many bytes there were.
    pub(super) fn read(&self, which: Which, buffer: &mut [u8], offset: u64) -> Result<usize, Failure> {
        let mut state = self.state();
        if (which, offset, buffer.len()) == (Which::Database, VERSION_AT as u64, size_of::<Version>())
            && let Some(version) = state.version.take()
        {
            buffer.copy_from_slice(&version);
            return Ok(buffer.len());
        }
        let there = state.touch(which, Touch::Read, |file| read_at(file, buffer, offset))?;
        let pending = state.pending.as_ref().filter(|_| which == Which::Journal);
        Ok(pending.map_or(there, |pending| pending.overlay(buffer, offset, there)))
    }

    pub(super) fn journal_size(&self) -> Result<u64, Failure> {
        let mut state = self.state();
        let size = state.touch(Which::Journal, Touch::Read, |file| Ok(file.metadata()?.len()))?;
        Ok(state.pending.as_ref().map_or(size, |pending| size.max(pending.bytes().len() as u64)))
    }

    /// Makes durable what was written. The size is synced with the data; the names of both files are older than the
    /// tenure.
    pub(super) fn sync(&self, which: Which) -> Result<(), Failure> {
        let wrote = {
            let state = self.state();
            state.pending.is_some() || state.cover.as_ref().is_some_and(|cover| cover.has_shown())
        };
        if wrote { self.touch(which, Touch::Write, File::sync_data) } else { Ok(()) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the transaction whose journal this is, durably.
    pub(super) fn end_journal(&self) -> Result<(), Failure> {
        self.write_journal(&[0; JOURNAL_HEADER], 0)?;
        self.sync(Which::Journal)
    }

    /// Writes into the journal. Its header is refused over that of a dead writer's journal, which nobody has rolled
    /// back yet: the database's only way back would be gone.
    pub(super) fn write_journal(&self, bytes: &[u8], offset: u64) -> Result<(), Failure> {
        let mut state = self.state();
        // SQLite begins a journal with a whole sector, and ends it, rolled back or committed, with a few zeroes.
        if offset == 0 && bytes.len() > JOURNAL_HEADER {
            let cold = state.journal.as_ref().is_some_and(|journal| is_cold(journal).unwrap_or(false));
            if !state.own_header && !cold && !mutation::off("keep-foreign-journal") {
                return Err(Failure::Refused);
            }
            state.own_header = true;
            state.pending = Some(Pending::default());
        } else if offset == 0 && bytes.first() == Some(&0) {
            state.own_header = false;
            if state.pending.take().is_some_and(|pending| !pending.begun) {
                // Rolled back before anything of it was on the disk.
                return Ok(());
            }
        }
        if state.append_pending(bytes, offset)? {
            return Ok(());
        }
        state.write_pending()?;
        state.touch(Which::Journal, Touch::Write, |file| write_at(file, bytes, offset))
    }
}

fn identity_of(metadata: &std::fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl State {
    fn touch<T>(
        &mut self,
        which: Which,
        touch: Touch,
        work: impl FnOnce(&File) -> io::Result<T>,
    ) -> Result<T, Failure> {
        self.check(touch).map_err(|Refused| Failure::Refused)?;
        let file = match which {
            Which::Database => Some(&self.database),
            Which::Journal => self.journal.as_ref(),
        };
        let file = file.ok_or(Failure::Refused)?;
        if touch == Touch::Write {
            mutation::reached("file-change");
        }
        let outcome = work(file);
        if touch == Touch::Write {
            mutation::reached("file-changed");
        }
        outcome.map_err(|error| {
            let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            self.failure = Some(error);
            if full { Failure::Full } else { Failure::Disk }
        })
    }

    /// Keeps `bytes` of the journal in memory. `false` where they are to be written at once.
    fn append_pending(&mut self, bytes: &[u8], offset: u64) -> Result<bool, Failure> {
        let kept = self.pending.as_mut().is_some_and(|pending| pending.keep(bytes, offset));
        if kept {
            self.check(Touch::Read).map_err(|Refused| Failure::Refused)?;
        }
        Ok(kept)
    }

    /// Writes what was kept of the journal. What could not be written is kept: a rollback reads it.
    fn write_pending(&mut self) -> Result<(), Failure> {
        let Some(mut pending) = self.pending.take() else { return Ok(()) };
        let written = self.touch(Which::Journal, Touch::Write, |file| {
            pending.begun = true;
            write_at(file, pending.bytes(), 0)
        });
        if written.is_err() {
            self.pending = Some(pending);
        }
        written
    }

    fn check(&mut self, touch: Touch) -> Result<(), Refused> {
        if self.poisoned {
            return Err(Refused);
        }
        match (&mut self.cover, touch) {
            // A reader without the lock.
            (None, Touch::Read) => Ok(()),
            (None, Touch::Write) => Err(Refused),
            (Some(cover), touch) => {
                if touch == Touch::Write && !cover.may_write() {
                    return Err(Refused);
                }
                let inside =
                    if touch == Touch::Write && !cover.has_shown() { cover.show() } else { cover.keep() };
                if inside {
                    return Ok(());
                }
                self.poisoned = true;
                Err(Refused)
            }
        }
    }
}

/// Why a file operation did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    Refused,
    Full,
    Disk,
}
