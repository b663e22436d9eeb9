//! Rows under their keys, as the original stores them.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::super::blocking::blocking;
use super::super::rows::row_dict;
use super::Store;
use crate::error::Error;
use crate::storage::records::{NewRecord, Page, Recorder};
use crate::storage::result_json;

#[pymethods]
impl Store {
    fn get<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        let row = blocking(py, |interrupt| self.core.get(key, interrupt))?;
        row.map(|row| row_dict(py, &row)).transpose()
    }

    fn contains_key(&self, py: Python<'_>, key: &str) -> PyResult<bool> {
        blocking(py, |interrupt| self.core.contains_key(key, interrupt))
    }

    fn put(
        &self,
        py: Python<'_>,
        key: &str,
        program_hash: &str,
        schedule: &str,
        result_json: &str,
        overwrite: bool,
    ) -> PyResult<bool> {
        self.core.check_writes()?;
        let outcome = result_json::decode(result_json)
            .map_err(|cause| Error::InvalidMeasurement(format!("result_json: {cause}")))?;
        outcome.validate()?;
        let row = NewRecord { key, program_hash, schedule, result_json };
        blocking(py, |interrupt| {
            self.core.put(&[row], None, overwrite, interrupt).map(|written| written == 1)
        })
    }

    /// Rows of (key, schedule, result) as they are, unchecked: for the original's internal `Store`.
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)] // the original's; extracted by value
    fn put_raw(
        &self,
        py: Python<'_>,
        rows: Vec<(String, String, String)>,
        program_hash: &str,
        hostname: String,
        username: String,
        source_project: String,
        overwrite: bool,
    ) -> PyResult<usize> {
        let recorder = Recorder { hostname, username, source_project, environment: None };
        let rows: Vec<_> = rows
            .iter()
            .map(|(key, schedule, result_json)| NewRecord { key, program_hash, schedule, result_json })
            .collect();
        blocking(py, |interrupt| self.core.put(&rows, Some(&recorder), overwrite, interrupt))
    }

    fn delete(&self, py: Python<'_>, key: &str) -> PyResult<bool> {
        blocking(py, |interrupt| self.core.delete(key, interrupt))
    }

    #[pyo3(signature = (limit, offset, after))]
    fn keys(&self, py: Python<'_>, limit: i64, offset: i64, after: Option<&str>) -> PyResult<Vec<String>> {
        blocking(py, |interrupt| self.core.keys(Page { limit, offset, after }, interrupt))
    }

    fn get_meta(&self, py: Python<'_>, name: &str) -> PyResult<Option<String>> {
        blocking(py, |interrupt| self.core.meta(name, interrupt))
    }

    fn set_meta(&self, py: Python<'_>, name: &str, value: &str) -> PyResult<()> {
        blocking(py, |interrupt| self.core.set_meta(name, value, interrupt))
    }
}
