//! Rows that were recorded one after the other, and what that leaves under each key.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::clock;
use crate::commit::Row;
use crate::error::Result;
use crate::identity::HexDigest;
use crate::measurement::IfExists;
use crate::reads::Hit;
use crate::storage::records::{Record, Recorder};

/// Rows of one recorder in their order, and what they leave.
#[derive(Debug, Default)]
pub(super) struct Layer {
    recorder: Recorder,
    rows: Vec<Arc<Recorded>>,
    left: HashMap<HexDigest, Arc<Recorded>>,
    /// Bytes of text; a program is counted once for rows of it that follow each other.
    size: usize,
    since: Option<Instant>,
}

/// A row, and when it was recorded.
#[derive(Debug)]
pub(super) struct Recorded {
    key: HexDigest,
    pub(super) row: Arc<Row>,
    at: String,
}

impl Layer {
    /// No rows yet, of `recorder`.
    pub(super) fn of(recorder: Recorder) -> Self {
        Self { recorder, ..Self::default() }
    }

    pub(super) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    pub(super) fn push(&mut self, key: HexDigest, row: Arc<Row>) {
        self.since.get_or_insert_with(Instant::now);
        self.put(Arc::new(Recorded { key, row, at: clock::now_iso() }));
    }

    fn put(&mut self, recorded: Arc<Recorded>) {
        self.size += self.size_of_next(&recorded.row);
        if recorded.row.if_exists == IfExists::Overwrite || !self.left.contains_key(&recorded.key) {
            self.left.insert(recorded.key, Arc::clone(&recorded));
        }
        self.rows.push(recorded);
    }

    fn size_of_next(&self, row: &Row) -> usize {
        let is_new = self.rows.last().is_none_or(|last| !Arc::ptr_eq(&last.row.program, &row.program));
        row.size() + if is_new { row.program.source.len() } else { 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn rows(&self) -> Vec<Arc<Row>> {
        self.rows.iter().map(|recorded| Arc::clone(&recorded.row)).collect()
    }

    /// When the first of its rows was recorded.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since.filter(|_| !self.is_empty())
    }

    pub(super) fn find(&self, key: &HexDigest) -> Option<&Arc<Recorded>> {
        self.left.get(key)
    }

    /// Takes the first rows out: as many as have at most `bytes`, or one.
    pub(super) fn take(&mut self, bytes: usize) -> Self {
        let mut rest = Self { since: self.since, ..Self::of(self.recorder.clone()) };
        let mut first = Self { since: self.since, ..Self::of(self.recorder.clone()) };
        for recorded in std::mem::take(self).rows {
            let fits = first.is_empty() || first.size + first.size_of_next(&recorded.row) <= bytes;
            if fits && rest.is_empty() {
                first.put(recorded);
            } else {
                rest.put(recorded);
            }
        }
        *self = rest;
        first
    }
}

impl Recorded {
    /// The record that `recorder` will write.
    pub(super) fn hit(&self, recorder: &Recorder) -> Result<Arc<Hit>> {
        let (row, Recorder { hostname, username, source_project, .. }) = (&self.row, recorder.clone());
        Hit::of(Record {
            key: row.key.clone(),
            program_hash: row.program.hash.clone(),
            schedule: row.schedule.clone(),
            result_json: row.result_json.clone(),
            hostname,
            username,
            creation_date: self.at.clone(),
            update_date: self.at.clone(),
            source_project,
            damaged_column: None,
        })
    }
}
