//! From one lock protocol to the other.
//!
//! A store is *sealed* by a directory at the lock path. Clients of the original cannot link their lock file there: they
//! time out, and never enter. So the barrier between the protocols is on the disk and not in anybody's parameter.

use super::place::{Locking, Place};
use super::tenure::{Access, Entered, enter, pass_gate};
use super::token::{self, Flags, Hold, Owner, Token};
use super::turn::Turn;
use super::wait::{Interrupt, Patience, Wait};
use crate::error::{Error, Result};
use crate::mutation;
use crate::storage::birth;

/// Is the store locked by the token?
pub(crate) fn is_sealed(place: &Place) -> bool {
    place.lock_path().is_dir()
}

/// Seals the store at `place` before its database exists; leaves alone what stands at the lock path.
///
/// # Errors
///
/// [`Error::Lock`].
pub(crate) fn seal_new(place: &Place) -> Result<()> {
    let Locking::Here(lock) = &place.locking else { return Ok(()) };
    if !place.lock_path().exists() {
        place.directory().prepare(&Token::Free(token::fresh_count()), lock.stale_timeout)?.publish()?;
    }
    Ok(())
}

/// Seals a store that clients of the original may be using: whoever of them is inside finishes first. Answers whether
/// there was anything to do.
///
/// # Errors
///
/// Those of both locks.
pub fn seal(place: &Place, interrupt: &dyn Interrupt) -> Result<bool> {
    let Locking::Here(lock) = &place.locking else {
        return Err(Error::InvalidArgument(
            "a store that is locked by its caller cannot be sealed".to_owned(),
        ));
    };
    if is_sealed(place) {
        return Ok(false);
    }
    let mut wait = Wait::begin(Patience { timeout: place.lock_timeout, interrupt });
    {
        let _closed = pass_gate(place, &mut wait)?;
        // Born held, with both flags: between the lock file's end and this directory a client of the original may get
        // in and die, so that the first tenure fences and recovers.
        let flags = Flags { half_written: true, must_fence: true };
        let hold = Hold { count: token::fresh_count(), beat: 0, flags, owner: Owner::me() };
        let aside = place.directory().prepare(&Token::Held(hold), lock.stale_timeout)?;
        loop {
            if mutation::off("seal-after-the-holder") {
                let _ = std::fs::remove_file(place.lock_path());
            } else {
                let before = match lock.acquire_within(&mut wait) {
                    // Somebody else has sealed it meanwhile.
                    Err(Error::Sealed { .. }) => return Ok(false),
                    other => other?,
                };
                before.release()?;
            }
            if aside.publish()? {
                break;
            }
            if is_sealed(place) {
                return Ok(false);
            }
            // A client of the original got in between: it finishes first.
            wait.pause()?;
        }
    }
    Ok(true)
}

/// Opens a sealed store to clients of the original. For a stopped fleet: a client that goes on with the token while
/// originals come in excludes none of them. Answers whether there was anything to do.
///
/// # Errors
///
/// Those of both locks.
pub fn unseal(place: &Place, interrupt: &dyn Interrupt) -> Result<bool> {
    let mut wait = Wait::begin(Patience { timeout: place.lock_timeout, interrupt });
    let _closed = pass_gate(place, &mut wait)?;
    let Some(turn) = Turn::begin(place, &mut wait)? else { return Ok(false) };
    turn.unseal(&wait)?;
    Ok(true)
}

/// Takes the lock from whoever holds it. The token is taken over as from a silent holder: fenced, recovered, freed. The
/// file of the hard-link lock is removed, for which its holder had better be gone.
///
/// # Errors
///
/// Those of the locks.
pub fn break_lock(place: &Place, interrupt: &dyn Interrupt) -> Result<()> {
    let mut wait = Wait::begin(Patience { timeout: place.lock_timeout, interrupt });
    let _closed = pass_gate(place, &mut wait)?;
    if let Some(turn) = Turn::begin_with(place, &mut wait, true)? {
        return turn.run(Access::Read, &mut wait, &mut |_| Ok(()));
    }
    match &place.locking {
        Locking::Here(lock) => lock.break_by_force(),
        Locking::HeldByCaller => Ok(()),
    }
}

/// Gives a lock directory that has lost its token, or has several, a new one. All clients must be stopped. Answers what
/// was wrong, or `None`.
///
/// # Errors
///
/// Those of the token lock.
pub fn repair(place: &Place, interrupt: &dyn Interrupt) -> Result<Option<String>> {
    let found = {
        let mut wait = Wait::begin(Patience { timeout: place.lock_timeout, interrupt });
        let _closed = pass_gate(place, &mut wait)?;
        token::repair(&place.directory())?
    };
    if found.is_some() && place.db_path.exists() {
        super::read(place, interrupt, |_| Ok(()))?;
    }
    Ok(found)
}

/// Replaces the database by a backup, so that every client notices.
///
/// # Errors
///
/// Those of the locks; [`Error::CannotReplace`].
pub fn restore(place: &Place, backup: &std::path::Path, interrupt: &dyn Interrupt) -> Result<()> {
    let mut wait = Wait::begin(Patience { timeout: place.lock_timeout, interrupt });
    let _closed = pass_gate(place, &mut wait)?;
    let held = match enter(place, &mut wait)? {
        Entered::Token(turn) => return turn.restore(backup, &wait),
        Entered::Caller => return birth::replace(&place.db_path, backup),
        Entered::HardLink(held) => held,
    };
    let outcome = birth::replace(&place.db_path, backup);
    let released = held.release();
    outcome.and(released)
}
