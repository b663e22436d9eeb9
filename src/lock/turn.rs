//! A tenure of the token lock, step by step. The order of the steps is the protocol: each of them changed gives a
//! counterexample in the model (`tests/rust/lock_model.rs`).

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::elsewhere::{Elsewhere, Nobody};
use super::errors::refused;
use super::kept::Connected;
use super::place::Place;
use super::tenure::{Access, Hold, Tenure};
use super::token::{Acquired, Answer, Count, Flags, Held, Request};
use super::wait::Wait;
use crate::clock;
use crate::error::{Error, Result};
use crate::mutation;
use crate::notices;
use crate::scratch;
use crate::storage::fence::{self, Fenced, Source};
use crate::storage::fresh;
use crate::storage::vfs::bytes::is_cold;
use crate::storage::vfs::guard::{Cover, Files, Guard};
use crate::storage::{connection, guarded, journal};

/// Between two renewals while this process waits for a stopped writer's lease to end.
const SLICE: Duration = Duration::from_millis(20);

/// One tenure that has the token.
pub(super) struct Turn<'a> {
    place: &'a Place,
    held: Arc<Mutex<Held>>,
    taken_over: bool,
    /// Files of batches that stood beside the token.
    batches: Vec<String>,
    /// This tenure has renewed the token with W after it opened its files: they belong to it, and it may write.
    writing: Arc<AtomicBool>,
    /// Pages may be half-written, or a writer is not fenced off: the token must not be released like that.
    unfinished: bool,
    connected: Option<Connected>,
}

/// What came of asking for the token.
pub(super) enum Began<'a> {
    Turn(Turn<'a>),
    /// The work was done elsewhere.
    Done,
    /// There is no token here.
    NotSealed,
}

/// What the files of a connection know of its tenure.
struct Lease {
    held: Arc<Mutex<Held>>,
    /// It may begin to write. One that only reads does so while it recovers.
    writes: bool,
    writing: Arc<AtomicBool>,
}

impl Cover for Lease {
    fn keep(&mut self) -> bool {
        lock(&self.held).keep().is_ok()
    }

    fn may_write(&self) -> bool {
        (self.writes || self.writing.load(Ordering::Relaxed)) && !lock(&self.held).is_lost()
    }

    fn has_shown(&self) -> bool {
        self.writing.load(Ordering::Relaxed) && !lock(&self.held).is_lost()
    }

    fn show(&mut self) -> bool {
        let shown = mutation::off("show-before-writing") || show(&mut lock(&self.held), true).is_ok();
        self.writing.store(shown, Ordering::Relaxed);
        shown
    }
}

/// Says in the token's name that its holder is `writing`, or that it is not.
fn show(held: &mut Held, writing: bool) -> Result<()> {
    held.renew(Flags { half_written: writing, ..held.flags() }, held.count())
}

