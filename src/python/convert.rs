//! Arguments as Python gives them: numbers of seconds, batches, verdicts, and execution times as lists, tuples, NumPy
//! arrays and scalars.

use std::time::Duration;

use numpy::{PyArray1, PyArrayMethods};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyList, PyMemoryView, PySequence, PySet, PyString,
    PyTuple, PyType,
};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::identity::dialect::Dialect;
use crate::measurement::{IfExists, Measurement, Outcome, Status};
use crate::storage::adopt::Origin;
use crate::storage::records::Recorder;

/// What measuring found, as `record` is told.
pub(super) fn outcome(
    is_legal: &Bound<'_, PyAny>,
    execution_times: Option<&Bound<'_, PyAny>>,
    status: Option<&Bound<'_, PyAny>>,
    details: Option<&Bound<'_, PyAny>>,
) -> Result<Outcome> {
    Ok(Outcome {
        is_legal: verdict(is_legal)?,
        execution_times: execution_times.filter(|times| !times.is_none()).map(times).transpose()?,
        said: status.filter(|status| !status.is_none()).map(said).transpose()?,
        details: details
            .filter(|details| !details.is_none())
            .map(|value| object("details", value))
            .transpose()?,
    })
}

/// A status by its name.
fn said(value: &Bound<'_, PyAny>) -> Result<Status> {
    let name: String = value
        .extract()
        .map_err(|_| Error::WrongType(format!("status must be a str, got {}", type_name(value))))?;
    Status::from_name(&name).ok_or_else(|| {
        let known = Status::ALL.map(Status::name).join(", ");
        Error::InvalidMeasurement(format!("status is {name:?}; there are {known}"))
    })
}

/// What to do with a record that is there, by its name.
pub(super) fn if_exists(name: &str) -> Result<IfExists> {
    IfExists::from_name(name).ok_or_else(|| {
        Error::InvalidArgument(format!(
            "if_exists must be \"keep\", \"overwrite\" or \"append\", got {name:?}"
        ))
    })
}

/// A dict of what JSON can hold, called `name` by the caller.
pub(super) fn object(name: &str, value: &Bound<'_, PyAny>) -> Result<Map<String, Value>> {
    if !value.is_instance_of::<PyDict>() {
        return Err(Error::WrongType(format!("{name} must be a dict, got {}", type_name(value))));
    }
    let dumped = || -> PyResult<String> {
        let keywords = PyDict::new(value.py());
        keywords.set_item("allow_nan", false)?;
        value.py().import("json")?.call_method("dumps", (value,), Some(&keywords))?.extract()
    };
    let no_json = |cause: String| Error::InvalidMeasurement(format!("{name} is not JSON: {cause}"));
    let text = dumped().map_err(|error| no_json(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| no_json(error.to_string()))
}

/// A bool of Python or NumPy, or an integer 0 or 1.
fn verdict(value: &Bound<'_, PyAny>) -> Result<bool> {
    if let Ok(verdict) = value.cast::<PyBool>() {
        return Ok(verdict.is_true());
    }
    if is_numpy_bool(value) {
        return value.is_truthy().map_err(|error| Error::WrongType(error.to_string()));
    }
    let is_float = value.is_instance_of::<PyFloat>();
    match value.extract::<i64>().ok().filter(|_| !is_float) {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(other) => Err(Error::InvalidMeasurement(format!("is_legal must be True or False, got {other}"))),
        None => Err(Error::WrongType(format!("is_legal must be True or False, got {}", type_name(value)))),
    }
}

/// A one-dimensional sequence of numbers.
fn times(value: &Bound<'_, PyAny>) -> Result<Vec<f64>> {
    if let Ok(list) = value.cast::<PyList>() {
        return collect(list.iter());
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return collect(tuple.iter());
    }
    if is_of_numpy(value) {
        return numpy_times(value);
    }
    let never = value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>()
        || value.is_instance_of::<PyMemoryView>()
        || value.is_instance_of::<PyDict>()
        || value.is_instance_of::<PySet>();
    if !never {
        // pandas.Series, pyarrow.Array, array.array
        if let Ok(Ok(list)) = value.call_method0("tolist").map(Bound::cast_into::<PyList>) {
            return collect(list.iter());
        }
        if let Ok(sequence) = value.cast::<PySequence>() {
            let items = sequence.to_list().map_err(|error| Error::WrongType(error.to_string()))?;
            return collect(items.iter());
        }
    }
    let text =
        format!("execution_times must be a list of numbers (milliseconds) or None, got {}", type_name(value));
    Err(Error::WrongType(text))
}

/// Called only for objects of NumPy: asking its C API about others fails without NumPy installed, and not gently.
fn numpy_times(value: &Bound<'_, PyAny>) -> Result<Vec<f64>> {
    if let Ok(array) = value.cast::<PyArray1<f64>>() {
        return Ok(array.readonly().as_array().to_vec());
    }
    let dimensions = value.getattr("ndim").and_then(|ndim| ndim.extract::<usize>()).unwrap_or(0);
    match value.call_method0("tolist").map(Bound::cast_into::<PyList>) {
        Ok(Ok(list)) if dimensions == 1 => collect(list.iter()),
        _ => Err(Error::WrongType(format!(
            "execution_times must be one-dimensional, got a NumPy {} of {dimensions} dimensions",
            type_name(value)
        ))),
    }
}

fn collect<'py>(items: impl Iterator<Item = Bound<'py, PyAny>>) -> Result<Vec<f64>> {
    items.enumerate().map(|(index, item)| time(index, &item)).collect()
}

