//! Calls that wait or compute run without the interpreter lock, and Ctrl-C ends their waiting.

use std::sync::Mutex;

use pyo3::prelude::*;

use crate::error::Result;
use crate::lock::Interrupt;

/// Runs `work` without the interpreter lock. An exception raised by a signal handler meanwhile is raised here.
pub(super) fn blocking<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&dyn Interrupt) -> Result<T> + Send,
) -> PyResult<T> {
    let signals = Signals::default();
    let outcome = py.detach(|| work(&signals));
    match signals.raised.into_inner() {
        Ok(Some(raised)) => Err(raised),
        _ => outcome.map_err(PyErr::from),
    }
}

#[derive(Default)]
struct Signals {
    raised: Mutex<Option<PyErr>>,
}

impl Interrupt for Signals {
    fn pending(&self) -> bool {
        #[allow(clippy::redundant_closure_for_method_calls)]
        // the method alone is not general enough in its lifetime
        let Err(error) = Python::attach(|py| py.check_signals()) else {
            return false;
        };
        if let Ok(mut raised) = self.raised.lock() {
            *raised = Some(error);
        }
        true
    }
}
