//! Records that this process has seen, for as long as they are what the store holds.
//!
//! What is kept belongs to one *stamp*: the database file, its fence number, and the epoch in its header, which every
//! overwrite and delete raises and no insert. A hit counts if the token has the name still under which the stamp was
//! read, or if the stamp is the same (`lock_free::still_has`), whether somebody writes or not. If it is another one,
//! everything is forgotten. Nothing of an attempt that was not accepted gets here.

use std::collections::HashMap;
use std::mem;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::lock_free::{self, Still};
use crate::error::Result;
use crate::identity::HexDigest;
use crate::lock::{Place, Sequence};
use crate::measurement::Outcome;
use crate::mutation;
use crate::storage::records::Record;

/// Bytes of an entry beside its texts and times.
const OVERHEAD: usize = 512;

/// What identifies the records that a store holds, apart from new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Device and inode of the database file.
    pub(crate) file: (u64, u64),
    pub(crate) fence: u64,
    /// `user_version` in the header.
    pub(crate) epoch: u32,
}

/// A record, decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The row.
    pub record: Record,
    /// What was measured.
    pub outcome: Outcome,
}

impl Hit {
    /// Decodes a row.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRecord`](crate::Error::CorruptRecord).
    pub fn of(record: Record) -> Result<Arc<Self>> {
        let outcome = record.outcome()?;
        Ok(Arc::new(Self { record, outcome }))
    }

    fn size(&self) -> usize {
        let times = self.outcome.execution_times.as_ref().map_or(0, |times| 8 * times.len());
        OVERHEAD + times + self.record.schedule.len() + self.record.result_json.len()
    }
}

/// What a cache holds and how often it helped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HitCounts {
    /// Lookups that were answered from it.
    pub hits: u64,
    /// Lookups that were not.
    pub misses: u64,
    /// Records in it.
    pub entries: usize,
    /// Bytes that it takes, about.
    pub bytes: usize,
    /// Bytes that it may take.
    pub limit: usize,
}

/// A bounded cache of records. Half of it is young: what is used again when the young half is full stays.
#[derive(Debug)]
pub(crate) struct Hits {
    limit: usize,
    found: AtomicU64,
    missed: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    stamp: Option<Stamp>,
    /// The token's name, under which the stamp was read.
    sequence: Option<Arc<Sequence>>,
    young: HashMap<HexDigest, Arc<Hit>>,
    old: HashMap<HexDigest, Arc<Hit>>,
    young_bytes: usize,
    old_bytes: usize,
    owner: u32,
}

impl Hits {
    /// A cache of at most about `limit` bytes; none with 0.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, found: AtomicU64::new(0), missed: AtomicU64::new(0), kept: Mutex::default() }
    }

    /// Nobody waits for it: a fork may have caught its lock.
    fn kept(&self) -> Option<MutexGuard<'_, Kept>> {
        let mut kept = self.kept.try_lock().ok().filter(|_| self.limit > 0)?;
        if kept.owner != process::id() {
            *kept = Kept { owner: process::id(), ..Kept::default() };
        }
        Some(kept)
    }

    /// The records under `keys`, if all of them are here and still what the store holds. One look at the token, where
    /// nobody has taken it since.
    pub(super) fn all(&self, place: &Place, keys: &[HexDigest]) -> Result<Option<Vec<Arc<Hit>>>> {
        let Some((stamp, sequence, found)) = self.find(keys) else { return Ok(None) };
        if !mutation::off("validate-hits") && !sequence.still_stands()? {
            match lock_free::still_has(place, stamp)? {
                Still::No => return Ok(None),
                Still::Had => {}
                Still::Has(sequence) => self.accept(stamp, &sequence),
            }
        }
        self.found.fetch_add(keys.len() as u64, Ordering::Relaxed);
        Ok(Some(found))
    }

    fn find(&self, keys: &[HexDigest]) -> Option<(Stamp, Arc<Sequence>, Vec<Arc<Hit>>)> {
        let mut kept = self.kept()?;
        let (stamp, sequence) = (kept.stamp?, Arc::clone(kept.sequence.as_ref()?));
        let found = keys.iter().map(|key| kept.get(key, self.limit)).collect::<Option<_>>()?;
        Some((stamp, sequence, found))
    }

    /// The record under `key`, for a reader that has read `stamp` itself.
    pub(super) fn under(&self, stamp: Stamp, key: &HexDigest) -> Option<Arc<Hit>> {
        let mut kept = self.kept()?;
        let hit = if kept.stamp == Some(stamp) { kept.get(key, self.limit) } else { None };
        let counter = if hit.is_some() { &self.found } else { &self.missed };
        counter.fetch_add(1, Ordering::Relaxed);
        hit
    }

    /// An accepted read saw `stamp` under the name `sequence`.
    pub(super) fn accept(&self, stamp: Stamp, sequence: &Arc<Sequence>) {
        let Some(mut kept) = self.kept() else { return };
        if kept.stamp != Some(stamp) {
            *kept = Kept { stamp: Some(stamp), owner: kept.owner, ..Kept::default() };
        }
        kept.sequence = Some(Arc::clone(sequence));
    }

    /// Keeps what an accepted read under `stamp` has found.
    pub(super) fn put(&self, stamp: Stamp, key: HexDigest, hit: &Arc<Hit>) {
        let Some(mut kept) = self.kept() else { return };
        if kept.stamp == Some(stamp) && kept.get(&key, self.limit).is_none() {
            kept.put(key, Arc::clone(hit), self.limit);
        }
    }

    pub(crate) fn counts(&self) -> HitCounts {
        let (entries, bytes) = self
            .kept()
            .map_or((0, 0), |kept| (kept.young.len() + kept.old.len(), kept.young_bytes + kept.old_bytes));
        HitCounts {
            hits: self.found.load(Ordering::Relaxed),
            misses: self.missed.load(Ordering::Relaxed),
            entries,
            bytes,
            limit: self.limit,
        }
    }
}

