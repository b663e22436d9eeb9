//! One Python exception for each error of the core. The classes live in `tirastore/errors.py`.

use pyo3::exceptions::{PyInterruptedError, PyKeyError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::error::Error;

pyo3::import_exception!(tirastore.errors, ClaimLostError);
pyo3::import_exception!(tirastore.errors, CorruptRecordError);
pyo3::import_exception!(tirastore.errors, DamagedCopyError);
pyo3::import_exception!(tirastore.errors, InvalidMeasurementError);
pyo3::import_exception!(tirastore.errors, InvalidScheduleError);
pyo3::import_exception!(tirastore.errors, LockError);
pyo3::import_exception!(tirastore.errors, LockTimeoutError);
pyo3::import_exception!(tirastore.errors, NotAStoreError);
pyo3::import_exception!(tirastore.errors, StorageError);
pyo3::import_exception!(tirastore.errors, StoreBusyError);
pyo3::import_exception!(tirastore.errors, StoreClosedError);
pyo3::import_exception!(tirastore.errors, StoreFileError);
pyo3::import_exception!(tirastore.errors, StoreNotFoundError);
pyo3::import_exception!(tirastore.errors, UnknownProgramError);
pyo3::import_exception!(tirastore.errors, WriteNotAllowedError);

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match innermost(&error) {
            Error::InvalidSchedule(_) => InvalidScheduleError::new_err(text),
            Error::InvalidMeasurement(_) | Error::InBatch { .. } => InvalidMeasurementError::new_err(text),
            Error::InvalidArgument(_) => PyValueError::new_err(text),
            Error::WrongType(_) => PyTypeError::new_err(text),
            Error::MissingField(_) => PyKeyError::new_err(text),
            Error::CpuMismatch | Error::ReadOnly { .. } => WriteNotAllowedError::new_err(text),
            Error::Closed { .. } => StoreClosedError::new_err(text),
            Error::LockTimeout { .. } => LockTimeoutError::new_err(text),
            Error::Lock { source, .. } => LockError::new_err((source.raw_os_error(), text)),
            Error::LockLost { .. }
            | Error::OutcomeUnknown { .. }
            | Error::LockVersion { .. }
            | Error::LockDamaged { .. }
            | Error::Sealed { .. } => LockError::new_err(text),
            Error::CannotReplace { .. } => StoreFileError::new_err(text),
            Error::NotAStore { .. } | Error::UnknownSchema { .. } => NotAStoreError::new_err(text),
            Error::Missing { .. } => StoreNotFoundError::new_err(text),
            Error::CorruptRecord { .. } => CorruptRecordError::new_err(text),
            Error::ClaimLost { .. } => ClaimLostError::new_err(text),
            Error::DamagedCopy { .. } => DamagedCopyError::new_err(text),
            Error::Busy { .. } => StoreBusyError::new_err(text),
            Error::UnknownProgram(_) => UnknownProgramError::new_err(text),
            Error::Io { source, .. } => StoreFileError::new_err((source.raw_os_error(), text)),
            Error::Sqlite { .. } => StorageError::new_err(text),
            // The signal's own exception, usually KeyboardInterrupt, takes its place (blocking.rs).
            Error::Interrupted => PyInterruptedError::new_err(text),
        }
    }
}

/// The error that decides the class: one within a batch is of its own class, with the batch's text.
fn innermost(error: &Error) -> &Error {
    match error {
        Error::InBatch { source, .. } => innermost(source),
        other => other,
    }
}
