//! Making claims: one winner for each pair.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rusqlite::Connection;

use super::held::Claim;
use super::observer::{Observer, Standing};
use super::unheard;
use crate::commit::{self, Program};
use crate::error::Result;
use crate::lock::{Interrupt, Owner, Place};
use crate::mutation;
use crate::reads::{self, ReadMode};
use crate::storage::claims::{self, StoredClaim};
use crate::storage::records;

/// Candidates of one look without the lock. Few: a look that takes longer than writers pause is sent back.
const LOOKED_AT_ONCE: usize = 32;
/// Candidates of a tenure that nobody has looked at before it.
const IN_ONE_TENURE: usize = 512;
/// Candidates after which a long tenure shows that it is alive.
const BETWEEN_RENEWALS: usize = 256;

/// A pair that somebody wants to measure.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) program: Arc<Program>,
    pub(crate) key: String,
    /// Normal form.
    pub(crate) schedule: String,
}

/// What may be claimed, and for how long.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) username: String,
    /// A claim that was not renewed for this long is given up.
    pub(crate) lease: Duration,
    /// Measure what is recorded, too, and replace it.
    pub(crate) refresh: bool,
    /// Measure what has failed, too.
    pub(crate) retry_failed: bool,
}

/// Claims the first `limit` of `wanted` that are neither recorded nor claimed, in one tenure. None at all where all are.
///
/// # Errors
///
/// Those of reading and writing.
pub(crate) fn take(
    place: &Place,
    mode: ReadMode,
    interrupt: &dyn Interrupt,
    wanted: &[Wanted],
    terms: &Terms,
    limit: usize,
) -> Result<Vec<Claim>> {
    let looks_first = reads::are_lock_free(place, mode);
    let mut rest = wanted;
    loop {
        let mut open = Vec::new();
        while looks_first && open.len() < limit && !rest.is_empty() {
            let chunk;
            (chunk, rest) = rest.split_at(rest.len().min(LOOKED_AT_ONCE));
            open.extend(worth_a_tenure(place, mode, interrupt, chunk, terms)?);
        }
        if limit == 0 || (open.is_empty() && rest.is_empty()) {
            return Ok(Vec::new());
        }
        // By then others may have claimed all that is open now: then those that follow are at hand.
        let following;
        (following, rest) = rest.split_at(rest.len().min(IN_ONE_TENURE));
        open.extend(following);
        let taken = take_in_tenure(place, interrupt, &open, terms, limit)?;
        if !taken.is_empty() {
            return Ok(taken);
        }
    }
}

/// Those of `wanted` that can be claimed, or that this node has yet to begin to watch.
fn worth_a_tenure<'a>(
    place: &Place,
    mode: ReadMode,
    interrupt: &dyn Interrupt,
    wanted: &'a [Wanted],
    terms: &Terms,
) -> Result<Vec<&'a Wanted>> {
    let path = place.db_path.as_path();
    reads::read(place, mode, interrupt, |snapshot| {
        let observer = Observer::now();
        let mut open = Vec::new();
        for one in wanted {
            let prospect = Prospect::of(snapshot.connection(), path, one, terms, &observer)?;
            if !matches!(prospect, Prospect::None) {
                open.push(one);
            }
        }
        Ok(open)
    })
}

fn take_in_tenure(
    place: &Place,
    interrupt: &dyn Interrupt,
    open: &[&Wanted],
    terms: &Terms,
    limit: usize,
) -> Result<Vec<Claim>> {
    let path = place.db_path.as_path();
    let owner = Owner::me().to_string();
    let lease_ms = i64::try_from(terms.lease.as_millis()).unwrap_or(i64::MAX).max(1);
    let mut taken = Vec::new();
    let outcome = commit::write(place, interrupt, |tenure| {
        let (connection, observer) = (tenure.connection(), Observer::now());
        // A tenure that was lost is run again.
        taken.clear();
        for (count, wanted) in open.iter().enumerate() {
            if taken.len() == limit {
                break;
            }
            if count % BETWEEN_RENEWALS == BETWEEN_RENEWALS - 1 {
                tenure.renew()?;
            }
            match Prospect::of(connection, path, wanted, terms, &observer)? {
                Prospect::None => continue,
                Prospect::Watch(_) if mutation::off("stored-looks") => continue,
                Prospect::Watch(claim) => {
                    let seen = (claim.key.as_str(), claim.id.as_str(), claim.beat);
                    claims::observe(connection, path, seen, &observer.name, observer.now_ms)?;
                    continue;
                }
                Prospect::Free => {}
            }
            let claim = StoredClaim {
                key: wanted.key.clone(),
                id: format!("{:016x}", crate::random::rng().random::<u64>()),
                beat: 0,
                lease_ms,
                owner: owner.clone(),
                username: terms.username.clone(),
                program_name: wanted.program.name.clone(),
                schedule: wanted.schedule.clone(),
                failure: None,
                seen_since_ms: None,
            };
            claims::put(connection, path, &claim)?;
            // Others on this node need not wait for a look of their own.
            let seen = (claim.key.as_str(), claim.id.as_str(), claim.beat);
            claims::observe(connection, path, seen, &observer.name, observer.now_ms)?;
            taken.push(Claim::new((*wanted).clone(), claim.id, terms));
        }
        Ok(taken.len())
    });
    match outcome {
        Ok(_) => Ok(taken),
        Err(error) => {
            // They may be in the store all the same, and would be nobody's for their leases.
            unheard::add(taken.iter().map(|claim: &Claim| claim.id().to_owned()));
            Err(error)
        }
    }
}

/// What a tenure can do about a pair.
enum Prospect {
    /// Nothing: it is recorded, claimed and watched, or has failed.
    None,
    /// Begin to watch a claim.
    Watch(StoredClaim),
    /// Claim it.
    Free,
}

impl Prospect {
    fn of(
        connection: &Connection,
        path: &std::path::Path,
        wanted: &Wanted,
        terms: &Terms,
        observer: &Observer,
    ) -> Result<Self> {
        if !terms.refresh && records::exists(connection, path, &wanted.key)? {
            return Ok(Self::None);
        }
        let Some(claim) = claims::get(connection, path, &wanted.key, &observer.name)? else {
            return Ok(Self::Free);
        };
        if unheard::contains(&claim.id) {
            return Ok(Self::Free);
        }
        Ok(match observer.judge(&claim) {
            Standing::Held if claim.seen_since_ms.is_none() => Self::Watch(claim),
            Standing::Held => Self::None,
            Standing::Failed(_) if !terms.retry_failed => Self::None,
            Standing::Failed(_) | Standing::Abandoned(_) => Self::Free,
        })
    }
}