fn time(index: usize, item: &Bound<'_, PyAny>) -> Result<f64> {
    if let Ok(float) = item.cast::<PyFloat>() {
        return Ok(float.value());
    }
    let wrong_type =
        || Error::WrongType(format!("execution_times[{index}] must be a number, got {}", type_name(item)));
    if item.is_instance_of::<PyBool>() || is_numpy_bool(item) || item.is_instance_of::<PyString>() {
        return Err(wrong_type());
    }
    item.extract::<f64>().map_err(|error| {
        if error.is_instance_of::<PyOverflowError>(item.py()) {
            Error::InvalidMeasurement(format!(
                "execution_times[{index}] is too large for a number of milliseconds"
            ))
        } else {
            wrong_type()
        }
    })
}

pub(super) fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "an object".to_owned(), |name| name.to_string())
}

pub(super) fn is_of_numpy(value: &Bound<'_, PyAny>) -> bool {
    let is_of_numpy = |class: &Bound<'_, PyType>| class.module().is_ok_and(|module| module == "numpy");
    is_of_numpy(&value.get_type())
}

pub(super) fn is_numpy_bool(value: &Bound<'_, PyAny>) -> bool {
    is_of_numpy(value) && matches!(type_name(value).as_str(), "bool" | "bool_")
}

/// A century: no wait is longer, and sums of it do not overflow.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A duration given in seconds: positive, or infinite.
pub(super) fn seconds(name: &str, value: f64) -> Result<Duration> {
    if value >= FOREVER.as_secs_f64() {
        return Ok(FOREVER);
    }
    Duration::try_from_secs_f64(value).ok().filter(|duration| !duration.is_zero()).ok_or_else(|| {
        Error::InvalidArgument(format!("{name} must be a positive number of seconds, got {value}"))
    })
}

/// How long to wait, in seconds: 0 for one look, or infinite.
pub(super) fn patience(name: &str, value: f64) -> Result<Duration> {
    if value == 0.0 { Ok(Duration::ZERO) } else { seconds(name, value) }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked; more than there is means all
pub(super) fn megabytes(name: &str, value: f64) -> Result<usize> {
    if value >= 0.0 {
        return Ok((value * 1e6) as usize);
    }
    Err(Error::InvalidArgument(format!("{name} must be a number of megabytes, 0 or more, got {value}")))
}

pub(super) fn dialect(name: &str) -> Result<Dialect> {
    Dialect::from_name(name).ok_or_else(|| {
        Error::InvalidArgument(format!(
            "dialects: unknown dialect {name:?}; there are \"tiralib\", \"percomp\", \"rl1\", \"looper\", \"master\""
        ))
    })
}

/// Two texts of Python's, which are not copied: the source of a program is often one object in all of its pairs.
pub(super) type TextPair = (PyBackedStr, PyBackedStr);

pub(super) fn borrow(pairs: &[TextPair]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(source, schedule)| (&**source, &**schedule)).collect()
}

