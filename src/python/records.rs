//! `tirastore._core.Records`: batches of Arrow arrays, handed out through Arrow's C interface.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch, StructArray};
use arrow_schema::{DataType, Field as ArrowField};
use numpy::{PyArray2, PyArrayMethods};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyList};
use pyo3_arrow::ffi::{ArrayIterator, to_schema_pycapsule, to_stream_pycapsule};

use super::rows::Damaged;
use crate::columns::{Field, Found};

#[pyclass(frozen, module = "tirastore._core")]
pub(super) struct Records {
    found: Found,
}

impl From<Found> for Records {
    fn from(found: Found) -> Self {
        Self { found }
    }
}

#[pymethods]
impl Records {
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_schema_pycapsule(py, self.found.schema.as_ref())?)
    }

    /// A consumer may ask for other types; it gets these where its own cannot be made of them.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let row = ArrowField::new_struct("", self.found.schema.fields().clone(), false);
        let batches = self.found.batches.clone().into_iter();
        let rows = batches.map(|batch| Ok(Arc::new(StructArray::from(batch)) as ArrayRef));
        let reader = ArrayIterator::new(rows, Arc::new(row));
        Ok(to_stream_pycapsule(py, Box::new(reader), requested_schema)?)
    }

    fn __len__(&self) -> usize {
        self.found.rows()
    }

    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.found.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// What the values take, however much was allocated for them.
    #[getter]
    fn nbytes(&self) -> PyResult<usize> {
        let columns = self.found.batches.iter().flat_map(RecordBatch::columns);
        let sizes = columns.map(|column| column.to_data().get_slice_memory_size());
        sizes.sum::<Result<_, _>>().map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Key and cause of each row that was left out.
    #[getter]
    fn damaged(&self) -> Vec<Damaged> {
        self.found.damaged.iter().map(|row| (row.key.clone(), row.cause.clone())).collect()
    }

    fn slice(&self, start: usize, length: usize) -> Self {
        Self { found: self.found.slice(start, length) }
    }

    /// One record, column name to value.
    fn row<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyDict>> {
        let one = self.found.slice(index, 1);
        let batch = one.batches.first().ok_or_else(|| PyIndexError::new_err("no such record"))?;
        let row = PyDict::new(py);
        for (field, column) in self.found.schema.fields().iter().zip(batch.columns()) {
            row.set_item(field.name(), cell(py, column.as_ref(), 0)?)?;
        }
        Ok(row)
    }

    /// Execution times, a row for each record, padded with NaN.
    fn times<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let name = Field::ExecutionTimes.name();
        let lists =
            || self.found.batches.iter().filter_map(|batch| batch.column_by_name(name)?.as_list_opt::<i32>());
        if self.found.schema.column_with_name(name).is_none() {
            let text = format!("these records were searched for without the column {name:?}");
            return Err(PyValueError::new_err(text));
        }
        let width = lists().flat_map(|list| list.offsets().lengths()).max().unwrap_or(0);
        let array = PyArray2::<f64>::zeros(py, [self.found.rows(), width], false);
        let mut writable = array.readwrite();
        let rows = lists().flat_map(|list| list.iter());
        for (mut row, times) in writable.as_array_mut().rows_mut().into_iter().zip(rows) {
            row.fill(f64::NAN);
            if let Some(times) = times {
                let times = times.as_primitive::<Float64Type>().values().iter();
                row.iter_mut().zip(times).for_each(|(cell, time)| *cell = *time);
            }
        }
        drop(writable);
        Ok(array)
    }
}

fn cell<'py>(py: Python<'py>, array: &dyn Array, index: usize) -> PyResult<Bound<'py, PyAny>> {
    if array.is_null(index) {
        return Ok(py.None().into_bound(py));
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(index).into_bound_py_any(py),
        DataType::Boolean => array.as_boolean().value(index).into_bound_py_any(py),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(index).into_bound_py_any(py),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(index).into_bound_py_any(py),
        DataType::Timestamp(..) => {
            datetime(py, array.as_primitive::<TimestampMicrosecondType>().value(index))
        }
        DataType::Dictionary(..) => {
            let names = array.as_dictionary::<Int32Type>();
            cell(py, names.values().as_ref(), names.key(index).unwrap_or(0))
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(index);
            let items =
                (0..items.len()).map(|item| cell(py, items.as_ref(), item)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items)?.into_bound_py_any(py)
        }
        DataType::Struct(fields) => {
            let dict = PyDict::new(py);
            for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                dict.set_item(field.name(), cell(py, column.as_ref(), index)?)?;
            }
            dict.into_bound_py_any(py)
        }
        other => Err(PyValueError::new_err(format!("a value of type {other} has no form in Python"))),
    }
}

fn datetime(py: Python<'_>, unix_microseconds: i64) -> PyResult<Bound<'_, PyAny>> {
    let module = py.import("datetime")?;
    let utc = module.getattr("UTC")?;
    let epoch = module.getattr("datetime")?.call1((1970, 1, 1, 0, 0, 0, 0, utc))?;
    let since = module.getattr("timedelta")?.call1((0, 0, unix_microseconds))?;
    epoch.add(since)
}
