//! Claims of this process whose making ended without a word: they may be in the store, and nobody has them in hand.
//!
//! To others they are claims of a living process. Only their maker can know better, by their numbers, which are never
//! used again: its next call for the pair takes it.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::mutation;

/// Not waited for: a fork, or a signal handler, may have caught its lock. What is missed costs one lease.
static UNHEARD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
/// More are of a store that is away for so long that leases are over, too.
const MOST: usize = 10_000;

/// Remembers claims of which nobody heard whether they were made.
pub(super) fn add(ids: impl Iterator<Item = String>) {
    if let Ok(mut unheard) = UNHEARD.try_lock() {
        let room = MOST.saturating_sub(unheard.len());
        unheard.extend(ids.take(room));
    }
}

/// Is it such a claim?
pub(super) fn contains(id: &str) -> bool {
    !mutation::off("know-own-claims") && UNHEARD.try_lock().is_ok_and(|unheard| unheard.contains(id))
}
