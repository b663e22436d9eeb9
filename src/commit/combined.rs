//! One tenure for everybody who waits: a batch of this thread, and those of others with it.

use std::cell::{Cell, OnceCell};
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rand::RngExt;
use rusqlite::Connection;

use super::batch::{Batch, Row};
use super::bell::{Bell, Ringer};
use super::ids::Asking;
use super::keep::Kept;
use super::queue::{Asked, LARGEST_POST, Post, Queue};
use super::threads::Waiting;
use super::transaction::{in_transaction, is_refused_by_disk};
use super::{CommitCounts, Group};
use crate::error::{Error, Result};
use crate::lock::{self, Access, Elsewhere, Inside, Interrupt, Place, Tenure};
use crate::mutation;
use crate::storage::applied::{self, Known};
use crate::storage::connection;
use crate::storage::records::Recorder;

/// One in so many tenures looks for files that nobody has fetched.
const HOUSEKEEPING: u32 = 100;

/// Commits `rows`, or has them committed by whoever is inside. Answers how many rows were written.
///
/// # Errors
///
/// Those of the lock and of SQLite; after [`Error::OutcomeUnknown`] and [`Error::LockTimeout`] the batch may be in the
/// store, or come into it.
pub(crate) fn record(
    place: &Place,
    group: &Group,
    interrupt: &dyn Interrupt,
    recorder: Recorder,
    rows: Vec<Row>,
) -> Result<usize> {
    let asking = Asking::begin();
    let rows = rows.into_iter().map(Arc::new).collect();
    let batch = Batch { id: asking.next_batch(), recorder, rows };
    run(place, interrupt, &Request::new(place, group, Arc::new(batch)))
}

/// The same for a batch that may be in the store already, or stand beside the token among the files called `own`, which
/// come first.
///
/// # Errors
///
/// Those of [`record`].
pub(crate) fn record_buffered(
    place: &Place,
    group: &Group,
    interrupt: &dyn Interrupt,
    batch: &Arc<Batch>,
    own: Vec<String>,
) -> Result<usize> {
    let mut request = Request::new(place, group, Arc::clone(batch));
    (request.asks, request.own) = (true, own);
    run(place, interrupt, &request)
}

fn run(place: &Place, interrupt: &dyn Interrupt, request: &Request<'_>) -> Result<usize> {
    let counts = &request.group.counts;
    CommitCounts::add(&counts.bytes, request.size);
    let mut combined = Combined::default();
    let done = lock::run(place, Access::Write, interrupt, request, |tenure, repeated| {
        if let Some(answer) = request.waiting.answer() {
            // Another thread has committed it while this one came in.
            combined = Combined { mine: answer, ..Combined::default() };
            return Ok(());
        }
        request.may_be_known.set(request.may_be_known.get() || repeated);
        if !repeated {
            combined = Combined::of(request, tenure);
        }
        combined.commit(request, tenure)
    });
    match done {
        Ok(Some(())) => {
            combined.acknowledge(request);
            Ok(combined.mine)
        }
        Ok(None) => {
            CommitCounts::add(&counts.committed_by_others, 1);
            request.answer.get().ok_or_else(|| Error::OutcomeUnknown { path: place.lock_path() })
        }
        Err(Error::LockTimeout { path, waited, holder }) if request.may_be_there() => {
            let holder = format!("{holder}; the records were passed on and may still appear");
            Err(Error::LockTimeout { path, waited, holder })
        }
        Err(error) => Err(error),
    }
}

/// A batch that somebody else may commit while its thread waits.
struct Request<'a> {
    place: &'a Place,
    group: &'a Group,
    queue: Queue,
    /// Bytes of text in the batch.
    size: usize,
    waiting: Arc<Waiting>,
    listed: Cell<bool>,
    posted: Cell<bool>,
    /// It may have been in the store before.
    asks: bool,
    /// Files that this process has handed over, and that come before the batch.
    own: Vec<String>,
    /// Another process may have committed it, or an earlier try of this one.
    may_be_known: Cell<bool>,
    answer: Cell<Option<usize>>,
    bell: OnceCell<Bell>,
}

impl<'a> Request<'a> {
    fn new(place: &'a Place, group: &'a Group, batch: Arc<Batch>) -> Self {
        Self {
            place,
            group,
            queue: Queue::of(place),
            size: batch.size(),
            waiting: Waiting::new(batch),
            listed: Cell::new(false),
            posted: Cell::new(false),
            asks: false,
            own: Vec::new(),
            may_be_known: Cell::new(false),
            answer: Cell::new(None),
            bell: OnceCell::new(),
        }
    }

