//! The Arrow arrays of one batch of records, while it is filled.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;

use super::dictionary::Dictionary;
use super::features::Features;
use super::field::{Field, Kind};
use super::record::Record;
use super::schema::{UTC, internal, schema_of};
use super::value::Value;
use crate::error::Result;

/// Columns of equal length that grow.
pub(super) struct Batch {
    schema: SchemaRef,
    columns: Vec<(Field, Column)>,
    rows: usize,
}

enum Column {
    Text(StringBuilder),
    Name(Box<Dictionary>),
    Truth(BooleanBuilder),
    Count(Int64Builder),
    Number(Float64Builder),
    Instant(TimestampMicrosecondBuilder),
    Times(ListBuilder<Float64Builder>),
    Kinds(ListBuilder<StringBuilder>),
    Features(Box<Features>),
}

impl Batch {
    pub(super) fn new(fields: &[Field]) -> Self {
        let columns = fields.iter().map(|field| (*field, Column::of(field.kind()))).collect();
        Self { schema: schema_of(fields), columns, rows: 0 }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn push(&mut self, record: &Record<'_>) {
        for (field, column) in &mut self.columns {
            column.push(record.value(*field));
        }
        self.rows += 1;
    }

    /// What was pushed; an empty batch stays.
    pub(super) fn finish(&mut self) -> Result<RecordBatch> {
        let arrays = self.columns.iter_mut().map(|(_, column)| column.finish()).collect::<Result<_>>()?;
        // Without any column the number of rows would be lost.
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options).map_err(internal)
    }
}

impl Column {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Name => Self::Name(Box::default()),
            Kind::Truth => Self::Truth(BooleanBuilder::new()),
            Kind::Count => Self::Count(Int64Builder::new()),
            Kind::Number => Self::Number(Float64Builder::new()),
            Kind::Instant => Self::Instant(TimestampMicrosecondBuilder::new().with_timezone(UTC)),
            Kind::Times => Self::Times(ListBuilder::new(Float64Builder::new())),
            Kind::Kinds => Self::Kinds(ListBuilder::new(StringBuilder::new())),
            Kind::Features => Self::Features(Box::default()),
        }
    }

    /// A value of another type than the column's is none of it.
    fn push(&mut self, value: Value<'_>) {
        match (self, value) {
            (Self::Text(column), Value::Text(text)) => column.append_value(text),
            (Self::Text(column), _) => column.append_null(),
            (Self::Name(column), Value::Text(text)) => column.push(Some(text)),
            (Self::Name(column), _) => column.push(None),
            (Self::Truth(column), Value::Truth(truth)) => column.append_value(truth),
            (Self::Truth(column), _) => column.append_null(),
            (Self::Count(column), Value::Count(count)) => column.append_value(count),
            (Self::Count(column), _) => column.append_null(),
            (Self::Number(column), Value::Number(number)) => column.append_value(number),
            (Self::Number(column), _) => column.append_null(),
            (Self::Instant(column), Value::Instant(instant)) => column.append_value(instant),
            (Self::Instant(column), _) => column.append_null(),
            (Self::Times(column), Value::Times(times)) => {
                column.values().append_slice(times);
                column.append(true);
            }
            (Self::Times(column), _) => column.append(false),
            (Self::Kinds(column), Value::Kinds(kinds)) => {
                for kind in kinds {
                    column.values().append_value(kind.name());
                }
                column.append(true);
            }
            (Self::Kinds(column), _) => column.append(false),
            (Self::Features(column), Value::Features(features)) => column.push(Some(features)),
            (Self::Features(column), _) => column.push(None),
        }
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Text(column) => Arc::new(column.finish()),
            Self::Name(column) => return column.finish(),
            Self::Truth(column) => Arc::new(column.finish()),
            Self::Count(column) => Arc::new(column.finish()),
            Self::Number(column) => Arc::new(column.finish()),
            Self::Instant(column) => Arc::new(column.finish()),
            Self::Times(column) => Arc::new(column.finish()),
            Self::Kinds(column) => Arc::new(column.finish()),
            Self::Features(column) => column.finish(),
        })
    }
}
