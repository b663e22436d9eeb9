//! The methods of `tirastore._core.Store` that answer with records as columns.

use pyo3::prelude::*;

use super::blocking::blocking;
use super::filters::{filter, query};
use super::records::Records;
use super::store::Store;
use crate::columns::{Field, Stat};

#[pymethods]
impl Store {
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)] // TiraStore's; extracted by value
    fn search(
        &self,
        py: Python<'_>,
        filters: Option<&Bound<'_, PyAny>>,
        sort_by: Vec<String>,
        descending: bool,
        limit: Option<usize>,
        offset: usize,
        columns: Option<Vec<String>>,
    ) -> PyResult<Records> {
        let query = query(filters, columns.as_deref())?
            .sorted_by(Field::from_names(&sort_by)?, descending)?
            .page(offset, limit);
        blocking(py, |interrupt| self.core.search(&query, interrupt)).map(Records::from)
    }

    /// The records among `rows` rows behind `start`, and where the next part begins, if there is one.
    #[allow(clippy::needless_pass_by_value)] // extracted by value
    fn scan(
        &self,
        py: Python<'_>,
        filters: Option<&Bound<'_, PyAny>>,
        columns: Option<Vec<String>>,
        start: Option<i64>,
        rows: usize,
    ) -> PyResult<(Records, Option<i64>)> {
        let query = query(filters, columns.as_deref())?;
        let scanned = blocking(py, |interrupt| self.core.scan(&query, start, rows, interrupt))?;
        Ok((scanned.found.into(), scanned.next))
    }

    fn best(&self, py: Python<'_>, program: Option<&str>, k: usize, stat: &str) -> PyResult<Records> {
        let stat = Stat::from_name(stat)?;
        blocking(py, |interrupt| self.core.best(program, k, stat, interrupt)).map(Records::from)
    }

    fn programs(&self, py: Python<'_>) -> PyResult<Records> {
        blocking(py, |interrupt| self.core.program_table(interrupt)).map(Records::from)
    }

    fn explain(&self, py: Python<'_>, filters: Option<&Bound<'_, PyAny>>) -> PyResult<String> {
        let filter = filter(filters)?;
        blocking(py, |interrupt| self.core.explain(&filter, interrupt))
    }
}
