//! Calls that wait or compute run without the interpreter lock, and Ctrl-C ends their waiting.

use std::sync::Mutex;
use std::time::Duration;

use pyo3::prelude::*;

use crate::error::Result;
use crate::lock::Interrupt;
use crate::notices;

/// Runs `work` without the interpreter lock. An exception raised by a signal handler meanwhile is raised here.
pub(super) fn blocking<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&dyn Interrupt) -> Result<T> + Send,
) -> PyResult<T> {
    let signals = Signals::default();
    let (outcome, notices) = py.detach(|| (work(&signals), notices::take()));
    for notice in notices {
        warn(py, &notice)?;
    }
    match signals.raised.into_inner() {
        Ok(Some(raised)) => Err(raised),
        _ => outcome.map_err(PyErr::from),
    }
}

/// A notice of the core is a warning at the line that called the package; one that the caller has turned into an exception is raised.
fn warn(py: Python<'_>, notice: &str) -> PyResult<()> {
    let category = py.import("tirastore.errors")?.getattr("StoreWarning")?;
    py.import("warnings")?.call_method1("warn", (notice, category, 2)).map(|_| ())
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

    fn waiting(&self, waited: Duration, holder: &str) {
        let text = format!(
            "waiting for the store's lock since {:.0} s; it is held by {holder}",
            waited.as_secs_f64()
        );
        // A log that cannot be written ends no wait.
        Python::attach(|py| {
            let _ = py
                .import("logging")
                .and_then(|logging| logging.call_method1("getLogger", ("tirastore",)))
                .and_then(|logger| logger.call_method1("warning", (text,)));
        });
    }
}
