//! Normal forms and keys. Total for every Python string, lone surrogates included.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::identity::dialect::Dialect;
use crate::identity::{dialect, key, program, schedule};

/// The text of a Python string, as UTF-8 if it can be, else with its lone surrogates encoded as "surrogatepass".
enum Text<'py> {
    Utf8(&'py str),
    WithSurrogates(Bound<'py, PyBytes>),
}

impl<'py> Text<'py> {
    fn of(text: &'py Bound<'py, PyString>) -> PyResult<Self> {
        if let Ok(utf8) = text.to_str() {
            return Ok(Self::Utf8(utf8));
        }
        let bytes = text.call_method1("encode", ("utf-8", "surrogatepass"))?;
        Ok(Self::WithSurrogates(bytes.cast_into()?))
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Utf8(text) => text.as_bytes(),
            Self::WithSurrogates(bytes) => bytes.as_bytes(),
        }
    }
}

fn decode<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let decoded = PyBytes::new(py, bytes).call_method1("decode", ("utf-8", "surrogatepass"))?;
    Ok(decoded.cast_into()?)
}

#[pyfunction]
pub(super) fn normalize_schedule<'py>(
    py: Python<'py>,
    schedule: Option<&Bound<'py, PyString>>,
) -> PyResult<Bound<'py, PyString>> {
    match schedule.map(Text::of).transpose()? {
        None => Ok(PyString::new(py, "")),
        Some(Text::Utf8(text)) => Ok(PyString::new(py, &schedule::normalize(text))),
        Some(text) => decode(py, &schedule::normalize_wtf8(text.bytes())),
    }
}

#[pyfunction]
pub(super) fn normalize_program<'py>(
    py: Python<'py>,
    source: Option<&Bound<'py, PyString>>,
) -> PyResult<Bound<'py, PyString>> {
    match source.map(Text::of).transpose()? {
        None => Ok(PyString::new(py, "")),
        Some(Text::Utf8(text)) => Ok(PyString::new(py, &py.detach(|| program::normalize(text)))),
        Some(text) => decode(py, &program::normalize_wtf8(text.bytes())),
    }
}

#[pyfunction]
pub(super) fn validate_schedule(schedule: Option<&Bound<'_, PyString>>) -> (bool, String) {
    // A lone surrogate can stand only in a quoted name, where U+FFFD in its place changes no verdict.
    let verdict = schedule.map(|text| schedule::validate(&text.to_string_lossy())).transpose();
    match verdict {
        Ok(_) => (true, String::new()),
        Err(error) => (false, error.to_string()),
    }
}

#[pyfunction]
pub(super) fn schedule_dialect(schedule: &str) -> Option<&'static str> {
    dialect::dialect_of(schedule).map(Dialect::name)
}

#[pyfunction]
pub(super) fn make_program_hash<'py>(
    py: Python<'py>,
    program_source_code: Option<&str>,
) -> Bound<'py, PyString> {
    let source = program_source_code.unwrap_or_default();
    let hash = py.detach(|| program::hash(source));
    PyString::new(py, hash.as_str())
}

#[pyfunction]
pub(super) fn make_key<'py>(
    py: Python<'py>,
    program_hash: &Bound<'py, PyString>,
    tiralib_schedule_string: Option<&Bound<'py, PyString>>,
) -> PyResult<Bound<'py, PyString>> {
    let hash = Text::of(program_hash)?;
    let schedule = tiralib_schedule_string.map(Text::of).transpose()?;
    let key = key::make_key_wtf8(hash.bytes(), schedule.as_ref().map_or(b"", Text::bytes));
    Ok(PyString::new(py, key.as_str()))
}
