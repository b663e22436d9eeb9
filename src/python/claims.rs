//! `tirastore._core.Claim` and `Claims`: who measures what.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::blocking::blocking;
use super::convert::{self, in_batch, seconds};
use super::store::Store;
use crate::claims::{Awaited, Claim as Core, Listed, State};
use crate::error::Error;
use crate::store::{Candidate, ClaimOptions, Store as CoreStore};

#[pyclass(frozen, module = "tirastore._core")]
pub(super) struct Claim {
    store: Arc<CoreStore>,
    core: Core,
}

#[pymethods]
impl Claim {
    #[getter]
    fn key(&self) -> &str {
        self.core.key()
    }

    #[getter]
    fn schedule(&self) -> &str {
        self.core.schedule()
    }

    #[getter]
    fn program_name(&self) -> &str {
        self.core.program_name()
    }

    #[getter]
    fn program_source_code(&self) -> &str {
        self.core.program_source_code()
    }

    #[getter]
    fn lease(&self) -> f64 {
        self.core.lease().as_secs_f64()
    }

    #[getter]
    fn is_open(&self) -> bool {
        self.core.is_open()
    }

    fn renew(&self, py: Python<'_>) -> PyResult<()> {
        blocking(py, |interrupt| self.store.renew(&self.core, interrupt))
    }

    fn complete(
        &self,
        py: Python<'_>,
        is_legal: &Bound<'_, PyAny>,
        execution_times: Option<&Bound<'_, PyAny>>,
        status: Option<&Bound<'_, PyAny>>,
        details: Option<&Bound<'_, PyAny>>,
        or_append: bool,
    ) -> PyResult<bool> {
        let outcome = convert::outcome(is_legal, execution_times, status, details)?;
        blocking(py, |interrupt| {
            if or_append {
                self.store.complete_or_append(&self.core, outcome, interrupt)
            } else {
                self.store.complete(&self.core, outcome, interrupt)
            }
        })
    }

    fn fail(&self, py: Python<'_>, message: &str) -> PyResult<()> {
        blocking(py, |interrupt| self.store.fail(&self.core, message, interrupt))
    }

    fn release(&self, py: Python<'_>) -> PyResult<()> {
        blocking(py, |interrupt| self.store.release(&self.core, interrupt))
    }
}

/// The claims of a store.
#[pyclass(frozen, module = "tirastore._core")]
pub(super) struct Claims {
    core: Arc<CoreStore>,
}

#[pymethods]
impl Claims {
    #[new]
    fn new(store: &Store) -> Self {
        Self { core: Arc::clone(&store.core) }
    }

    /// Claims of the first `limit` of `candidates` that may be claimed.
    fn take(
        &self,
        py: Python<'_>,
        candidates: &Bound<'_, PyList>,
        lease: f64,
        limit: usize,
        refresh: bool,
        retry_failed: bool,
    ) -> PyResult<Vec<Claim>> {
        let candidates = in_batch("candidates", candidates, |entry| {
            entry.extract::<Candidate>().map_err(|_| {
                Error::WrongType(
                    "each candidate must be a tuple (program_name, program_source_code, schedule)".to_owned(),
                )
            })
        })?;
        let options = ClaimOptions { lease: seconds("lease", lease)?, refresh, retry_failed };
        let claims = blocking(py, |interrupt| self.core.claim(&candidates, &options, limit, interrupt))?;
        Ok(claims.into_iter().map(|core| Claim { store: Arc::clone(&self.core), core }).collect())
    }

    /// Fields of every `ClaimInfo`.
    fn list<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let claims = blocking(py, |interrupt| self.core.claims(interrupt))?;
        claims.into_iter().map(|claim| claim_dict(py, claim)).collect()
    }

    fn is_claimed(&self, py: Python<'_>, source: &str, schedule: &str) -> PyResult<bool> {
        blocking(py, |interrupt| self.core.is_claimed(source, schedule, interrupt))
    }

    /// How a wait ended: "recorded", "failed", "free", "abandoned" or "timeout", with a text.
    fn wait_for(
        &self,
        py: Python<'_>,
        source: &str,
        schedule: &str,
        newer_than: Option<&str>,
        or_free: bool,
        timeout: f64,
    ) -> PyResult<(&'static str, Option<String>)> {
        let timeout = convert::patience("timeout", timeout)?;
        let awaited = blocking(py, |interrupt| {
            self.core.wait_for(source, schedule, newer_than, or_free, timeout, interrupt)
        })?;
        Ok(match awaited {
            Awaited::Recorded => ("recorded", None),
            Awaited::Failed(message) => ("failed", Some(message)),
            Awaited::Free => ("free", None),
            Awaited::Abandoned(why) => ("abandoned", Some(why)),
            Awaited::TimedOut(holder) => ("timeout", holder),
        })
    }
}

fn claim_dict(py: Python<'_>, claim: Listed) -> PyResult<Bound<'_, PyDict>> {
    let (state, message) = match claim.state {
        State::Claimed => ("claimed", None),
        State::Abandoned(why) => ("abandoned", Some(why)),
        State::Failed(message) => ("failed", Some(message)),
    };
    let dict = PyDict::new(py);
    dict.set_item("key", claim.key)?;
    dict.set_item("program_name", claim.program_name)?;
    dict.set_item("schedule", claim.schedule)?;
    dict.set_item("state", state)?;
    dict.set_item("message", message)?;
    dict.set_item("hostname", claim.hostname)?;
    dict.set_item("username", claim.username)?;
    dict.set_item("pid", claim.pid)?;
    dict.set_item("lease", claim.lease.as_secs_f64())?;
    dict.set_item("silent_for", claim.silent.map(|silent| silent.as_secs_f64()))?;
    Ok(dict)
}
