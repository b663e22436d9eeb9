//! The one function that runs a tenure, whatever stands at the lock path: lock, open, work, commit, release.

use std::process;

use rusqlite::Connection;

use super::elsewhere::{Elsewhere, Inside, Nobody};
use super::gate::Closed;
use super::hardlink;
use super::place::{Locking, Place};
use super::token;
use super::turn::{Began, Turn};
use super::wait::{Interrupt, Patience, Wait};
use crate::error::{Error, Result};
use crate::storage::{connection, fresh, journal};

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
    Token { held: &'a std::sync::Mutex<token::Held>, taken_over: bool, batches: &'a [String] },
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
            Hold::Token { held, .. } => held.lock().map_or(Ok(()), |mut held| held.keep()),
            Hold::Caller => Ok(()),
        }
    }

    /// The last look before COMMIT. The token's holder looks at every write instead, and once more when it releases.
    pub(crate) fn confirm(&self) -> Result<()> {
        match self.hold {
            Hold::HardLink(held) => held.borrow().confirm(),
            Hold::Token { .. } | Hold::Caller => Ok(()),
        }
    }

    /// Files of batches that stood beside the token when this tenure took it.
    pub(crate) fn batches(&self) -> &[String] {
        match self.hold {
            Hold::Token { batches, .. } => batches,
            Hold::HardLink(_) | Hold::Caller => &[],
        }
    }

    /// Is it one of the token lock?
    pub(crate) fn has_token(&self) -> bool {
        matches!(self.hold, Hold::Token { .. })
    }

    /// Did the holder before it end without a release?
    pub(crate) fn was_taken_over(&self) -> bool {
        matches!(self.hold, Hold::Token { taken_over: true, .. })
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
    let done = run(place, Access::Read, interrupt, &Nobody, |tenure, _| work(tenure))?;
    done.ok_or_else(|| Error::LockLost { path: place.lock_path() })
}

/// Runs `work` in a tenure of its own, and again where that was taken over: then `work` is told. `None` where it was
/// done `elsewhere` before.
///
/// # Errors
///
/// Those of the lock, of SQLite, and of `work`.
pub(crate) fn run<T>(
    place: &Place,
    access: Access,
    interrupt: &dyn Interrupt,
    elsewhere: &dyn Elsewhere,
    mut work: impl FnMut(&Tenure<'_>, bool) -> Result<T>,
) -> Result<Option<T>> {
    let mut wait = Wait::begin(Patience { timeout: place.lock_timeout, interrupt });
    if access == Access::Read && place.coherent {
        // It has waited for writers already.
        wait.hurry();
    }
    // Held over all tries: another batch of this process must not come between a batch and its repetition.
    let Some(_closed) = pass_gate_unless_done(place, &mut wait, elsewhere)? else { return Ok(None) };
    if access == Access::Write {
        place.readers.unsettle();
    }
    let mut tries = 0;
    loop {
        let outcome = run_once(place, access, &mut wait, elsewhere, &mut |tenure| work(tenure, tries > 0));
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
    elsewhere: &dyn Elsewhere,
    work: &mut dyn FnMut(&Tenure<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let entered = enter_unless_done(place, wait, elsewhere)?;
    if entered.is_some() {
        place.waits.note(wait.elapsed());
    }
    let held = match entered {
        None => return Ok(None),
        Some(Entered::Token(turn)) => return turn.run(access, wait, work).map(Some),
        Some(Entered::Caller) => {
            let connection = connection::open(&place.db_path)?;
            return work(&Tenure { connection: &connection, hold: Hold::Caller }).map(Some);
        }
        Some(Entered::HardLink(held)) => std::cell::RefCell::new(held),
    };
    let looked = if place.coherent { Ok(()) } else { fresh::look(&place.db_path) };
    let outcome = looked
        .and_then(|()| connection::open(&place.db_path))
        .and_then(|connection| work(&Tenure { connection: &connection, hold: Hold::HardLink(&held) }))
        .map_err(|error| kept_by_owner(place, error));
    // The connection is closed by now: no descriptor of ours may outlive the lock that covers it.
    let released = held.into_inner().release();
    outcome.and_then(|value| released.map(|()| Some(value)))
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
    enter_unless_done(place, wait, &Nobody)?.ok_or_else(|| Error::LockLost { path: place.lock_path() })
}

/// The same; `None` if the work was done `elsewhere` before.
fn enter_unless_done<'a>(
    place: &'a Place,
    wait: &mut Wait<'_>,
    elsewhere: &dyn Elsewhere,
) -> Result<Option<Entered<'a>>> {
    let Locking::Here(lock) = &place.locking else { return Ok(Some(Entered::Caller)) };
    loop {
        match Turn::begin_unless_done(place, wait, elsewhere)? {
            Began::Turn(turn) => return Ok(Some(Entered::Token(turn))),
            Began::Done => return Ok(None),
            Began::NotSealed => {}
        }
        match lock.acquire_within(wait) {
            Err(Error::Sealed { .. }) => {}
            other => return other.map(|held| Some(Entered::HardLink(held))),
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

/// Is this very thread inside, or waiting for the lock, in a call that a signal handler has interrupted?
pub(crate) fn is_inside(place: &Place) -> bool {
    place.gate().is_closed_by_this_thread()
}

/// Waits until no other thread of this process is inside.
pub(super) fn pass_gate(place: &Place, wait: &mut Wait<'_>) -> Result<Closed> {
    let closed = pass_gate_unless_done(place, wait, &Nobody)?;
    closed.ok_or_else(|| Error::LockLost { path: place.lock_path() })
}

/// The same; `None` if the work was done `elsewhere` before.
fn pass_gate_unless_done(
    place: &Place,
    wait: &mut Wait<'_>,
    elsewhere: &dyn Elsewhere,
) -> Result<Option<Closed>> {
    let path = place.lock_path();
    let gate = place.gate();
    loop {
        if let Some(closed) = gate.try_close() {
            return Ok(Some(closed));
        }
        if gate.is_closed_by_this_thread() {
            let holder = "this very thread, which a signal handler has interrupted".to_owned();
            return Err(Error::LockTimeout { path, waited: wait.elapsed(), holder });
        }
        if elsewhere.is_done(Inside::Thread)? {
            return Ok(None);
        }
        if wait.is_over() {
            let holder = format!("another thread of this process ({})", process::id());
            return Err(Error::LockTimeout { path, waited: wait.elapsed(), holder });
        }
        wait.pause()?;
    }
}
