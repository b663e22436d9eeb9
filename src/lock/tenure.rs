//! The one function that runs a tenure, whatever stands at the lock path: lock, open, work, commit, release.

use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, TransactionBehavior};

use super::answer::Answer;
use super::gate::{Closed, Gate};
use super::hardlink;
use super::place::{Locking, Place};
use super::token;
use super::turn::Turn;
use super::wait::{Interrupt, Patience, Wait};
use crate::error::{Error, Result};
use crate::mutation;
use crate::storage::applied::{self, Batch};
use crate::storage::{connection, fresh, journal, schema};

/// What a tenure is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Looks only. It still rolls a dead writer's journal back, as it holds the lock.
    Read,
    /// One transaction, committed if the work succeeds.
    Write,
}

/// A turn at the store: nobody else is inside.
pub struct Tenure<'a> {
    pub(super) connection: &'a Connection,
    pub(super) hold: Hold<'a>,
}

/// What a tenure holds.
pub(super) enum Hold<'a> {
    HardLink(&'a std::cell::RefCell<hardlink::Held>),
    Token(&'a std::sync::Mutex<token::Held>),
    Caller,
}

impl Tenure<'_> {
    /// The open database.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        self.connection
    }

    /// Shows watchers that this tenure is alive. Long work calls it between its pieces.
    ///
    /// # Errors
    ///
    /// [`Error::LockLost`] when the tenure has ended without its knowledge.
    pub fn renew(&self) -> Result<()> {
        match self.hold {
            Hold::HardLink(held) => held.borrow_mut().renew_if_due(),
            Hold::Token(held) => held.lock().map_or(Ok(()), |mut held| held.keep()),
            Hold::Caller => Ok(()),
        }
    }

    /// The last look before COMMIT. The token's holder looks at every write instead, and once more when it releases.
    fn confirm(&self) -> Result<()> {
        match self.hold {
            Hold::HardLink(held) => held.borrow().confirm(),
            Hold::Token(_) | Hold::Caller => Ok(()),
        }
    }
}

/// A tenure that lost its lock is run again, this many times in all.
const TRIES: u32 = 5;

