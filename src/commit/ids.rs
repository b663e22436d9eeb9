//! The names of batches.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::lock::my_random;
use crate::storage::applied::BatchId;

/// The next batch of this thread, which is a client of its own: it has one batch at a time.
pub(super) fn next() -> BatchId {
    static THREADS: AtomicU64 = AtomicU64::new(0);
    /// Batches of this process. Its child, another client, may go on with the same numbers.
    static BATCHES: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static THREAD: u64 = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    let client = format!("{:016x}-{}", my_random(), THREAD.with(|number| *number));
    BatchId::new(client, BATCHES.fetch_add(1, Ordering::Relaxed))
}
