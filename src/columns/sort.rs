//! Records in the order of some of their fields.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use arrow_ord::sort::{SortColumn, lexsort_to_indices};
use arrow_schema::SortOptions;
use arrow_select::concat::concat;
use arrow_select::interleave::interleave_record_batch;

use super::field::{Field, Kind};
use super::schema::internal;
use crate::error::{Error, Result};

/// Rows of a batch of the result.
pub(super) const BATCH: usize = 65_536;

/// An order of records; those without a value come last.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    pub(super) fields: Vec<Field>,
    pub(super) descending: bool,
}

impl Order {
    /// An order.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] where a field holds lists, which have none.
    pub(super) fn by(fields: Vec<Field>, descending: bool) -> Result<Self> {
        for field in &fields {
            if matches!(field.kind(), Kind::Times | Kind::Kinds | Kind::Features) {
                let text = format!("the field {:?} holds lists: nothing can be sorted by it", field.name());
                return Err(Error::InvalidArgument(text));
            }
        }
        Ok(Self { fields, descending })
    }

    /// The first `limit` rows of `batches`, whose columns are `columns`, in this order; equal ones in theirs.
    pub(super) fn first(
        &self,
        batches: &[RecordBatch],
        columns: &[Field],
        limit: Option<usize>,
    ) -> Result<Vec<RecordBatch>> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if rows == 0 {
            return Ok(Vec::new());
        }
        let options = SortOptions { descending: self.descending, nulls_first: false };
        let mut keys = Vec::with_capacity(self.fields.len() + 1);
        for field in &self.fields {
            let at = columns.iter().position(|column| column == field);
            let parts: Vec<_> = batches.iter().filter_map(|batch| Some(batch.column(at?).as_ref())).collect();
            keys.push(SortColumn { values: concat(&parts).map_err(internal)?, options: Some(options) });
        }
        let places: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..rows as u64));
        keys.push(SortColumn { values: places, options: None });
        let order = lexsort_to_indices(&keys, limit).map_err(internal)?;
        drop(keys);
        let starts: Vec<usize> = batches
            .iter()
            .scan(0, |start, batch| {
                *start += batch.num_rows();
                Some(*start - batch.num_rows())
            })
            .collect();
        let place = |index: u32| {
            let batch = starts.partition_point(|start| *start <= index as usize) - 1;
            (batch, index as usize - starts[batch])
        };
        let all: Vec<_> = batches.iter().collect();
        let chunks = order.values().chunks(BATCH);
        chunks
            .map(|chunk| {
                let places: Vec<_> = chunk.iter().map(|index| place(*index)).collect();
                interleave_record_batch(&all, &places).map_err(internal)
            })
            .collect()
    }
}
