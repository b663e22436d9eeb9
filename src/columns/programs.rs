//! Programs as columns: how much was measured of each, and what it gained.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field as ArrowField, Schema};
use rusqlite::Connection;

use super::derive;
use super::field::Field;
use super::filter::Filter;
use super::schema::internal;
use super::search::Found;
use super::walk::Walk;
use crate::error::Result;
use crate::storage::programs;

#[derive(Default)]
struct Sums {
    records: i64,
    legal: i64,
    initial: Option<f64>,
    best: Option<f64>,
}

/// Every program, ordered by name and hash: numbers of records and legal ones, the best time without a schedule, the
/// best time of a legal schedule (both in milliseconds), and how many times faster that is.
///
/// # Errors
///
/// As [`super::search`].
pub fn programs(connection: &Connection, path: &Path, between: &dyn Fn() -> Result<()>) -> Result<Found> {
    let mut sums: HashMap<String, Sums> = HashMap::new();
    let filter = Filter::default();
    let walk = Walk { connection, path, filter: &filter, fields: &[Field::Speedup], between };
    let walked = walk.over_wanted(|record| {
        let hash = &record.belongs.program.hash;
        if !sums.contains_key(hash) {
            sums.insert(hash.clone(), Sums { initial: record.belongs.program.initial, ..Sums::default() });
        }
        if let Some(sums) = sums.get_mut(hash) {
            sums.records += 1;
            sums.legal += i64::from(record.content.decoded.is_legal);
            let time = record.min().filter(|_| record.content.decoded.is_legal);
            sums.best = sums.best.into_iter().chain(time).reduce(f64::min);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let names = programs::hashes_by_name(connection, path)?;
    let of = |hash: &String| sums.get(hash);
    let hashes = || names.iter().map(|(_, hash)| hash);
    let count = |pick: fn(&Sums) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(hashes().map(|hash| of(hash).map_or(0, pick))))
    };
    let number = |pick: fn(&Sums) -> Option<f64>| -> ArrayRef {
        Arc::new(hashes().map(|hash| of(hash).and_then(pick)).collect::<Float64Array>())
    };
    let texts = |texts: &mut dyn Iterator<Item = &String>| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(texts))
    };
    let columns: [(&str, DataType, bool, ArrayRef); 7] = [
        ("program_name", DataType::Utf8, false, texts(&mut names.iter().map(|(name, _)| name))),
        ("program_hash", DataType::Utf8, false, texts(&mut hashes())),
        ("n_records", DataType::Int64, false, count(|sums| sums.records)),
        ("n_legal", DataType::Int64, false, count(|sums| sums.legal)),
        ("initial_time", DataType::Float64, true, number(|sums| sums.initial)),
        ("min_time", DataType::Float64, true, number(|sums| sums.best)),
        ("speedup", DataType::Float64, true, number(|sums| derive::speedup(sums.initial, sums.best))),
    ];
    let fields =
        columns.iter().map(|(name, kind, nullable, _)| ArrowField::new(*name, kind.clone(), *nullable));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let arrays = columns.into_iter().map(|(.., array)| array).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(internal)?;
    let batches = if batch.num_rows() > 0 { vec![batch] } else { Vec::new() };
    Ok(Found { schema, batches, damaged: walked.damaged })
}
