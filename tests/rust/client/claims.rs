//! What this client does as a worker that claims what it measures.

use std::thread;
use std::time::Duration;

use tirastore::lock::Uninterrupted;
use tirastore::store::ClaimOptions;
use tirastore::{Error, Store, claims};

use crate::{SOURCE, acknowledge, insist, outcome, say, schedule};

/// Claims each of the pairs and keeps them until it ends.
pub fn claim(store: &Store, prefix: &str, from: u64, count: u64, lease: Duration) -> Result<(), Error> {
    for number in from..from.saturating_add(count) {
        take(store, prefix, number, lease)?;
    }
    Ok(())
}

/// Claims each of the pairs, takes `time` to measure it, and completes it.
pub fn measure(
    store: &Store,
    prefix: &str,
    from: u64,
    count: u64,
    (lease, time): (Duration, Duration),
) -> Result<(), Error> {
    for number in from..from.saturating_add(count) {
        let Some(claim) = take(store, prefix, number, lease)? else { continue };
        thread::sleep(time);
        match insist(|| store.complete(&claim, outcome(prefix, number), &Uninterrupted)) {
            Ok(true) => acknowledge(prefix, number),
            Ok(false) => say(&format!("known {prefix} {number}")),
            Err(Error::ClaimLost { .. }) => say(&format!("lost {prefix} {number}")),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn take(store: &Store, prefix: &str, number: u64, lease: Duration) -> Result<Option<claims::Claim>, Error> {
    let options = ClaimOptions { lease, refresh: false, retry_failed: true };
    let pair = ("client".to_owned(), SOURCE.to_owned(), schedule(prefix, number));
    let claim = store.claim(&[pair], &options, 1, &Uninterrupted)?.pop();
    say(&format!("{} {prefix} {number}", if claim.is_some() { "claimed" } else { "taken" }));
    Ok(claim)
}