    /// Has it been where others may have committed it?
    fn may_be_there(&self) -> bool {
        self.may_be_known.get() || self.waiting.tried.load(Ordering::Relaxed)
    }

    fn batch(&self) -> &Batch {
        &self.waiting.batch
    }

    /// The answer of a batch all of which is new.
    fn all_rows(&self) -> i64 {
        i64::try_from(self.batch().rows.len()).unwrap_or(i64::MAX)
    }
}

impl Elsewhere for Request<'_> {
    fn is_done(&self, inside: Inside) -> Result<bool> {
        if self.size > LARGEST_POST || mutation::off("combine") {
            return Ok(false);
        }
        match inside {
            Inside::Thread => {
                if !self.listed.replace(true) {
                    self.group.threads.add(&self.waiting);
                }
                self.answer.set(self.waiting.answer());
            }
            Inside::Process => {
                if !self.may_be_known.replace(true) {
                    if let Some(bell) = Queue::bell(&self.batch().id) {
                        let _ = self.bell.set(bell);
                    }
                    self.posted.set(self.queue.post(self.batch()));
                    CommitCounts::add(&self.group.counts.posted, usize::from(self.posted.get()));
                    return Ok(false);
                }
                let id = &self.batch().id;
                if self.posted.get() && !self.queue.still_has(id) {
                    // The bell was rung before the post was removed.
                    let heard = self.bell.get().and_then(Bell::answer);
                    let answer = heard.or_else(|| self.queue.take_answer(id, self.all_rows()));
                    self.posted.set(false);
                    // Without one it was committed or not: the store knows, when this thread is inside.
                    self.answer.set(answer.and_then(|answer| usize::try_from(answer).ok()));
                }
            }
        }
        Ok(self.answer.get().is_some())
    }

    fn is_passed_on(&self) -> bool {
        self.posted.get()
    }

    fn was_answered(&self) -> bool {
        self.answer.get().is_some()
    }

    fn rest(&self, time: Duration) -> bool {
        let Some(bell) = self.bell.get() else {
            thread::sleep(time);
            return false;
        };
        if let Some(answer) = bell.wait(time) {
            self.answer.set(usize::try_from(answer).ok());
            self.posted.set(false);
        }
        self.was_answered()
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        if self.listed.get() {
            self.group.threads.remove(&self.waiting);
        }
        if self.posted.get() {
            self.queue.withdraw(&self.batch().id);
        }
    }
}

/// What one tenure commits.
#[derive(Default)]
struct Combined {
    mine: usize,
    kept: Kept,
    threads: Vec<(Arc<Waiting>, Beside)>,
    /// What others ask for, until it was looked at.
    asked: Vec<Asked>,
    posts: Vec<(Post, Beside)>,
    /// Posts that were committed before.
    known: Vec<(Asked, i64)>,
}

/// What became of a batch of somebody else.
#[derive(Clone, Copy)]
enum Beside {
    /// It failed here, or was not tried: its owner will see when it comes in.
    Left,
    /// It is in the store, and this is what its owner is told.
    Answer(i64),
    /// It can never get in. Its owner hears why when it comes in, if it lives.
    Refused,
}

impl Combined {
    /// Everything that waits. After a holder that has died inside, only what this thread came for: it may have been a
    /// post that ended it.
    fn of(request: &Request<'_>, tenure: &Tenure<'_>) -> Self {
        let kept = Kept::of(tenure, &request.own);
        if tenure.was_taken_over() || mutation::off("combine") {
            return Self { kept, ..Self::default() };
        }
        if crate::random::rng().random_ratio(1, HOUSEKEEPING) {
            request.queue.remove_forgotten(tenure.batches());
        }
        let threads = request.group.threads.take_others(&request.waiting);
        Self {
            mine: 0,
            kept,
            threads: threads.into_iter().map(|waiting| (waiting, Beside::Left)).collect(),
            asked: Queue::asked(tenure.batches(), &request.batch().id),
            ..Self::default()
        }
    }

    /// Reads what is asked for. Whoever was inside before may be answering still: what it has committed is not read.
    fn read(&mut self, request: &Request<'_>, connection: &Connection, path: &Path) -> Result<()> {
        let mut new = Vec::new();
        for asked in mem::take(&mut self.asked) {
            match applied::known(connection, path, &asked.id)? {
                Known::New => new.push(asked),
                Known::Committed(answer) => self.known.push((asked, answer)),
                // It must not come in late, over what its client has written since.
                Known::Past => request.queue.refuse(&asked.stem),
            }
        }
        self.posts.extend(request.queue.posts(new).into_iter().map(|post| (post, Beside::Left)));
        Ok(())
    }