/// Runs `work` in a tenure of its own that writes nothing.
///
/// # Errors
///
/// Those of the lock, of SQLite, and of `work`.
pub fn read<T>(
    place: &Place,
    interrupt: &dyn Interrupt,
    mut work: impl FnMut(&Tenure<'_>) -> Result<T>,
) -> Result<T> {
    run(place, Access::Read, interrupt, |tenure, _| work(tenure))
}

/// Runs `work` in one transaction of a tenure of its own: all of it is committed, or nothing, and once.
///
/// # Errors
///
/// Those of the lock, of SQLite, and of `work`; after each of them the store is as before, except after
/// [`Error::OutcomeUnknown`].
pub fn write<T: Answer>(
    place: &Place,
    interrupt: &dyn Interrupt,
    mut work: impl FnMut(&Tenure<'_>) -> Result<T>,
) -> Result<T> {
    /// Batches of this process. Its child, another client, may go on with the same numbers.
    static BATCHES: AtomicU64 = AtomicU64::new(1);
    let number = BATCHES.fetch_add(1, Ordering::Relaxed);
    let batch = Batch { client: format!("{:016x}", token::my_random()), number };
    run(place, Access::Write, interrupt, |tenure, repeated| {
        commit(place, tenure, &batch, repeated, &mut work)
    })
}

fn run<T>(
    place: &Place,
    access: Access,
    interrupt: &dyn Interrupt,
    mut work: impl FnMut(&Tenure<'_>, bool) -> Result<T>,
) -> Result<T> {
    let mut wait = Wait::begin(Patience { timeout: place.lock_timeout, interrupt });
    // Held over all tries: another batch of this process must not come between a batch and its repetition.
    let _closed = pass_gate(place, &mut wait)?;
    let mut tries = 0;
    loop {
        let outcome = run_once(place, access, &mut wait, &mut |tenure| work(tenure, tries > 0));
        tries += 1;
        match outcome {
            Err(Error::LockLost { .. }) if tries < TRIES => {}
            Err(Error::LockLost { path }) if access == Access::Write => {
                return Err(Error::OutcomeUnknown { path });
            }
            outcome => return outcome,
        }
    }
}

fn run_once<T>(
    place: &Place,
    access: Access,
    wait: &mut Wait<'_>,
    work: &mut dyn FnMut(&Tenure<'_>) -> Result<T>,
) -> Result<T> {
    let held = match enter(place, wait)? {
        Entered::Token(turn) => return turn.run(access, wait, work),
        Entered::Caller => {
            let connection = connection::open(&place.db_path)?;
            return work(&Tenure { connection: &connection, hold: Hold::Caller });
        }
        Entered::HardLink(held) => std::cell::RefCell::new(held),
    };
    let looked = if place.coherent { Ok(()) } else { fresh::look(&place.db_path) };
    let outcome = looked
        .and_then(|()| connection::open(&place.db_path))
        .and_then(|connection| work(&Tenure { connection: &connection, hold: Hold::HardLink(&held) }))
        .map_err(|error| kept_by_owner(place, error));
    // The connection is closed by now: no descriptor of ours may outlive the lock that covers it.
    let released = held.into_inner().release();
    outcome.and_then(|value| released.map(|()| value))
}

/// Which lock this process is inside of.
pub(super) enum Entered<'a> {
    Token(Turn<'a>),
    HardLink(hardlink::Held),
    Caller,
}

/// Takes the lock that stands at the path. That is looked at anew for every tenure: a store may be sealed or unsealed
/// meanwhile.
pub(super) fn enter<'a>(place: &'a Place, wait: &mut Wait<'_>) -> Result<Entered<'a>> {
    let Locking::Here(lock) = &place.locking else { return Ok(Entered::Caller) };
    loop {
        if let Some(turn) = Turn::begin(place, wait)? {
            return Ok(Entered::Token(turn));
        }
        match lock.acquire_within(wait) {
            Err(Error::Sealed { .. }) => {}
            other => return other.map(Entered::HardLink),
        }
    }
}

/// An error of SQLite's, or that a dead writer's journal belongs to another user and cannot be removed by anybody else:
/// SQLite rolls it back, but under this protocol it ends a transaction by removing its journal.
fn kept_by_owner(place: &Place, error: Error) -> Error {
    let Error::Sqlite { .. } = error else { return error };
    if !journal::is_kept_by_owner(&place.db_path) {
        return error;
    }
    let source = std::io::Error::from_raw_os_error(nix::libc::EPERM);
    super::errors::refused(
        &place.lock_path(),
        "removing the journal that another user left beside it",
        source,
    )
}

/// Runs `work` under the lock of `place` without opening the database: for its birth.
///
/// # Errors
///
/// Those of the lock and of `work`.
pub(crate) fn locked<T>(
    place: &Place,
    interrupt: &dyn Interrupt,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let mut wait = Wait::begin(Patience { timeout: place.lock_timeout, interrupt });
    let _closed = match &place.locking {
        Locking::Here(_) => Some(pass_gate(place, &mut wait)?),
        Locking::HeldByCaller => None,
    };
    let held = match enter(place, &mut wait)? {
        Entered::Token(turn) => return turn.replace(work),
        Entered::Caller => return work(),
        Entered::HardLink(held) => held,
    };
    let outcome = work();
    let released = held.release();
    outcome.and_then(|value| released.map(|()| value))
}

/// Waits until no other thread of this process is inside.
pub(super) fn pass_gate(place: &Place, wait: &mut Wait<'_>) -> Result<Closed> {
    let path = place.lock_path();
    let gate = Gate::of(&path);
    loop {
        if let Some(closed) = gate.try_close() {
            return Ok(closed);
        }
        if wait.is_over() {
            let holder = format!("another thread of this process ({})", process::id());
            return Err(Error::LockTimeout { path, waited: wait.elapsed(), holder });
        }
        wait.pause()?;
    }
}

fn commit<T: Answer>(
    place: &Place,
    tenure: &Tenure<'_>,
    batch: &Batch,
    repeated: bool,
    work: &mut impl FnMut(&Tenure<'_>) -> Result<T>,
) -> Result<T> {
    let path: &Path = &place.db_path;
    if mutation::off("one-transaction") {
        return work(tenure);
    }
    let failed = |action| Error::sqlite(path, action);
    let connection = tenure.connection;
    if !matches!(tenure.hold, Hold::Token(_)) {
        connection::prepare_for_writing(connection, path)?;
    }
    let transaction = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
        .map_err(failed("beginning a transaction"))?;
    // On any error the transaction is dropped, which rolls it back.
    schema::create_additions(connection, path)?;
    if repeated && let Some(answer) = applied::answer(connection, path, batch)? {
        return Ok(T::from_number(answer));
    }
    let before = connection.total_changes();
    let value = work(tenure)?;
    if connection.total_changes() == before {
        // Nothing to commit, and nothing to remember: asked again, the work answers the same.
        return Ok(value);
    }
    applied::note(connection, path, batch, value.to_number())?;
    tenure.confirm()?;
    transaction.commit().map_err(|error| {
        if connection::may_have_committed(&error) && !mutation::off("lost-replies") {
            // As after a lost lock: run again, and the batch itself tells whether it is there.
            return Error::LockLost { path: place.lock_path() };
        }
        failed("committing")(error)
    })?;
    Ok(value)
}