impl Kept {
    fn get(&mut self, key: &HexDigest, limit: usize) -> Option<Arc<Hit>> {
        if let Some(hit) = self.young.get(key) {
            return Some(Arc::clone(hit));
        }
        let hit = self.old.remove(key)?;
        self.old_bytes -= hit.size();
        self.put(*key, Arc::clone(&hit), limit);
        Some(hit)
    }

    fn put(&mut self, key: HexDigest, hit: Arc<Hit>, limit: usize) {
        let size = hit.size();
        if size > limit / 2 {
            return;
        }
        if self.young_bytes + size > limit / 2 {
            self.old = mem::take(&mut self.young);
            self.old_bytes = mem::take(&mut self.young_bytes);
        }
        self.young_bytes += size;
        self.young.insert(key, hit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { file: (1, 2), fence: 3, epoch: 4 };

    fn key(number: usize) -> HexDigest {
        HexDigest::of(&number.to_le_bytes())
    }

    fn hit(bytes: usize) -> Arc<Hit> {
        let record = Record { schedule: "s".repeat(bytes), ..Record::default() };
        let outcome = Outcome::of(false, None);
        Arc::new(Hit { record, outcome })
    }

    fn cache(limit: usize) -> Hits {
        let hits = Hits::new(limit);
        hits.accept(STAMP, &Arc::new(Sequence::for_tests()));
        hits
    }

    #[test]
    fn a_cache_never_takes_more_than_it_may() {
        let hits = cache(100_000);
        for number in 0..1000 {
            hits.put(STAMP, key(number), &hit(700));
            assert!(hits.counts().bytes <= 100_000);
        }
        assert!(hits.counts().entries > 30, "{:?}", hits.counts());
    }

    #[test]
    fn what_is_used_stays() {
        let hits = cache(100_000);
        hits.put(STAMP, key(0), &hit(700));
        for number in 1..1000 {
            hits.put(STAMP, key(number), &hit(700));
            assert!(hits.under(STAMP, &key(0)).is_some(), "after {number}");
        }
        assert!(hits.under(STAMP, &key(1)).is_none());
    }

    #[test]
    fn another_stamp_forgets_everything() {
        let hits = cache(100_000);
        hits.put(STAMP, key(0), &hit(10));
        assert!(hits.under(Stamp { epoch: 5, ..STAMP }, &key(0)).is_none());
        hits.accept(Stamp { epoch: 5, ..STAMP }, &Arc::new(Sequence::for_tests()));
        assert_eq!((hits.counts().entries, hits.counts().bytes), (0, 0));
        hits.put(STAMP, key(1), &hit(10));
        assert!(hits.find(&[key(1)]).is_none(), "read before the epoch was raised");
    }

    #[test]
    fn one_record_that_is_too_big_does_not_empty_the_cache() {
        let hits = cache(10_000);
        hits.put(STAMP, key(0), &hit(10));
        hits.put(STAMP, key(1), &hit(9_000));
        assert!(hits.under(STAMP, &key(0)).is_some());
        assert!(hits.under(STAMP, &key(1)).is_none());
    }
}
