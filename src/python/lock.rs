//! The hard-link lock as an object of its own, for scripts written against the original's.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::blocking::blocking;
use super::convert::seconds;
use crate::error::Error;
use crate::lock::{HardLink, Held, Patience};

#[pyclass(frozen, module = "tirastore._core")]
pub(super) struct HardLinkLock {
    lock: HardLink,
    timeout: Duration,
    held: Mutex<Option<Held>>,
}

#[pymethods]
impl HardLinkLock {
    #[new]
    fn new(lock_path: PathBuf, stale_timeout: f64, timeout: f64) -> PyResult<Self> {
        let stale_timeout = seconds("stale_timeout", stale_timeout)?;
        let lock =
            HardLink { path: lock_path, mode: 0o666, stale_timeout, outwait_old_claims: true, gated: false };
        Ok(Self { lock, timeout: seconds("timeout", timeout)?, held: Mutex::new(None) })
    }

    fn acquire(&self, py: Python<'_>) -> PyResult<()> {
        let held =
            blocking(py, |interrupt| self.lock.acquire(Patience { timeout: self.timeout, interrupt }))?;
        *self.slot()? = Some(held);
        Ok(())
    }

    fn release(&self, py: Python<'_>) -> PyResult<()> {
        let held = self.slot()?.take();
        held.map_or(Ok(()), |held| blocking(py, |_| held.release()))
    }

    #[getter]
    fn held(&self) -> PyResult<bool> {
        Ok(self.slot()?.is_some())
    }
}

impl HardLinkLock {
    fn slot(&self) -> PyResult<std::sync::MutexGuard<'_, Option<Held>>> {
        self.held.lock().map_err(|_| PyRuntimeError::new_err(Error::Interrupted.to_string()))
    }
}
