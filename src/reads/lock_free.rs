//! Reading without the lock, on a connection that is kept: accepted if the token had one quiet name all the while.
//!
//! The change counter alone would not do: a writer that rolls back leaves it as it was, and pages that a reader took
//! from the middle of such a transaction would be believed ever after. So after every attempt that is not accepted the
//! connection forgets all pages.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;

use crate::clock;
use crate::error::Result;
use crate::lock::{Connected, Interrupt, Patience, Place, Sealed, Sequence, Wait};
use crate::mutation;
use crate::storage::{guarded, journal};

/// A reader that was rejected for this long asks for a tenure of its own.
const PATIENCE: Duration = Duration::from_millis(100);

/// Runs `work` on one consistent state; `None` where a tenure is needed.
pub(super) fn read<T>(
    place: &Place,
    interrupt: &dyn Interrupt,
    mut work: impl FnMut(&Connection) -> Result<T>,
) -> Result<Option<T>> {
    let timeout = PATIENCE.min(place.lock_timeout);
    let mut wait = Wait::begin(Patience { timeout, interrupt });
    let began = clock::since_boot();
    loop {
        match Sequence::look(place)? {
            Sealed::No => return Ok(None),
            Sealed::Yes(sequence) if sequence.quiet || mutation::off("token-sequence") => {
                match attempt(place, &sequence, &mut work)? {
                    Attempt::Accepted(outcome) => return outcome.map(Some),
                    Attempt::NeedsRecovery => return Ok(None),
                    Attempt::Rejected => {}
                }
            }
            Sealed::Yes(_) | Sealed::Unseen => {}
        }
        if clock::since_boot().saturating_sub(began) > PATIENCE {
            return Ok(None);
        }
        wait.pause_between_reads()?;
    }
}

enum Attempt<T> {
    Accepted(Result<T>),
    Rejected,
    NeedsRecovery,
}

fn attempt<T>(
    place: &Place,
    sequence: &Sequence,
    work: &mut impl FnMut(&Connection) -> Result<T>,
) -> Result<Attempt<T>> {
    let reader = match place.readers.take(sequence.fence) {
        Some(reader) => reader,
        // The name says that nobody writes. A hot journal all the same: the file server lost its latest renames.
        None if journal::is_hot(&place.db_path) => return Ok(Attempt::NeedsRecovery),
        None => Connected::reader(place, sequence.fence)?,
    };
    let before = reader.guard.header();
    let outcome = work(&reader.connection);
    let after = reader.guard.header();
    let same_header = matches!((before, after), (Ok(before), Ok(after)) if before == after);
    // The last look: what was read before it was true at one moment.
    let accepted = same_header && (mutation::off("token-sequence") || sequence.still_stands(place)?);
    if accepted {
        place.read_counts.accepted.fetch_add(1, Ordering::Relaxed);
        place.readers.put(reader);
        return Ok(Attempt::Accepted(outcome));
    }
    place.read_counts.rejected.fetch_add(1, Ordering::Relaxed);
    if !mutation::off("forget-rejected-pages") {
        guarded::forget_pages(&reader.connection);
    }
    place.readers.put(reader);
    Ok(Attempt::Rejected)
}
