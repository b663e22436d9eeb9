//! The Arrow types of columns.

use std::sync::Arc;

use arrow_schema::{ArrowError, DataType, Field as ArrowField, Fields, Schema, SchemaRef, TimeUnit};

use super::field::{Field, Kind};
use crate::error::Error;

pub(super) const UTC: &str = "UTC";

/// The schema of these columns.
pub(super) fn schema_of(columns: &[Field]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|field| arrow_field(*field)).collect::<Vec<_>>()))
}

fn arrow_field(field: Field) -> ArrowField {
    ArrowField::new(field.name(), data_type(field.kind()), is_nullable(field))
}

/// A record without these would be damaged.
fn is_nullable(field: Field) -> bool {
    !matches!(field, Field::Key | Field::ProgramHash | Field::Schedule | Field::IsLegal | Field::Runs)
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Text => DataType::Utf8,
        Kind::Name => name_type(),
        Kind::Truth => DataType::Boolean,
        Kind::Count => DataType::Int64,
        Kind::Number => DataType::Float64,
        Kind::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        Kind::Times => list_of(DataType::Float64),
        Kind::Kinds => list_of(DataType::Utf8),
        Kind::Features => list_of(DataType::Struct(feature_fields())),
    }
}

pub(super) fn name_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// One transformation: its name, the levels and factors it has, and the computations it applies to.
pub(super) fn feature_fields() -> Fields {
    Fields::from(vec![
        ArrowField::new("kind", DataType::Utf8, true),
        ArrowField::new("levels", list_of(DataType::Int64), true),
        ArrowField::new("factors", list_of(DataType::Int64), true),
        ArrowField::new("comps", list_of(DataType::Utf8), true),
    ])
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(ArrowField::new("item", item, true)))
}

/// Arrays that do not fit together are a mistake in this room, never of a caller.
#[allow(clippy::needless_pass_by_value)] // for map_err
pub(super) fn internal(error: ArrowError) -> Error {
    Error::InvalidArgument(format!("the result does not fit into Arrow arrays: {error}"))
}
