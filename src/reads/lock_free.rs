//! Reading without the lock, on a connection that is kept: accepted if the token had one quiet name all the while.
//!
//! The change counter alone would not do: a writer that rolls back leaves it as it was, and pages that a reader took
//! from the middle of such a transaction would be believed ever after. So after every attempt that is not accepted the
//! connection forgets all pages.
//!
//! No name comes twice. So the look before a read may be as old as one likes: the one after the last read will do. It is
//! left out only where nobody writes between two reads, because a read that is not accepted costs more than a look.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;

use super::hits::Stamp;
use crate::clock;
use crate::error::Result;
use crate::lock::{Connected, Interrupt, Patience, Place, Sealed, Sequence, Wait};
use crate::mutation;
use crate::storage::{guarded, journal};

/// A reader that was rejected for this long asks for a tenure of its own.
const PATIENCE: Duration = Duration::from_millis(200);

/// Runs `work` on one consistent state; `None` where a tenure is needed.
pub(super) fn read<T>(
    place: &Place,
    interrupt: &dyn Interrupt,
    mut work: impl FnMut(&Connection, Stamp) -> Result<T>,
) -> Result<Option<Accepted<T>>> {
    let timeout = PATIENCE.min(place.lock_timeout);
    let mut wait = Wait::begin(Patience { timeout, interrupt });
    let began = clock::since_boot();
    let mut writer = None;
    loop {
        match ready(place, &mut writer)? {
            Ready::Now(reader, sequence) => {
                let was_steady = reader.steady;
                if let Some(accepted) = attempt(place, reader, sequence, &mut work)? {
                    return accepted.map(Some);
                }
                if was_steady {
                    continue;
                }
            }
            Ready::NeedsTenure => return Ok(None),
            Ready::Later => {}
        }
        if clock::since_boot().saturating_sub(began) > PATIENCE {
            return Ok(None);
        }
        wait.pause_between_reads()?;
    }
}

/// The same in one attempt, without waiting. `None` where that did not do, for whatever reason.
pub(super) fn glance<T>(place: &Place, mut work: impl FnMut(&Connection) -> Result<T>) -> Result<Option<T>> {
    loop {
        let Ready::Now(reader, sequence) = ready(place, &mut None)? else { return Ok(None) };
        let was_steady = reader.steady;
        match attempt(place, reader, sequence, &mut |connection, _| work(connection))? {
            Some(accepted) => return accepted.map(|accepted| Some(accepted.value)),
            None if was_steady => {}
            None => return Ok(None),
        }
    }
}

/// What a read found, and in which state of the store.
pub(super) struct Accepted<T> {
    pub(super) value: T,
    pub(super) stamp: Stamp,
    pub(super) sequence: Arc<Sequence>,
}

enum Ready {
    /// A connection over the file that belongs to the token's name, which says that nobody writes.
    Now(Connected, Arc<Sequence>),
    /// Somebody writes.
    Later,
    /// The store is not sealed, or has to be recovered.
    NeedsTenure,
}

/// `writer`: the name that said so last.
fn ready(place: &Place, writer: &mut Option<Sequence>) -> Result<Ready> {
    if let Some(writes) = writer
        && writes.still_stands()?
    {
        return Ok(Ready::Later);
    }
    let kept = place.readers.take_any();
    if let Some(reader) = &kept
        && let Some(seen) = reader.seen.clone()
        && (reader.steady || seen.still_stands()?)
    {
        return Ok(kept.map_or(Ready::Later, |reader| Ready::Now(reader, seen)));
    }
    let sequence = match Sequence::look(place)? {
        Sealed::Yes(sequence) if sequence.quiet || mutation::off("token-sequence") => Arc::new(sequence),
        other @ (Sealed::Yes(_) | Sealed::Unseen) => {
            *writer = if let Sealed::Yes(sequence) = other { Some(sequence) } else { None };
            if let Some(reader) = kept {
                place.readers.put(reader);
            }
            return Ok(Ready::Later);
        }
        Sealed::No => return Ok(Ready::NeedsTenure),
    };
    if let Some(reader) = kept
        && reader.is_current(sequence.fence)
    {
        return Ok(Ready::Now(reader, sequence));
    }
    // The name says that nobody writes. A hot journal all the same: the file server lost its latest renames.
    if journal::is_hot(&place.db_path) {
        return Ok(Ready::NeedsTenure);
    }
    Ok(Ready::Now(Connected::reader(place, sequence.fence)?, sequence))
}

/// Whether the last committed state has a stamp.
pub(super) enum Still {
    No,
    /// It had, at one moment of this call.
    Had,
    /// It has for as long as the token has this name.
    Has(Arc<Sequence>),
}

/// Does the last committed state have this stamp, whatever a writer is doing just now?
///
/// Epochs only grow. So the epoch that was true once and is in the header now was true of all states between, and of
/// the one that a writer is about to end: before it has released the token, nobody has been told of a newer one. The
/// token is looked at after the header, as another fence number would mean that the header is of a file that nobody
/// reads; and the header once more after a token that says that nobody writes, before the stamp is tied to its name.
pub(super) fn still_has(place: &Place, stamp: Stamp) -> Result<Still> {
    let Some(reader) = place.readers.take_any() else { return Ok(Still::No) };
    let is_same = || reader.guard.header().is_ok_and(|header| guarded::epoch(&header) == stamp.epoch);
    let same = reader.guard.identity() == stamp.file && is_same();
    mutation::reached("header-looked-at");
    let token = if same { Sequence::look(place)? } else { Sealed::Unseen };
    let still = match token {
        Sealed::Yes(sequence) if sequence.fence == stamp.fence && reader.is_current(stamp.fence) => {
            let tied = sequence.quiet && (is_same() || mutation::off("look-at-the-header-again"));
            if tied { Still::Has(Arc::new(sequence)) } else { Still::Had }
        }
        _ => Still::No,
    };
    place.readers.put(reader);
    Ok(still)
}

/// One attempt; `None` if it is not accepted.
fn attempt<T>(
    place: &Place,
    mut reader: Connected,
    sequence: Arc<Sequence>,
    work: &mut impl FnMut(&Connection, Stamp) -> Result<T>,
) -> Result<Option<Result<Accepted<T>>>> {
    let is_seen = reader.seen.as_ref() == Some(&sequence);
    if !is_seen {
        reader.guard.forget_size();
    }
    let before = reader.guard.header_before_reading();
    let stamp = Stamp {
        file: reader.guard.identity(),
        fence: sequence.fence,
        epoch: before.as_ref().map_or(0, guarded::epoch),
    };
    let outcome = work(&reader.connection, stamp);
    let after = reader.guard.header();
    let same_header = matches!((before, after), (Ok(before), Ok(after)) if before == after);
    // The last look: what was read before it was true at one moment.
    if same_header && (mutation::off("token-sequence") || sequence.still_stands()?) {
        place.read_counts.accepted.fetch_add(1, Ordering::Relaxed);
        (reader.seen, reader.steady) = (Some(Arc::clone(&sequence)), is_seen);
        place.readers.put(reader);
        return Ok(Some(outcome.map(|value| Accepted { value, stamp, sequence })));
    }
    place.read_counts.rejected.fetch_add(1, Ordering::Relaxed);
    if !mutation::off("forget-rejected-pages") {
        guarded::forget_pages(&reader.connection);
    }
    (reader.seen, reader.steady) = (None, false);
    place.readers.put(reader);
    Ok(None)
}