/// Converts every entry of a batch; an error says which entry it is in.
pub(super) fn in_batch<T>(
    list: &'static str,
    entries: &Bound<'_, PyList>,
    convert: impl Fn(&Bound<'_, PyAny>) -> Result<T>,
) -> Result<Vec<T>> {
    entries
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            convert(&entry).map_err(|error| Error::InBatch { list, index, source: Box::new(error) })
        })
        .collect()
}

/// An entry of `record_many`: a dict with a schedule, its verdict, and its times, status and details where it has some.
pub(super) fn schedule_entry(entry: &Bound<'_, PyAny>) -> Result<(String, Outcome)> {
    let dict =
        entry.cast::<PyDict>().map_err(|_| Error::WrongType("each entry must be a dict".to_owned()))?;
    let item = |name: &'static str| dict.get_item(name).ok().flatten();
    let required = |name: &'static str| item(name).ok_or_else(|| Error::MissingField(name.to_owned()));
    let schedule = required("tiralib_schedule_string")?;
    let schedule = schedule.extract().map_err(|_| not_text("tiralib_schedule_string"))?;
    let outcome = outcome(
        &required("is_legal")?,
        item("execution_times").as_ref(),
        item("status").as_ref(),
        item("details").as_ref(),
    )?;
    Ok((schedule, outcome))
}

/// An entry of `record_batch`.
pub(super) fn measurement(entry: &Bound<'_, PyAny>) -> Result<Measurement> {
    let text = |name: &str| -> Result<String> { field(entry, name)?.extract().map_err(|_| not_text(name)) };
    Ok(Measurement {
        program_name: text("program_name")?,
        program_source_code: text("program_source_code")?,
        schedule: text("tiralib_schedule_string")?,
        outcome: outcome(
            &field(entry, "is_legal")?,
            Some(&field(entry, "execution_times")?),
            // A measurement of the original's has none.
            entry.getattr("status").ok().as_ref(),
            entry.getattr("details").ok().as_ref(),
        )?,
    })
}

/// Where a measurement comes from: host, user, project, creation and update date, environment. A missing environment is
/// unknown; what else is missing is this recorder's and now's.
pub(super) type OriginFields =
    (Option<String>, Option<String>, Option<String>, Option<String>, Option<String>, Option<String>);

pub(super) fn origin(fields: OriginFields, recorder: &Recorder, now: &str) -> Result<Origin> {
    let (hostname, username, source_project, created, updated, environment) = fields;
    let creation_date = created.unwrap_or_else(|| now.to_owned());
    let environment = environment.map(|text| {
        serde_json::from_str::<Map<String, Value>>(&text).map_err(|error| {
            Error::InvalidMeasurement(format!("environment must be a JSON object, got {text:?}: {error}"))
        })
    });
    Ok(Origin {
        recorder: Recorder {
            hostname: hostname.unwrap_or_else(|| recorder.hostname.clone()),
            username: username.unwrap_or_else(|| recorder.username.clone()),
            source_project: source_project.unwrap_or_else(|| recorder.source_project.clone()),
            environment: environment.transpose()?.map(|object| Value::from(object).to_string().into()),
        },
        update_date: updated.unwrap_or_else(|| creation_date.clone()),
        creation_date,
    })
}

pub(super) fn field<'py>(entry: &Bound<'py, PyAny>, name: &str) -> Result<Bound<'py, PyAny>> {
    entry
        .getattr(name)
        .map_err(|_| Error::WrongType(format!("each entry must be a Measurement; this one has no {name}")))
}

pub(super) fn not_text(name: &str) -> Error {
    Error::WrongType(format!("{name} must be a str without lone surrogates"))
}
