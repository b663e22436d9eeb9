//! The names of batches.

use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::lock::my_random;
use crate::mutation;
use crate::storage::applied::BatchId;

static CLIENTS: AtomicU64 = AtomicU64::new(0);
/// Batches of this process. Its child, another client, may go on with the same numbers.
static BATCHES: AtomicU64 = AtomicU64::new(1);
static IDLE: Mutex<Vec<Client>> = Mutex::new(Vec::new());

thread_local! {
    static THREAD: u64 = CLIENTS.fetch_add(1, Ordering::Relaxed);
    static IS_BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Who asks, for as long as one batch takes: this thread, which is a client of its own.
///
/// A client has one batch at a time. A thread that is interrupted in one, by a signal handler that records, is another
/// client meanwhile.
#[derive(Debug)]
pub(super) struct Asking {
    client: u64,
    is_nested: bool,
}

impl Asking {
    pub(super) fn begin() -> Self {
        let is_nested = IS_BUSY.replace(true) && !mutation::off("nested-clients");
        let client =
            if is_nested { CLIENTS.fetch_add(1, Ordering::Relaxed) } else { THREAD.with(|thread| *thread) };
        Self { client, is_nested }
    }

    pub(super) fn next_batch(&self) -> BatchId {
        id_of(self.client)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if !self.is_nested {
            IS_BUSY.set(false);
        }
    }
}

/// Who has one batch at a time and is no thread: a buffer of records, or a batch that is handed over for good.
#[derive(Debug)]
pub(crate) struct Client(u64);

impl Client {
    /// One that has had no batch yet.
    pub(crate) fn new() -> Self {
        Self(CLIENTS.fetch_add(1, Ordering::Relaxed))
    }

    /// One that waits for nothing, for a batch that may have to be asked for much later.
    pub(crate) fn idle() -> Self {
        IDLE.try_lock().ok().and_then(|mut idle| idle.pop()).unwrap_or_else(Self::new)
    }

    /// Ends the use of [`Client::idle`]: the answer of its last batch is known. So there are not more of them in the
    /// store than have ever been in use at once.
    pub(crate) fn give_back(self) {
        // Nobody waits for this list: a fork may have caught its lock.
        if let Ok(mut idle) = IDLE.try_lock() {
            idle.push(self);
        }
    }

    pub(crate) fn next_batch(&self) -> BatchId {
        id_of(self.0)
    }
}

fn id_of(client: u64) -> BatchId {
    BatchId::new(format!("{:016x}-{client}", my_random()), BATCHES.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_of(id: &BatchId) -> String {
        id.to_string().split('.').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_call_within_a_call_of_one_thread_is_another_client() {
        let clients = || {
            let outer = Asking::begin();
            let inner = Asking::begin();
            [client_of(&outer.next_batch()), client_of(&inner.next_batch())]
        };
        let [outer, inner] = clients();
        assert_ne!(outer, inner);
        let [again, _] = clients();
        assert_eq!(outer, again, "one call after the other is the same client");
        let [outer, inner] = crate::mutation::without("nested-clients", clients);
        assert_eq!(outer, inner, "the promise is kept without it: this test cannot see it fail");
    }
}
