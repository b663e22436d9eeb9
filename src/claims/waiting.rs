//! Waiting for what another one measures, without the lock where reads need none.

use std::time::Duration;

use super::observer::{Observer, Standing};
use crate::commit::{self, claimed::owner_of};
use crate::error::{Error, Result};
use crate::lock::{Interrupt, Patience, Place, Wait};
use crate::reads::{self, ReadMode};
use crate::storage::claims::{self, StoredClaim};
use crate::storage::records;

/// How a wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// There is a record.
    Recorded,
    /// The measurement failed: what its owner says.
    Failed(String),
    /// Nobody measures the pair.
    Free,
    /// Its owner has gone without a word: how that is known.
    Abandoned(String),
    /// Time is over. Who measures it, if somebody does.
    TimedOut(Option<String>),
}

/// What ends a wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until<'a> {
    /// A record with this date is not yet what is waited for.
    pub(crate) newer_than: Option<&'a str>,
    /// Nobody measures the pair.
    pub(crate) or_free: bool,
    pub(crate) timeout: Duration,
}

/// Waits for the record `key`. `watches`: what this node sees of a claim may be stored.
///
/// # Errors
///
/// Those of reading and writing.
pub(crate) fn wait(
    place: &Place,
    mode: ReadMode,
    interrupt: &dyn Interrupt,
    key: &str,
    until: Until<'_>,
    watches: bool,
) -> Result<Awaited> {
    let mut wait = Wait::begin(Patience { timeout: until.timeout, interrupt });
    if !reads::are_lock_free(place, mode) {
        wait.poll_rarely();
    }
    let place = &Place { lock_timeout: place.lock_timeout.min(until.timeout), ..place.clone() };
    let mut seen = None;
    loop {
        let observer = Observer::now();
        let found = reads::read(place, mode, interrupt, |snapshot| {
            let (connection, path) = (snapshot.connection(), place.db_path.as_path());
            let date = records::get(connection, path, key)?.map(|record| record.update_date);
            Ok((date, claims::get(connection, path, key, &observer.name)?))
        });
        let (date, claim) = match found {
            Err(Error::LockTimeout { .. }) if wait.is_over() => return Ok(Awaited::TimedOut(None)),
            other => other?,
        };
        if date.is_some_and(|date| until.newer_than != Some(date.as_str())) {
            return Ok(Awaited::Recorded);
        }
        if claim.is_none() && until.or_free {
            return Ok(Awaited::Free);
        }
        let mut holder = None;
        if let Some(mut claim) = claim {
            watch(place, interrupt, &observer, &mut claim, &mut seen, watches)?;
            match observer.judge(&claim) {
                Standing::Failed(message) => return Ok(Awaited::Failed(message)),
                Standing::Abandoned(why) => return Ok(Awaited::Abandoned(why)),
                Standing::Held => holder = Some(owner_of(&claim)),
            }
        }
        if wait.is_over() {
            return Ok(Awaited::TimedOut(holder));
        }
        wait.pause()?;
    }
}

/// A state of a claim that this call has met, and since when.
type Seen = Option<(String, i64, i64)>;

/// Begins to watch a claim that this node sees for the first time: in the store, for those who come after this wait, and
/// in memory, where the store may not be written.
fn watch(
    place: &Place,
    interrupt: &dyn Interrupt,
    observer: &Observer,
    claim: &mut StoredClaim,
    seen: &mut Seen,
    watches: bool,
) -> Result<()> {
    if claim.seen_since_ms.is_some() || claim.failure.is_some() {
        return Ok(());
    }
    if let Some((id, beat, since)) = seen
        && *id == claim.id
        && *beat == claim.beat
    {
        claim.seen_since_ms = Some(*since);
        return Ok(());
    }
    *seen = Some((claim.id.clone(), claim.beat, observer.now_ms));
    if !watches {
        return Ok(());
    }
    let path = place.db_path.as_path();
    let stored = commit::write(place, interrupt, |tenure| {
        let connection = tenure.connection();
        let now = claims::get(connection, path, &claim.key, &observer.name)?;
        let is_new = now.is_some_and(|now| {
            now.id == claim.id
                && now.beat == claim.beat
                && now.seen_since_ms.is_none()
                && now.failure.is_none()
        });
        if is_new {
            let beat = (claim.key.as_str(), claim.id.as_str(), claim.beat);
            claims::observe(connection, path, beat, &observer.name, observer.now_ms)?;
        }
        Ok(())
    });
    match stored {
        // Whoever only waits does not fail because others do not get to know what it sees.
        Err(error) if !matches!(error, Error::Interrupted | Error::Closed { .. }) => Ok(()),
        other => other,
    }
}
