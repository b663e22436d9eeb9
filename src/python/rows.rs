//! Rows of the store as Python gets them: tuples that become dataclasses, and dicts of columns.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use serde_json::{Map, Value};

use crate::reads::Hit;
use crate::storage::programs::Program;
use crate::storage::records::RecordOfProgram;
use crate::storage::verify::Report;

/// Key of a damaged record, and what is wrong with it.
pub(super) type Damaged = (String, String);

/// Hash, first name and source of a program.
pub(super) type ProgramFields = (String, String, String);

/// Numbers of programs and records, and (table, key, cause) of what is wrong.
pub(super) type Verified = (u64, u64, Vec<(&'static str, Option<String>, String)>);

pub(super) fn verified(report: Report) -> Verified {
    let findings =
        report.findings.into_iter().map(|finding| (finding.kind.name(), finding.key, finding.cause));
    (report.programs, report.records, findings.collect())
}

/// The fields of a `LookupResult`, in its order.
pub(super) fn hit<'py>(py: Python<'py>, hit: &Hit) -> PyResult<Bound<'py, PyTuple>> {
    let Hit { record, outcome } = hit;
    let times = outcome.execution_times.as_ref().map(|times| PyList::new(py, times)).transpose()?;
    (
        outcome.is_legal,
        times,
        &record.schedule,
        &record.hostname,
        &record.username,
        &record.creation_date,
        &record.update_date,
        &record.source_project,
        outcome.status().name(),
        outcome.details.as_ref().map(|details| object(py, details)).transpose()?,
    )
        .into_pyobject(py)
}

/// The fields of a `Run`, in its order.
pub(super) fn run_fields<'py>(
    py: Python<'py>,
    hit: &Hit,
    environment: Option<&Map<String, Value>>,
    is_current: bool,
) -> PyResult<Bound<'py, PyTuple>> {
    let Hit { record, outcome } = hit;
    let times = outcome.execution_times.as_ref().map(|times| PyList::new(py, times)).transpose()?;
    (
        outcome.is_legal,
        times,
        outcome.status().name(),
        outcome.details.as_ref().map(|details| object(py, details)).transpose()?,
        &record.hostname,
        &record.username,
        &record.update_date,
        &record.source_project,
        environment.map(|environment| object(py, environment)).transpose()?,
        is_current,
    )
        .into_pyobject(py)
}

/// A JSON object as Python's `json` reads it.
pub(super) fn object<'py>(py: Python<'py>, object: &Map<String, Value>) -> PyResult<Bound<'py, PyAny>> {
    let text = serde_json::to_string(object).unwrap_or_default();
    py.import("json")?.call_method1("loads", (text,))
}

pub(super) fn program_fields(program: Program) -> ProgramFields {
    (program.program_hash, program.program_name, program.source_code)
}

pub(super) fn row_dict<'py>(py: Python<'py>, row: &RecordOfProgram) -> PyResult<Bound<'py, PyDict>> {
    let RecordOfProgram { record, program_name, source_code, .. } = row;
    let dict = PyDict::new(py);
    dict.set_item("key", &record.key)?;
    dict.set_item("program_hash", &record.program_hash)?;
    dict.set_item("schedule", &record.schedule)?;
    dict.set_item("result_json", &record.result_json)?;
    dict.set_item("hostname", &record.hostname)?;
    dict.set_item("username", &record.username)?;
    dict.set_item("creation_date", &record.creation_date)?;
    dict.set_item("update_date", &record.update_date)?;
    dict.set_item("source_project", &record.source_project)?;
    dict.set_item("program_name", program_name)?;
    dict.set_item("source_code", source_code)?;
    Ok(dict)
}
