//! Batches of threads of this process that wait for another of its threads: it commits them with its own, and nothing
//! is posted.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::batch::Batch;

/// A batch of a thread that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) batch: Arc<Batch>,
    /// A thread inside has tried to commit it: whether it is in the store is to be asked.
    pub(super) tried: AtomicBool,
    /// Its thread has given up: nobody is to commit it any more.
    withdrawn: AtomicBool,
    answer: Mutex<Option<usize>>,
    owner: u32,
}

impl Waiting {
    pub(super) fn new(batch: Arc<Batch>) -> Arc<Self> {
        Arc::new(Self {
            batch,
            tried: AtomicBool::default(),
            withdrawn: AtomicBool::default(),
            answer: Mutex::default(),
            owner: process::id(),
        })
    }

    /// What its commit answered, if another thread has committed it.
    pub(super) fn answer(&self) -> Option<usize> {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_answer(&self, answer: usize) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }
}

/// The batches of one store's threads that wait. Nobody waits for this list: a fork may have caught its lock, and then
/// each thread of the child commits for itself.
#[derive(Debug, Default)]
pub(crate) struct Threads(Mutex<Vec<Arc<Waiting>>>);

impl Threads {
    pub(super) fn add(&self, waiting: &Arc<Waiting>) {
        if let Ok(mut list) = self.0.try_lock() {
            list.push(Arc::clone(waiting));
        }
    }

    pub(super) fn remove(&self, waiting: &Arc<Waiting>) {
        waiting.withdrawn.store(true, Ordering::Relaxed);
        if let Ok(mut list) = self.0.try_lock() {
            list.retain(|other| !Arc::ptr_eq(other, waiting));
        }
    }

    /// All that wait but `mine`, for the thread that is inside.
    pub(super) fn take_others(&self, mine: &Arc<Waiting>) -> Vec<Arc<Waiting>> {
        let Ok(mut list) = self.0.try_lock() else { return Vec::new() };
        let me = process::id();
        list.drain(..)
            // The parent's threads do not live here.
            .filter(|waiting| waiting.owner == me && !Arc::ptr_eq(waiting, mine))
            .filter(|waiting| !waiting.withdrawn.load(Ordering::Relaxed))
            .inspect(|waiting| waiting.tried.store(true, Ordering::Relaxed))
            .collect()
    }
}
