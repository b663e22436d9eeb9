//! Looking after a store: copies, damage, and its lock.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::super::blocking::blocking;
use super::super::locking::lock_info_dict;
use super::super::rows::{Verified, verified};
use super::Store;
use crate::storage::export::Format;

#[pymethods]
impl Store {
    #[allow(clippy::needless_pass_by_value)] // extracted by value
    fn backup(&self, py: Python<'_>, backup_path: Option<PathBuf>, verify: bool) -> PyResult<PathBuf> {
        let target = backup_path.as_deref();
        blocking(py, |interrupt| {
            if verify {
                self.core.backup_verified(target, interrupt)
            } else {
                self.core.backup(target, interrupt)
            }
        })
    }

    /// Numbers of programs and records, and what is wrong with them.
    fn verify(&self, py: Python<'_>) -> PyResult<Verified> {
        blocking(py, |interrupt| self.core.verify(interrupt).map(verified))
    }

    /// The file that was written, and the number of damaged records in it.
    #[allow(clippy::needless_pass_by_value)] // extracted by value
    fn export(&self, py: Python<'_>, output_path: PathBuf, fmt: &str) -> PyResult<(PathBuf, u64)> {
        let format = Format::from_name(fmt)?;
        let exported = blocking(py, |interrupt| self.core.export(&output_path, format, interrupt))?;
        Ok((exported.path, exported.damaged))
    }

    #[allow(clippy::needless_pass_by_value)] // extracted by value
    fn restore(&self, py: Python<'_>, backup_path: PathBuf) -> PyResult<()> {
        blocking(py, |interrupt| self.core.restore(&backup_path, interrupt))
    }

    fn lock_info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        lock_info_dict(py, blocking(py, |_| self.core.lock_info())?)
    }

    fn seal(&self, py: Python<'_>) -> PyResult<bool> {
        blocking(py, |interrupt| self.core.seal(interrupt))
    }

    fn unseal(&self, py: Python<'_>) -> PyResult<bool> {
        blocking(py, |interrupt| self.core.unseal(interrupt))
    }
}
