//! Searches: the records that a filter lets pass, as batches of Arrow arrays.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use rusqlite::Connection;

use super::batch::Batch;
use super::field::Field;
use super::filter::Filter;
use super::record::Record;
use super::schema::{internal, schema_of};
use super::sort::{BATCH, Order};
use super::walk::{Damaged, Walk, Walked};
use crate::error::Result;
use crate::storage::columns::{self, Narrow, Rows};

/// Which records are wanted, and what of them.
#[derive(Debug, Clone)]
pub struct Query {
    filter: Filter,
    columns: Vec<Field>,
    order: Order,
    limit: Option<usize>,
    offset: usize,
}

/// Records as columns.
#[derive(Debug, Clone)]
pub struct Found {
    /// Of every batch.
    pub schema: SchemaRef,
    /// None of them empty.
    pub batches: Vec<RecordBatch>,
    /// Rows that were left out because they cannot be told truly.
    pub damaged: Vec<Damaged>,
}

/// A part of a scan.
#[derive(Debug, Clone)]
pub struct Scanned {
    /// The records of this part.
    pub found: Found,
    /// Where the next part begins; `None` behind the last.
    pub next: Option<i64>,
}

impl Query {
    /// The records that `filter` lets pass, in the order in which they were recorded.
    #[must_use]
    pub fn new(filter: Filter, columns: Vec<Field>) -> Self {
        Self { filter, columns, order: Order::default(), limit: None, offset: 0 }
    }

    /// Sorted by these fields, records without a value last.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) where a field holds lists.
    pub fn sorted_by(self, fields: Vec<Field>, descending: bool) -> Result<Self> {
        Ok(Self { order: Order::by(fields, descending)?, ..self })
    }

    /// Without the first `offset`, and at most `limit`.
    #[must_use]
    pub fn page(self, offset: usize, limit: Option<usize>) -> Self {
        Self { limit, offset, ..self }
    }

    /// Does an index find the rows? Then it is a short read.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        self.filter.narrow() != Narrow::Everything
    }

    /// How many rows are needed at most to answer.
    fn most(&self) -> Option<usize> {
        self.limit.map(|limit| limit.saturating_add(self.offset))
    }

    /// The columns that are asked for, and those to sort by.
    fn all_columns(&self) -> Vec<Field> {
        let mut all = self.columns.clone();
        for field in &self.order.fields {
            if !all.contains(field) {
                all.push(*field);
            }
        }
        all
    }
}

/// Answers `query` from one state of the database. `between` is called after every few thousand rows and may end it.
///
/// # Errors
///
/// [`Error::Sqlite`](crate::Error::Sqlite) and those of `between`.
pub fn search(
    connection: &Connection,
    path: &Path,
    query: &Query,
    between: &dyn Fn() -> Result<()>,
) -> Result<Found> {
    let fields = query.all_columns();
    let walk = Walk { connection, path, filter: &query.filter, fields: &fields, between };
    let mut batch = Batch::new(&fields);
    let mut batches = Vec::new();
    let (most, is_sorted) = (query.most(), !query.order.fields.is_empty());
    let mut taken = 0;
    let visit = |record: &Record<'_>| {
        batch.push(record);
        taken += 1;
        if batch.rows() == BATCH {
            batches.push(batch.finish()?);
            if let Some(most) = most.filter(|_| is_sorted) {
                // What is not among the first so far is not among them in the end.
                batches = query.order.first(&batches, &fields, Some(most))?;
            }
        }
        let is_enough = !is_sorted && most == Some(taken);
        Ok(if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    let walked = if most == Some(0) { Walked::default() } else { walk.over_wanted(visit)? };
    batches.push(batch.finish()?);
    if is_sorted {
        batches = query.order.first(&batches, &fields, most)?;
    }
    let schema = schema_of(&query.columns);
    let wanted: Vec<usize> = (0..query.columns.len()).collect();
    let mut skip = query.offset;
    let mut shown = Vec::with_capacity(batches.len());
    for whole in batches {
        let from = skip.min(whole.num_rows());
        skip -= from;
        let rest = whole.slice(from, whole.num_rows() - from);
        if rest.num_rows() > 0 {
            shown.push(rest.project(&wanted).map_err(internal)?);
        }
    }
    Ok(Found { schema, batches: shown, damaged: walked.damaged })
}

/// The next part of a scan of the whole store, which looks at `rows` rows behind `from`. Its order is the one in which
/// records were recorded; those that are recorded meanwhile come last.
///
/// # Errors
///
/// As [`search`].
pub fn scan(
    connection: &Connection,
    path: &Path,
    query: &Query,
    (from, rows): (i64, usize),
    between: &dyn Fn() -> Result<()>,
) -> Result<Scanned> {
    let walk = Walk { connection, path, filter: &query.filter, fields: &query.columns, between };
    let mut batch = Batch::new(&query.columns);
    let walked = walk.over(Rows::Behind(from, Some(rows)), |record| {
        batch.push(record);
        Ok(ControlFlow::Continue(()))
    })?;
    let batches = if batch.rows() > 0 { vec![batch.finish()?] } else { Vec::new() };
    let found = Found { schema: schema_of(&query.columns), batches, damaged: walked.damaged };
    let next = walked.last.filter(|_| walked.rows >= rows as u64);
    Ok(Scanned { found, next })
}

/// What SQLite does to find the records, and what of the filter is decided on decoded ones.
///
/// # Errors
///
/// [`Error::Sqlite`](crate::Error::Sqlite).
pub fn explain(connection: &Connection, path: &Path, filter: &Filter) -> Result<String> {
    let mut lines = columns::plan(connection, path, &filter.narrow())?;
    let lists = filter.lists().iter().map(|list| {
        let tests: Vec<_> = list.iter().map(super::filter::Test::text).collect();
        if tests.is_empty() { "every record".to_owned() } else { tests.join(" and ") }
    });
    lines.push(format!("then of the decoded records: {}", lists.collect::<Vec<_>>().join("; or ")));
    Ok(lines.join("\n"))
}

impl Found {
    /// Number of records.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The records from `start`, `length` of them, without a copy.
    #[must_use]
    pub fn slice(&self, start: usize, length: usize) -> Self {
        let (mut skip, mut left) = (start, length);
        let mut batches = Vec::new();
        for batch in &self.batches {
            let from = skip.min(batch.num_rows());
            let rows = left.min(batch.num_rows() - from);
            skip -= from;
            left -= rows;
            if rows > 0 {
                batches.push(batch.slice(from, rows));
            }
        }
        Self { schema: Arc::clone(&self.schema), batches, damaged: Vec::new() }
    }
}
