//! Schedules as lists of transformations that a cost model can read.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{ArrayBuilder, Int64Builder, ListBuilder, StringBuilder, StructBuilder};

use super::schema::feature_fields;
use crate::identity::schedule::{Level, Transformation};

/// A column of one batch.
pub(super) struct Features(ListBuilder<StructBuilder>);

impl Default for Features {
    fn default() -> Self {
        let columns: Vec<Box<dyn ArrayBuilder>> = vec![
            Box::new(StringBuilder::new()),
            Box::new(ListBuilder::new(Int64Builder::new())),
            Box::new(ListBuilder::new(Int64Builder::new())),
            Box::new(ListBuilder::new(StringBuilder::new())),
        ];
        Self(ListBuilder::new(StructBuilder::new(feature_fields(), columns)))
    }
}

impl Features {
    /// `None` for schedules of other notations.
    pub(super) fn push(&mut self, transformations: Option<&[Arc<Transformation>]>) {
        for transformation in transformations.unwrap_or_default() {
            push_one(self.0.values(), transformation);
        }
        self.0.append(transformations.is_some());
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

fn push_one(builder: &mut StructBuilder, transformation: &Transformation) {
    if let Some(kind) = builder.field_builder::<StringBuilder>(0) {
        kind.append_value(transformation.name());
    }
    if let Some(levels) = builder.field_builder::<ListBuilder<Int64Builder>>(1) {
        levels.append_value(transformation.levels().iter().map(number));
    }
    if let Some(factors) = builder.field_builder::<ListBuilder<Int64Builder>>(2) {
        factors.append_value(transformation.factors());
    }
    if let Some(comps) = builder.field_builder::<ListBuilder<StringBuilder>>(3) {
        comps.append_value(transformation.comps().iter().map(|comp| Some(comp.as_str())));
    }
    builder.append(true);
}

/// The innermost level has no number of its own.
fn number(level: &Level) -> Option<i64> {
    if level.is_innermost() { Some(-1) } else { level.index().and_then(|index| i64::try_from(index).ok()) }
}
