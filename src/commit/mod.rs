//! How rows get into the store: one transaction for everybody who waits, applied once, acknowledged after the release.
//!
//! Whoever finds the lock taken leaves its batch where the next holder finds it: threads of one process in a list,
//! other processes in the queue beside the token (`queue`). A holder commits all of them with its own (`combined`). It
//! answers when it has released the lock: had it been taken over meanwhile, what it wrote would be nobody's. A batch
//! has an id, and its id stands in the same transaction (`storage::applied`), so that whoever retries it finds that it is there.

mod answer;
mod batch;
mod bell;
pub(crate) mod claimed;
mod combined;
mod ids;
mod keep;
mod post;
mod queue;
mod threads;
mod transaction;

use std::sync::atomic::{AtomicU64, Ordering};

use self::threads::Threads;
pub use answer::Answer;
pub(crate) use batch::{Batch, Program, Row};
pub(crate) use combined::{record, record_buffered};
pub(crate) use ids::Client;
pub(crate) use keep::{apply_kept, keep, waits};
pub(crate) use queue::LARGEST_POST;

use self::keep::Kept;
use self::transaction::{in_transaction, is_refused_by_disk};
use crate::error::Result;
use crate::lock::{self, Access, Interrupt, Nobody, Place, Tenure};
use crate::mutation;
use crate::storage::applied::{self, Known};

/// Runs `work` in one transaction of a tenure of its own: all of it is committed, or nothing, and once. What was handed
/// over before comes in before it.
///
/// # Errors
///
/// Those of the lock, of SQLite, and of `work`; after each of them the store is as before, except after
/// [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown).
pub fn write<T: Answer>(
    place: &Place,
    interrupt: &dyn Interrupt,
    mut work: impl FnMut(&Tenure<'_>) -> Result<T>,
) -> Result<T> {
    let (asking, path) = (ids::Asking::begin(), place.db_path.as_path());
    let (id, mut kept) = (asking.next_batch(), Kept::default());
    let done = lock::run(place, Access::Write, interrupt, &Nobody, |tenure, repeated| {
        if !repeated && !mutation::off("handed-over-first") {
            kept = Kept::of(tenure, &[]);
        }
        let mut write = |kept: &mut Kept| {
            in_transaction(place, tenure, |connection| {
                kept.put(connection, place, tenure)?;
                if repeated && let Known::Committed(answer) = applied::known(connection, path, &id)? {
                    return Ok(T::from_number(answer));
                }
                let before = connection.total_changes();
                let value = work(tenure)?;
                if connection.total_changes() != before {
                    applied::note(connection, path, &id, value.to_number())?;
                }
                Ok(value)
            })
        };
        match write(&mut kept) {
            Err(error) if is_refused_by_disk(&error, tenure) && kept.leave_others() => write(&mut kept),
            outcome => outcome,
        }
    })?;
    kept.acknowledge(place);
    done.ok_or_else(|| crate::Error::OutcomeUnknown { path: place.lock_path() })
}

/// Removes what processes of this node that have ended left in the queue of `place`.
pub(crate) fn sweep(place: &Place) {
    queue::Queue::of(place).sweep();
}

/// The batches of one store in this process.
#[derive(Debug, Default)]
pub(crate) struct Group {
    threads: Threads,
    pub(crate) counts: CommitCounts,
}

/// What batches went which way, since the store was opened.
#[derive(Debug, Default)]
pub struct CommitCounts {
    /// Batches that a tenure of this process committed for others.
    pub combined: AtomicU64,
    /// Batches of this process that others committed.
    pub committed_by_others: AtomicU64,
    /// Batches that were posted.
    pub posted: AtomicU64,
    /// Bytes of rows that were recorded.
    pub bytes: AtomicU64,
}

impl CommitCounts {
    fn add(counter: &AtomicU64, more: usize) {
        counter.fetch_add(more as u64, Ordering::Relaxed);
    }
}
