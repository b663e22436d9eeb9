//! The lock of a store, for those who look after it.

use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::blocking::blocking;
use super::convert::seconds;
use crate::error::Result;
use crate::lock::LockInfo;
use crate::store::{self, Options};

/// The fields of `tirastore.LockInfo`.
pub(super) fn lock_info_dict(py: Python<'_>, info: LockInfo) -> PyResult<Bound<'_, PyDict>> {
    let fields = PyDict::new(py);
    fields.set_item("path", info.path)?;
    fields.set_item("protocol", info.protocol)?;
    fields.set_item("held", info.holder.is_some())?;
    let holder = info.holder;
    let (mut hostname, mut pid, mut user, mut since, mut dead) = (None, None, None, None, false);
    if let Some(holder) = holder {
        (hostname, pid, user) = (holder.hostname, holder.pid, holder.user);
        (since, dead) = (holder.since, holder.dead);
    }
    fields.set_item("hostname", hostname)?;
    fields.set_item("pid", pid)?;
    fields.set_item("user", user)?;
    fields.set_item("since", since)?;
    fields.set_item("holder_is_dead", dead)?;
    fields.set_item("writing", info.writing)?;
    fields.set_item("must_fence", info.must_fence)?;
    fields.set_item("fence", info.fence)?;
    fields.set_item("generation", info.generation)?;
    fields.set_item("takeover_seconds", info.takeover.as_secs_f64())?;
    let waiting: Vec<(String, f64)> =
        info.waiting.into_iter().map(|(who, waited)| (who, waited.as_secs_f64())).collect();
    fields.set_item("waiting", waiting)?;
    fields.set_item("damage", info.damage)?;
    Ok(fields)
}

#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // extracted by value
pub(super) fn lock_info(py: Python<'_>, db_path: PathBuf) -> PyResult<Bound<'_, PyDict>> {
    let info = blocking(py, |_| store::lock_info(&Options::new(db_path)))?;
    lock_info_dict(py, info)
}

#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // extracted by value
pub(super) fn break_lock(py: Python<'_>, db_path: PathBuf, lock_timeout: f64) -> PyResult<()> {
    let options = with_timeout(db_path, seconds("lock_timeout", lock_timeout)?);
    blocking(py, |interrupt| store::break_lock(&options, interrupt))
}

#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // extracted by value
pub(super) fn repair_lock(py: Python<'_>, db_path: PathBuf, lock_timeout: f64) -> PyResult<Option<String>> {
    let options = with_timeout(db_path, seconds("lock_timeout", lock_timeout)?);
    blocking(py, |interrupt| -> Result<_> { store::repair_lock(&options, interrupt) })
}

fn with_timeout(db_path: PathBuf, lock_timeout: Duration) -> Options {
    Options { lock_timeout, ..Options::new(db_path) }
}