/// Never contended: a tenure is one thread's.
fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Turn<'a> {
    /// Takes the token; `None` where the store is not sealed.
    pub(super) fn begin(place: &'a Place, wait: &mut Wait<'_>) -> Result<Option<Self>> {
        Self::begin_with(place, wait, false)
    }

    /// The same, from whoever holds it with `by_force`.
    pub(super) fn begin_with(place: &'a Place, wait: &mut Wait<'_>, by_force: bool) -> Result<Option<Self>> {
        match Self::ask(place, wait, by_force, &Nobody)? {
            Began::Turn(turn) => Ok(Some(turn)),
            Began::Done | Began::NotSealed => Ok(None),
        }
    }

    /// Takes the token, unless the work that it is wanted for is done `elsewhere` first.
    pub(super) fn begin_unless_done(
        place: &'a Place,
        wait: &mut Wait<'_>,
        elsewhere: &dyn Elsewhere,
    ) -> Result<Began<'a>> {
        Self::ask(place, wait, false, elsewhere)
    }

    fn ask(
        place: &'a Place,
        wait: &mut Wait<'_>,
        by_force: bool,
        elsewhere: &dyn Elsewhere,
    ) -> Result<Began<'a>> {
        let directory = place.directory();
        let Acquired { held, taken_over, batches } =
            match (Request { directory: &directory, by_force, elsewhere }).acquire(wait)? {
                Answer::Acquired(acquired) => *acquired,
                Answer::Done => return Ok(Began::Done),
                Answer::NoDirectory => return Ok(Began::NotSealed),
            };
        let unfinished = !held.flags().none();
        mutation::reached("enter");
        Ok(Began::Turn(Self {
            place,
            held: Arc::new(Mutex::new(held)),
            taken_over,
            batches,
            writing: Arc::default(),
            unfinished,
            connected: None,
        }))
    }

    /// Opens, fences and recovers as far as needed, then does `work`, then releases.
    pub(super) fn run<T>(
        mut self,
        access: Access,
        wait: &mut Wait<'_>,
        work: &mut dyn FnMut(&Tenure<'_>) -> Result<T>,
    ) -> Result<T> {
        let outcome = self.prepare(access, wait).and_then(|()| {
            let connected = self.connected.as_ref().ok_or_else(|| self.lost())?;
            let hold = Hold::Token { held: &self.held, taken_over: self.taken_over, batches: &self.batches };
            work(&Tenure { connection: &connected.connection, hold })
        });
        self.leave(outcome)
    }

    /// Does `work`, which puts another database at the path.
    pub(super) fn replace<T>(mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let outcome = self.revoke().and_then(|()| work());
        if outcome.is_ok() {
            // Whatever others have open is not what is there now, and needs neither fence nor recovery.
            let count = lock(&self.held).count().next_fence();
            self.renew(Flags::default(), count)?;
            self.unfinished = false;
        }
        self.release(outcome)
    }

    /// Replaces the database by the one at `backup`, as a fence would replace it by its copy.
    pub(super) fn restore(mut self, backup: &std::path::Path, wait: &Wait<'_>) -> Result<()> {
        let outcome = self.revoke().and_then(|()| {
            let journal_first = !self.settle(wait)?;
            // Under the same name readers would believe that nothing has changed.
            self.renew_writing(true)?;
            match self.replace_files(Source::File { backup, journal_first })? {
                Fenced::Replaced(..) => {}
                Fenced::Refused(why) => {
                    let path = self.place.db_path.clone();
                    return Err(Error::CannotReplace { path, why });
                }
            }
            let count = lock(&self.held).count().next_fence();
            self.renew(Flags::default(), count)?;
            self.unfinished = false;
            Ok(())
        });
        self.release(outcome)
    }

    /// Rolls back what a dead writer left. Beside a backup its journal would be rolled back into that, if this process
    /// died before it had replaced the journal, too. `false` where SQLite cannot.
    fn settle(&mut self, wait: &Wait<'_>) -> Result<bool> {
        let settled = lock(&self.held).flags().none() && !journal::is_hot(&self.place.db_path);
        if settled || mutation::off("settle-before-restore") {
            return Ok(true);
        }
        let prepared = self.prepare(Access::Read, wait);
        let ended = self.connected.take().is_none_or(|connected| connected.guard.end());
        match prepared {
            Ok(()) => Ok(ended),
            // Damaged, which is why it is replaced.
            Err(Error::Sqlite { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The last tenure of the token lock: leaves the store whole and open to the other protocol.
    pub(super) fn unseal(mut self, wait: &Wait<'_>) -> Result<()> {
        // Written or not, the journal is removed.
        let outcome = self.prepare(Access::Write, wait).and_then(|()| self.renew_writing(true));
        let finished = outcome.is_ok() && self.connected.take().is_none_or(|connected| connected.guard.end());
        if !finished {
            self.unfinished = true;
            return self.release(outcome);
        }
        // Left behind, an empty journal of another user keeps originals out of sticky directories.
        let outcome = journal::remove(&self.place.db_path).map_err(|error| match error {
            Error::Io { source, .. } => {
                refused(&self.place.lock_path(), "removing the journal beside it", source)
            }
            other => other,
        });
        let (directory, generation) = (self.place.directory(), lock(&self.held).count().generation);
        let outcome = outcome.and_then(|()| directory.announce_end(generation));
        let outcome = outcome.and_then(|()| self.nothing_handed_over());
        let kept = outcome.and_then(|()| lock(&self.held).keep());
        mutation::reached("leave");
        match kept.and_then(|()| directory.remove()) {
            Ok(()) => Ok(()),
            // The store stays as it was, sealed and whole.
            refused => {
                directory.withdraw_end(generation);
                self.release(refused)
            }
        }
    }

    /// Batches that were handed over for good must be in the store before their directory goes away. Looked for after
    /// that was announced: whoever puts a file there looks for the announcement after it.
    fn nothing_handed_over(&self) -> Result<()> {
        let scan = self.place.directory().scan()?;
        let batches = scan.map_or_else(Vec::new, |scan| scan.batches);
        let Some(name) = batches.iter().find(|name| name.starts_with(scratch::KEPT)) else { return Ok(()) };
        let why = format!(
            "records that were handed over are not in the store yet; if {} cannot be read, move it away",
            self.place.lock_path().join(name).display()
        );
        Err(Error::Busy { path: self.place.db_path.clone(), why })
    }

    fn prepare(&mut self, access: Access, wait: &Wait<'_>) -> Result<()> {
        self.revoke()?;
        let path = &self.place.db_path;
        let Count { fence, .. } = lock(&self.held).count();
        // A taker opens by path even under an equal number: a dead predecessor may have given another file the name
        // without living to raise the number. (With D the fence opens by path in any case: this is for a restore.)
        let kept = if self.taken_over && !mutation::off("taker-reopens") {
            None
        } else if access == Access::Write {
            self.place.kept.take_to_write(fence)
        } else {
            self.place.kept.take(fence)
        };
        let flags = lock(&self.held).flags();
        let writes = access == Access::Write || !flags.none();
        if kept.is_none() && !self.place.coherent {
            fresh::look(path)?;
        }
        let (mut connected, mut files, mut journal) = (None, None, None);
        match kept {
            Some(kept) => {
                journal = match kept.guard.take_journal() {
                    None => kept.guard.with_database(|database| journal::open(path, database, writes))?,
                    there => there,
                };
                connected = Some(kept);
            }
            None => files = Some(guarded::open_files(path, writes)?),
        }
        if flags.must_fence {
            // Opened anew also after a refusal: the database may have been replaced and only its journal refused.
            let fenced = self.fence(wait)?.map_or_else(|| guarded::open_files(path, writes), Ok)?;
            (connected, files, journal) = (None, Some(fenced), None);
        }
        if let Some(files) = &mut files {
            journal = files.journal.take();
        }
        // A file server that lost its latest renames may show a free token beside a hot journal.
        let cold = journal.as_ref().map_or(Ok(true), is_cold);
        self.unfinished |= !cold.map_err(Error::io(path, "reading the journal of"))?;
        let recovers = !flags.none() || self.unfinished;
        if recovers {
            self.renew_writing(true)?;
        }
        // Without a recovery W is set by the first byte that is written: readers without the lock accept a token that is
        // held and says nothing of writing, and who finds that there is nothing to write never sends them away.
        self.open(connected, files, journal, access)?;
        if recovers {
            self.recover()?;
            self.unfinished = false;
        }
        if recovers && access == Access::Read {
            self.renew_writing(false)?;
        }
        Ok(())
    }

    /// Removes the copies of earlier holders, so that none of them can become the database any more, and what they have
    /// announced.
    fn revoke(&self) -> Result<()> {
        if !self.taken_over {
            return Ok(());
        }
        fence::revoke(&self.place.db_path)?;
        let generation = lock(&self.held).count().generation;
        self.place.directory().withdraw_older_ends(generation)
    }

    /// Shuts out whoever held the token before and may still live. Answers the new files; `None` if the old ones stay.
    fn fence(&mut self, wait: &Wait<'_>) -> Result<Option<Files>> {
        let fenced = self.replace_files(Source::Live)?;
        let path = self.place.db_path.display();
        let files = match fenced {
            Fenced::Replaced(files, complaint) => {
                if let Some(complaint) = complaint {
                    notices::put(format!(
                        "{path}: after a holder was taken over, SQLite complains: {complaint}"
                    ));
                }
                Some(files)
            }
            Fenced::Refused(why) => {
                self.outwait(wait)?;
                notices::put(format!(
                    "{path}: a silent holder was taken over without a fence, because the database cannot be replaced \
                     here ({why}); had it only been stopped, it may damage the store when it goes on: run \
                     tirastore verify"
                ));
                None
            }
        };
        // Raised in either case: connections that others keep may be of either file. Their inodes tell it, too.
        let count = lock(&self.held).count();
        let count = if mutation::off("raise-fence-number") { count } else { count.next_fence() };
        let half_written = lock(&self.held).flags().half_written;
        self.renew(Flags { half_written, must_fence: false }, count)?;
        Ok(files)
    }

    fn replace_files(&self, source: Source<'_>) -> Result<Fenced> {
        let generation = lock(&self.held).count().generation;
        fence::replace(&self.place.db_path, generation, source, &mut || lock(&self.held).keep())
    }

    /// Lets a second takeover time pass: what a stopped writer had on its way has arrived by then.
    fn outwait(&self, wait: &Wait<'_>) -> Result<()> {
        let until = clock::since_boot() + lock(&self.held).takeover();
        while clock::since_boot() < until {
            wait.check()?;
            lock(&self.held).keep()?;
            thread::sleep(SLICE);
        }
        Ok(())
    }

    fn renew_writing(&mut self, writing: bool) -> Result<()> {
        show(&mut lock(&self.held), writing)?;
        self.writing.store(writing, Ordering::Relaxed);
        Ok(())
    }

    fn renew(&mut self, flags: Flags, count: Count) -> Result<()> {
        lock(&self.held).renew(flags, count)
    }

    /// Ties a connection to this tenure.
    fn open(
        &mut self,
        kept: Option<Connected>,
        files: Option<Files>,
        journal: Option<File>,
        access: Access,
    ) -> Result<()> {
        let path = &self.place.db_path;
        let (held, writing) = (Arc::clone(&self.held), Arc::clone(&self.writing));
        let lease = Box::new(Lease { held, writes: access == Access::Write, writing });
        let fence = lock(&self.held).count().fence;
        match (kept, files) {
            (Some(kept), _) => {
                kept.guard.begin(lease, journal);
                self.connected = Some(kept);
            }
            (None, Some(files)) => {
                let guard = Guard::new(path, files);
                guard.begin(lease, journal);
                let connection = guarded::open(path, &guard);
                let connection = connection.map_err(|error| explain(&guard, error));
                let connected = Connected::new(connection?, guard, fence);
                let set_up = guarded::set_up(&connected.connection, path);
                self.connected = Some(connected);
                set_up?;
            }
            (None, None) => return Err(self.lost()),
        }
        Ok(())
    }

    /// Lets SQLite roll back what a dead writer left: it does so on the way to its first look.
    fn recover(&self) -> Result<()> {
        let Some(connected) = &self.connected else { return Err(self.lost()) };
        connection::look(&connected.connection, &self.place.db_path)
    }

    /// The end of every tenure that had a connection.
    fn leave<T>(mut self, outcome: Result<T>) -> Result<T> {
        let Some(connected) = self.connected.take() else { return self.release(outcome) };
        let outcome = outcome.map_err(|error| explain(&connected.guard, error));
        let idle = connected.connection.is_autocommit();
        let clean = connected.guard.end() && idle;
        let poisoned = connected.guard.is_poisoned();
        self.unfinished |= !clean;
        if poisoned || self.unfinished || !self.place.coherent {
            // Closed before the release: on a file system that is not coherent no page may be kept, and no descriptor
            // of a tenure that has failed may live on.
            drop(connected);
            return self.release(outcome);
        }
        let keep = outcome.is_ok();
        let place = self.place;
        let released = self.release(outcome)?;
        if keep {
            place.kept.put(connected);
        }
        Ok(released)
    }

    fn release<T>(self, outcome: Result<T>) -> Result<T> {
        let lost = self.lost();
        mutation::reached("leave");
        if lock(&self.held).is_lost() {
            return Err(lost);
        }
        if self.unfinished && !mutation::off("never-release-unfinished") {
            // Whoever comes next recovers, and fences: what of this tenure is still on its way is not known.
            let count = lock(&self.held).count();
            let renewed = lock(&self.held).renew(Flags { half_written: true, must_fence: true }, count);
            // Whoever took over has removed this tenure's copies: then that is why it failed, whatever the error says.
            let taken = matches!(renewed, Err(Error::LockLost { .. }));
            return if taken { Err(lost) } else { outcome.and(Err(lost)) };
        }
        let Ok(held) = Arc::try_unwrap(self.held) else { return Err(lost) };
        let held = held.into_inner().unwrap_or_else(PoisonError::into_inner);
        let released = held.release();
        // Without a release the transaction was committed, or not: nobody knows until it is asked for.
        outcome.and_then(|value| released.map(|()| value))
    }

    fn lost(&self) -> Error {
        Error::LockLost { path: self.place.lock_path() }
    }
}

/// The system's own error where SQLite only knows that there was one; a database that was replaced is a lost tenure.
fn explain(guard: &Guard, error: Error) -> Error {
    let failure = guard.take_failure();
    match (error, failure) {
        (Error::Sqlite { path, source, .. }, _) if guarded::was_replaced(&source) => Error::LockLost { path },
        (Error::Sqlite { path, action, .. }, Some(source)) if !mutation::off("name-the-error") => {
            Error::Io { path, action, source }
        }
        (error, _) => error,
    }
}
