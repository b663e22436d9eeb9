//! `tirastore._core.Buffer`: what the Python class `WriteBuffer` is made of.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::blocking::blocking;
use super::convert::{self, seconds};
use super::rows::hit;
use super::store::Store;
use crate::measurement::Measurement;
use crate::store::{Buffer as Core, HandedOver, Limits};

#[pyclass(frozen, module = "tirastore._core")]
pub(super) struct Buffer {
    core: Core,
}

#[pymethods]
impl Buffer {
    #[new]
    #[pyo3(signature = (store, *, max_records, max_seconds, background))]
    fn new(
        store: &Bound<'_, Store>,
        max_records: usize,
        max_seconds: f64,
        background: bool,
    ) -> PyResult<Self> {
        let age = seconds("max_seconds", max_seconds)?;
        let limits = Limits { records: max_records, age: background.then_some(age) };
        Ok(Self { core: Core::new(Arc::clone(&store.get().core), limits)? })
    }

    /// The process whose records these are.
    #[getter]
    fn owner(&self) -> u32 {
        self.core.owner()
    }

    #[allow(clippy::too_many_arguments)] // those of TiraStore.record
    fn record(
        &self,
        py: Python<'_>,
        program_name: String,
        source: String,
        schedule: String,
        is_legal: &Bound<'_, PyAny>,
        execution_times: Option<&Bound<'_, PyAny>>,
        if_exists: &str,
        status: Option<&Bound<'_, PyAny>>,
        details: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let if_exists = convert::if_exists(if_exists)?;
        let outcome = convert::outcome(is_legal, execution_times, status, details)?;
        let measurement = Measurement { program_name, program_source_code: source, schedule, outcome };
        blocking(py, |interrupt| self.core.record(&measurement, if_exists, interrupt))
    }

    fn lookup<'py>(
        &self,
        py: Python<'py>,
        source: &str,
        schedule: &str,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let found = blocking(py, |interrupt| self.core.lookup(source, schedule, interrupt))?;
        found.as_deref().map(|found| hit(py, found)).transpose()
    }

    #[getter]
    fn pending(&self, py: Python<'_>) -> usize {
        py.detach(|| self.core.pending())
    }

    fn flush(&self, py: Python<'_>) -> PyResult<usize> {
        blocking(py, |interrupt| self.core.flush(interrupt))
    }

    /// How many records were handed over; nothing where they can be only after the call that the caller has interrupted.
    fn post(&self, py: Python<'_>) -> PyResult<Option<usize>> {
        Ok(match blocking(py, |interrupt| self.core.post(interrupt))? {
            HandedOver::Safe(count) => Some(count),
            HandedOver::Later => None,
        })
    }
}
