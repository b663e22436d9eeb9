//! `tirastore._core.Store`: what the Python class `TiraStore` is made of.

mod counts;
mod keyed;
mod lookup;
mod record;
mod upkeep;

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;

use super::blocking::blocking;
use super::convert::{self, dialect, seconds};
use super::rows::object;
use crate::error::{Error, Result};
use crate::storage::sharing::Sharing;
use crate::store::{Options, Protocol, Store as Core};

#[pyclass(frozen, module = "tirastore._core")]
pub(super) struct Store {
    pub(super) core: Arc<Core>,
}

#[pymethods]
impl Store {
    #[new]
    #[pyo3(signature = (
        db_path, *, source_project, cpu_model, slurm_cpus, allow_cpu_mismatch, stale_lock_timeout, lock_timeout,
        lock, read_only, share, dialects, memory_cache_mb, environment, locked_by_caller
    ))]
    #[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools, clippy::needless_pass_by_value)] // TiraStore's
    fn new(
        py: Python<'_>,
        db_path: PathBuf,
        source_project: String,
        cpu_model: Option<String>,
        slurm_cpus: Option<String>,
        allow_cpu_mismatch: bool,
        stale_lock_timeout: f64,
        lock_timeout: f64,
        lock: &str,
        read_only: bool,
        share: Option<bool>,
        dialects: Vec<String>,
        memory_cache_mb: f64,
        environment: Option<&Bound<'_, PyAny>>,
        locked_by_caller: bool,
    ) -> PyResult<Self> {
        let protocol = match lock {
            "auto" => Protocol::Auto,
            "token" => Protocol::Token,
            "hardlink" => Protocol::HardLink,
            other => {
                let text = format!("lock must be \"auto\", \"token\" or \"hardlink\", got {other:?}");
                return Err(Error::InvalidArgument(text).into());
            }
        };
        let options = Options {
            db_path,
            source_project,
            // The original takes an empty string for "not given".
            cpu_model: cpu_model.filter(|model| !model.is_empty()),
            slurm_cpus: slurm_cpus.filter(|cpus| !cpus.is_empty()),
            allow_cpu_mismatch,
            stale_lock_timeout: seconds("stale_lock_timeout", stale_lock_timeout)?,
            lock_timeout: seconds("lock_timeout", lock_timeout)?,
            read_only,
            sharing: Sharing::from_option(share),
            dialects: dialects.iter().map(|name| dialect(name)).collect::<Result<_>>()?,
            protocol,
            locked_by_caller,
            environment: environment
                .map(|environment| convert::object("environment", environment))
                .transpose()?
                .unwrap_or_default(),
            memory_cache_bytes: convert::megabytes("memory_cache_mb", memory_cache_mb)?,
        };
        let core = blocking(py, |interrupt| Core::open(options, interrupt))?;
        Ok(Self { core: Arc::new(core) })
    }

    #[getter]
    fn db_path(&self) -> PathBuf {
        self.core.db_path().to_path_buf()
    }

    #[getter]
    fn source_project(&self) -> String {
        self.core.recorder().source_project
    }

    #[setter]
    fn set_source_project(&self, source_project: String) {
        self.core.set_source_project(source_project);
    }

    #[getter]
    fn writes_allowed(&self) -> bool {
        self.core.writes_allowed()
    }

    #[getter]
    fn cpu_mismatch(&self) -> Option<&str> {
        self.core.cpu_mismatch()
    }

    #[getter]
    fn closed(&self) -> bool {
        self.core.is_closed()
    }

    /// Where this store measures.
    #[getter]
    fn environment<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        object(py, &self.core.environment())
    }

    fn close(&self) {
        self.core.close();
    }
}
