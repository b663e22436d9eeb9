//! The names of batches.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::lock::my_random;
use crate::storage::applied::BatchId;

static CLIENTS: AtomicU64 = AtomicU64::new(0);
/// Batches of this process. Its child, another client, may go on with the same numbers.
static BATCHES: AtomicU64 = AtomicU64::new(1);

/// The next batch of this thread, which is a client of its own: it has one batch at a time.
pub(super) fn next() -> BatchId {
    thread_local! {
        static THREAD: u64 = CLIENTS.fetch_add(1, Ordering::Relaxed);
    }
    id_of(THREAD.with(|number| *number))
}

/// Who has one batch at a time and is no thread: a buffer of records, or a batch that is handed over for good.
#[derive(Debug)]
pub(crate) struct Client(u64);

impl Client {
    /// One that has had no batch yet.
    pub(crate) fn new() -> Self {
        Self(CLIENTS.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn next_batch(&self) -> BatchId {
        id_of(self.0)
    }
}

fn id_of(client: u64) -> BatchId {
    BatchId::new(format!("{:016x}-{client}", my_random()), BATCHES.fetch_add(1, Ordering::Relaxed))
}
