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

/// Rows in their order, and what they leave.
#[derive(Debug, Default)]
pub(super) struct Layer {
    rows: Vec<Arc<Row>>,
    left: HashMap<HexDigest, Recorded>,
    since: Option<Instant>,
}

/// A row, and when it was recorded.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) row: Arc<Row>,
    at: String,
}

impl Layer {
    pub(super) fn push(&mut self, key: HexDigest, row: Arc<Row>) {
        self.since.get_or_insert_with(Instant::now);
        if row.if_exists == IfExists::Overwrite || !self.left.contains_key(&key) {
            self.left.insert(key, Recorded { row: Arc::clone(&row), at: clock::now_iso() });
        }
        self.rows.push(row);
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// When the first of its rows was recorded.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since.filter(|_| !self.is_empty())
    }

    pub(super) fn find(&self, key: &HexDigest) -> Option<&Recorded> {
        self.left.get(key)
    }

    /// Takes the first rows out: as many as have at most `bytes`, or one. They are still found.
    pub(super) fn take_rows(&mut self, bytes: usize) -> Vec<Arc<Row>> {
        let (mut size, mut source) = (0, std::ptr::null());
        let fits = self.rows.iter().take_while(|row| {
            size += row.size();
            if !std::ptr::eq(source, Arc::as_ptr(&row.program)) {
                source = Arc::as_ptr(&row.program);
                size += row.program.source.len();
            }
            size <= bytes
        });
        let count = fits.count().max(1).min(self.rows.len());
        if count == self.rows.len() {
            return std::mem::take(&mut self.rows);
        }
        self.rows.drain(..count).collect()
    }

    /// Puts rows back that were taken out.
    pub(super) fn put_back(&mut self, rows: Vec<Arc<Row>>) {
        self.rows.splice(..0, rows);
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
