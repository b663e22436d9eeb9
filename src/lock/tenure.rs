//! The one function that runs a tenure: lock, open, work, commit, close, release.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::hardlink::{HardLink, Held};
use super::wait::{Interrupt, Patience};
use crate::error::{Error, Result};
use crate::mutation;
use crate::storage::connection;

/// Where a store is and how it is locked.
#[derive(Debug, Clone)]
pub struct Place {
    /// The database file, symbolic links resolved.
    pub db_path: PathBuf,
    /// How tenures of it exclude each other.
    pub locking: Locking,
    /// How long to wait for a tenure.
    pub lock_timeout: Duration,
}

/// How tenures exclude each other.
#[derive(Debug, Clone)]
pub enum Locking {
    /// By a hard-link lock.
    HardLink(HardLink),
    /// The caller holds a lock already; nothing is locked here.
    HeldByCaller,
}

/// What a tenure is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Looks only. It still rolls a dead writer's journal back, as it holds the lock.
    Read,
    /// One transaction, committed if the work succeeds.
    Write,
}

/// A turn at the store: nobody else is inside.
#[derive(Debug)]
pub struct Tenure {
    connection: Connection,
    held: RefCell<Option<Held>>,
}

impl Tenure {
    /// The open database.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Shows watchers that this tenure is alive. Long work calls it between its pieces.
    ///
    /// # Errors
    ///
    /// [`Error::LockLost`] when the tenure has ended without its knowledge.
    pub fn renew(&self) -> Result<()> {
        self.held.borrow_mut().as_mut().map_or(Ok(()), Held::renew_if_due)
    }

    fn confirm(&self) -> Result<()> {
        self.held.borrow().as_ref().map_or(Ok(()), Held::confirm)
    }
}

/// A tenure that lost its lock wrote nothing and is run again, this many times.
const TRIES: u32 = 3;

/// Runs `work` in a tenure of its own. With [`Access::Write`] all of it is committed, or nothing.
///
/// # Errors
///
/// Those of the lock, of SQLite, and of `work`; after each of them the store is as before.
pub fn run<T>(
    place: &Place,
    access: Access,
    interrupt: &dyn Interrupt,
    mut work: impl FnMut(&Tenure) -> Result<T>,
) -> Result<T> {
    let mut tries = 1;
    loop {
        match run_once(place, access, interrupt, &mut work) {
            Err(Error::LockLost { .. }) if tries < TRIES => tries += 1,
            outcome => return outcome,
        }
    }
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
    let held = acquire(place, interrupt)?;
    let outcome = work();
    let released = held.map_or(Ok(()), Held::release);
    outcome.and_then(|value| released.map(|()| value))
}

fn acquire(place: &Place, interrupt: &dyn Interrupt) -> Result<Option<Held>> {
    match &place.locking {
        Locking::HardLink(lock) => {
            lock.acquire(Patience { timeout: place.lock_timeout, interrupt }).map(Some)
        }
        Locking::HeldByCaller => Ok(None),
    }
}

fn run_once<T>(
    place: &Place,
    access: Access,
    interrupt: &dyn Interrupt,
    work: &mut impl FnMut(&Tenure) -> Result<T>,
) -> Result<T> {
    let held = RefCell::new(acquire(place, interrupt)?);
    let tenure = Tenure { connection: connection::open(&place.db_path)?, held };
    let outcome = match access {
        Access::Read => work(&tenure),
        Access::Write => commit(place, &tenure, work),
    };
    let Tenure { connection, held } = tenure;
    // Closed before the release: no descriptor of ours may outlive the lock that covers it.
    drop(connection);
    let released = held.into_inner().map_or(Ok(()), Held::release);
    outcome.and_then(|value| released.map(|()| value))
}

fn commit<T>(place: &Place, tenure: &Tenure, work: &mut impl FnMut(&Tenure) -> Result<T>) -> Result<T> {
    if mutation::off("one-transaction") {
        return work(tenure);
    }
    let failed = |action| Error::sqlite(&place.db_path, action);
    let connection = &tenure.connection;
    connection::prepare_for_writing(connection, &place.db_path)?;
    let transaction = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
        .map_err(failed("beginning a transaction"))?;
    // On any error the transaction is dropped, which rolls it back.
    let value = work(tenure)?;
    tenure.confirm()?;
    transaction.commit().map_err(failed("committing"))?;
    Ok(value)
}