    /// Commits everything; or what this thread came for alone, where the disk refuses everything: what somebody else
    /// wants to be written may be what there is no room for.
    fn commit(&mut self, request: &Request<'_>, tenure: &Tenure<'_>) -> Result<()> {
        match self.commit_all(request, tenure) {
            Err(error) if is_refused_by_disk(&error, tenure) && self.leave_others() => {
                self.commit_all(request, tenure)?;
            }
            outcome => outcome?,
        }
        if mutation::off("acknowledge-after-release") {
            self.acknowledge(request);
        }
        Ok(())
    }

    /// `false` if there is nobody else's.
    fn leave_others(&mut self) -> bool {
        let had_others = self.kept.leave_others() || !self.threads.is_empty() || !self.posts.is_empty();
        let (mine, kept) = (self.mine, mem::take(&mut self.kept));
        *self = Self { mine, kept, ..Self::default() };
        had_others && !mutation::off("alone-where-there-is-no-room")
    }

    fn commit_all(&mut self, request: &Request<'_>, tenure: &Tenure<'_>) -> Result<()> {
        let path = request.place.db_path.as_path();
        let asked = request.asks || request.may_be_there();
        in_transaction(request.place, tenure, |connection| {
            self.kept.put(connection, request.place, tenure)?;
            self.mine = usize::try_from(put(request.batch(), tenure, path, asked)?).unwrap_or(0);
            self.read(request, connection, path)?;
            let threads = self.threads.iter_mut().map(|(waiting, beside)| (&*waiting.batch, beside));
            let posts = self.posts.iter_mut().map(|(post, beside)| (&post.batch, beside));
            for (batch, beside) in threads.chain(posts) {
                *beside = if self.kept.holds_back(batch) {
                    Beside::Left
                } else {
                    put_beside(connection, batch, tenure, path)?
                };
            }
            Ok(())
        })
    }

    /// Tells everybody, now that the tenure has ended well.
    fn acknowledge(&self, request: &Request<'_>) {
        let counts = &request.group.counts;
        CommitCounts::add(&counts.combined, self.kept.acknowledge(request.place));
        CommitCounts::add(&counts.combined, self.threads.len() + self.posts.len());
        for (asked, answer) in &self.known {
            request.queue.answer_again(asked, *answer);
        }
        for (waiting, beside) in &self.threads {
            if let Beside::Answer(answer) = beside {
                waiting.set_answer(usize::try_from(*answer).unwrap_or(0));
            }
        }
        if self.posts.is_empty() {
            return;
        }
        let ringer = Ringer::new();
        for (post, beside) in &self.posts {
            match beside {
                Beside::Answer(answer) => request.queue.answer(&ringer, post, *answer),
                Beside::Refused => request.queue.refuse(&post.stem),
                Beside::Left => {}
            }
        }
    }
}

/// Puts the rows of `batch`, if they are not in the store yet; `asked`: they may be. Answers what its caller is told.
fn put(batch: &Batch, tenure: &Tenure<'_>, path: &Path, asked: bool) -> Result<i64> {
    let connection = tenure.connection();
    if asked && let Known::Committed(answer) = applied::known(connection, path, &batch.id)? {
        return Ok(answer);
    }
    let before = connection.total_changes();
    let written = i64::try_from(batch.put(tenure, path)?).unwrap_or(i64::MAX);
    if connection.total_changes() != before {
        applied::note(connection, path, &batch.id, written)?;
    }
    Ok(written)
}

/// The same for a batch of somebody else, whose failure is not this tenure's.
fn put_beside(connection: &Connection, batch: &Batch, tenure: &Tenure<'_>, path: &Path) -> Result<Beside> {
    match applied::known(connection, path, &batch.id)? {
        Known::New => {}
        Known::Committed(answer) => return Ok(Beside::Answer(answer)),
        // Nobody waits for it. It must not come in late, over what its client has written since.
        Known::Past => return Ok(Beside::Answer(0)),
    }
    let outcome = connection::in_savepoint(connection, path, || put(batch, tenure, path, false))?;
    Ok(match outcome {
        Ok(answer) => Beside::Answer(answer),
        Err(Error::ClaimLost { .. }) => Beside::Refused,
        Err(_) => Beside::Left,
    })
}
