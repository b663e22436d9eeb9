//! The claims of a store, for people and schedulers.

use std::time::Duration;

use super::observer::{Observer, Standing};
use crate::error::Result;
use crate::lock::{Interrupt, Owner, Place};
use crate::reads::{self, ReadMode};
use crate::storage::claims::{self, StoredClaim};

/// What has become of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its owner may be at work.
    Claimed,
    /// Its owner is gone: whoever wants the pair gets it.
    Abandoned(String),
    /// Its owner said why it failed.
    Failed(String),
}

/// One claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Key of the record that is to come.
    pub key: String,
    /// Name of the program.
    pub program_name: String,
    /// The schedule's normal form.
    pub schedule: String,
    /// Host of the owner, as far as it is known.
    pub hostname: Option<String>,
    /// User who made it.
    pub username: String,
    /// Process of the owner, as far as it is known.
    pub pid: Option<i32>,
    /// Without a renewal for this long it is given up.
    pub lease: Duration,
    /// For how long this node has seen no renewal; `None` where it has not looked before.
    pub silent: Option<Duration>,
    /// What has become of it.
    pub state: State,
}

/// All claims, in the order in which they were made.
///
/// # Errors
///
/// Those of reading.
pub(crate) fn list(place: &Place, mode: ReadMode, interrupt: &dyn Interrupt) -> Result<Vec<Listed>> {
    let observer = Observer::now();
    let stored = reads::read(place, mode, interrupt, |snapshot| {
        claims::all(snapshot.connection(), &place.db_path, &observer.name)
    })?;
    Ok(stored.into_iter().map(|claim| listed(claim, &observer)).collect())
}

/// Is somebody measuring `key`?
///
/// # Errors
///
/// Those of reading.
pub(crate) fn is_claimed(
    place: &Place,
    mode: ReadMode,
    interrupt: &dyn Interrupt,
    key: &str,
) -> Result<bool> {
    let observer = Observer::now();
    let claim = reads::read(place, mode, interrupt, |snapshot| {
        claims::get(snapshot.connection(), &place.db_path, key, &observer.name)
    })?;
    Ok(claim.is_some_and(|claim| observer.judge(&claim) == Standing::Held))
}

fn listed(claim: StoredClaim, observer: &Observer) -> Listed {
    let owner = Owner::read(&claim.owner).map(|owner| owner.process).unwrap_or_default();
    let milliseconds = |count: i64| Duration::from_millis(u64::try_from(count).unwrap_or(0));
    let state = match observer.judge(&claim) {
        Standing::Held => State::Claimed,
        Standing::Abandoned(why) => State::Abandoned(why),
        Standing::Failed(message) => State::Failed(message),
    };
    Listed {
        hostname: owner.hostname,
        pid: owner.pid,
        lease: milliseconds(claim.lease_ms),
        silent: claim.seen_since_ms.map(|since| milliseconds(observer.now_ms.saturating_sub(since))),
        state,
        key: claim.key,
        program_name: claim.program_name,
        schedule: claim.schedule,
        username: claim.username,
    }
}
