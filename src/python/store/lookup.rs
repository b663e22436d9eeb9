//! Asking: what is known of a schedule, and of a program.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::super::blocking::blocking;
use super::super::convert::{TextPair, borrow};
use super::super::rows::{Damaged, ProgramFields, hit, program_fields, row_dict, run_fields};
use super::Store;
use crate::error::Error;
use crate::reads::Hit;
use crate::storage::runs::Run;

#[pymethods]
impl Store {
    fn lookup<'py>(
        &self,
        py: Python<'py>,
        source: &str,
        schedule: &str,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let found = blocking(py, |interrupt| self.core.lookup(source, schedule, interrupt))?;
        found.map(|found| hit(py, &found)).transpose()
    }

    /// What counts on a machine like this one.
    fn lookup_here<'py>(
        &self,
        py: Python<'py>,
        source: &str,
        schedule: &str,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let found = blocking(py, |interrupt| self.core.lookup_here(source, schedule, interrupt))?;
        found.map(|found| hit(py, &found)).transpose()
    }

    /// The runs that can be decoded, oldest first, and (key, cause) of those that cannot.
    fn runs<'py>(
        &self,
        py: Python<'py>,
        source: &str,
        schedule: &str,
    ) -> PyResult<(Vec<Bound<'py, PyTuple>>, Vec<Damaged>)> {
        let (mut good, mut damaged) = (Vec::new(), Vec::new());
        for run in blocking(py, |interrupt| self.core.runs(source, schedule, interrupt))? {
            let Run { record, environment, is_current } = run;
            match Hit::of(record) {
                Ok(found) => good.push(run_fields(py, &found, environment.as_ref(), is_current)?),
                Err(Error::CorruptRecord { key, cause }) => damaged.push((key, cause)),
                Err(other) => return Err(other.into()),
            }
        }
        Ok((good, damaged))
    }

    fn contains(&self, py: Python<'_>, source: &str, schedule: &str) -> PyResult<bool> {
        blocking(py, |interrupt| self.core.contains(source, schedule, interrupt))
    }

    #[allow(clippy::needless_pass_by_value)] // extracted by value
    fn lookup_many<'py>(
        &self,
        py: Python<'py>,
        pairs: Vec<TextPair>,
    ) -> PyResult<Vec<Option<Bound<'py, PyTuple>>>> {
        let found = blocking(py, |interrupt| self.core.lookup_many(&borrow(&pairs), interrupt))?;
        found.iter().map(|row| row.as_deref().map(|found| hit(py, found)).transpose()).collect()
    }

    #[allow(clippy::needless_pass_by_value)] // extracted by value
    fn contains_many(&self, py: Python<'_>, pairs: Vec<TextPair>) -> PyResult<Vec<bool>> {
        blocking(py, |interrupt| self.core.contains_many(&borrow(&pairs), interrupt))
    }

    fn get_program_source(&self, py: Python<'_>, program_name: &str) -> PyResult<Vec<ProgramFields>> {
        let programs = blocking(py, |interrupt| self.core.programs_named(program_name, interrupt))?;
        Ok(programs.into_iter().map(program_fields).collect())
    }

    fn get_program(&self, py: Python<'_>, program_hash: &str) -> PyResult<Option<ProgramFields>> {
        let program = blocking(py, |interrupt| self.core.program(program_hash, interrupt))?;
        Ok(program.map(program_fields))
    }

    fn get_all_programs(&self, py: Python<'_>) -> PyResult<Vec<ProgramFields>> {
        let programs = blocking(py, |interrupt| self.core.programs(interrupt))?;
        Ok(programs.into_iter().map(program_fields).collect())
    }

    /// The records that can be decoded, and (key, cause) of those that cannot.
    fn get_program_records<'py>(
        &self,
        py: Python<'py>,
        source: &str,
    ) -> PyResult<(Vec<Bound<'py, PyTuple>>, Vec<Damaged>)> {
        let (mut good, mut damaged) = (Vec::new(), Vec::new());
        for row in blocking(py, |interrupt| self.core.program_records(source, interrupt))? {
            match Hit::of(row.record) {
                Ok(found) => good.push(hit(py, &found)?),
                Err(Error::CorruptRecord { key, cause }) => damaged.push((key, cause)),
                Err(other) => return Err(other.into()),
            }
        }
        Ok((good, damaged))
    }

    fn get_records_by_program_hash<'py>(
        &self,
        py: Python<'py>,
        program_hash: &str,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let rows = blocking(py, |interrupt| self.core.program_records_by_hash(program_hash, interrupt))?;
        rows.iter().filter(|row| !row.is_orphan).map(|row| row_dict(py, row)).collect()
    }
}
