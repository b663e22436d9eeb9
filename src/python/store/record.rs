//! Recording: measurements, and what other stores and files hold.

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::super::blocking::blocking;
use super::super::convert::{self, OriginFields, in_batch, schedule_entry};
use super::super::rows::Damaged;
use super::Store;
use crate::clock;
use crate::measurement::Measurement;
use crate::storage::programs::NewProgram;
use crate::store::Foreign;

#[pymethods]
impl Store {
    #[allow(clippy::too_many_arguments)] // the original's
    fn record(
        &self,
        py: Python<'_>,
        program_name: String,
        source: String,
        schedule: String,
        is_legal: &Bound<'_, PyAny>,
        execution_times: Option<&Bound<'_, PyAny>>,
        if_exists: &str,
        status: Option<&Bound<'_, PyAny>>,
        details: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        self.core.check_writes()?;
        let if_exists = convert::if_exists(if_exists)?;
        let outcome = convert::outcome(is_legal, execution_times, status, details)?;
        let measurement = Measurement { program_name, program_source_code: source, schedule, outcome };
        blocking(py, |interrupt| self.core.record(&measurement, if_exists, interrupt))
    }

    fn record_many(
        &self,
        py: Python<'_>,
        program_name: &str,
        source: &str,
        schedules: &Bound<'_, PyList>,
        if_exists: &str,
    ) -> PyResult<usize> {
        self.core.check_writes()?;
        let if_exists = convert::if_exists(if_exists)?;
        let list = "schedules";
        let measurements = in_batch(list, schedules, |entry| {
            let (schedule, outcome) = schedule_entry(entry)?;
            let (program_name, program_source_code) = (program_name.to_owned(), source.to_owned());
            Ok(Measurement { program_name, program_source_code, schedule, outcome })
        })?;
        if measurements.is_empty() {
            let program_hash = crate::identity::program::hash(source);
            let program =
                NewProgram { program_hash: program_hash.as_str(), program_name, source_code: source };
            return blocking(py, |interrupt| self.core.put_program(&program, interrupt).map(|_| 0));
        }
        blocking(py, |interrupt| self.core.record_batch(&measurements, list, if_exists, interrupt))
    }

    fn record_batch(
        &self,
        py: Python<'_>,
        measurements: &Bound<'_, PyList>,
        if_exists: &str,
    ) -> PyResult<usize> {
        self.core.check_writes()?;
        let if_exists = convert::if_exists(if_exists)?;
        let list = "measurements";
        let measurements = in_batch(list, measurements, convert::measurement)?;
        blocking(py, |interrupt| self.core.record_batch(&measurements, list, if_exists, interrupt))
    }

    /// The number written, and (index, cause) of those that cannot be recorded; the others were there.
    #[allow(clippy::needless_pass_by_value)] // extracted by value
    fn adopt(
        &self,
        py: Python<'_>,
        measurements: &Bound<'_, PyList>,
        origins: Vec<OriginFields>,
    ) -> PyResult<(usize, Vec<(usize, String)>)> {
        self.core.check_writes()?;
        let (recorder, now) = (self.core.recorder(), clock::now_iso());
        let (mut foreign, mut places, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (entry, fields)) in measurements.iter().zip(origins).enumerate() {
            let origin = convert::origin(fields, &recorder, &now);
            match convert::measurement(&entry).and_then(|measurement| Ok((measurement, origin?))) {
                Ok((measurement, origin)) => {
                    foreign.push(Foreign { measurement, origin });
                    places.push(index);
                }
                Err(error) => refused.push((index, error.to_string())),
            }
        }
        let adopted = blocking(py, |interrupt| self.core.adopt(&foreign, interrupt))?;
        refused.extend(adopted.refused.iter().map(|(index, error)| (places[*index], error.to_string())));
        Ok((adopted.written, refused))
    }

    /// The numbers read and written, (key, cause) of damaged records, and the row to go on behind.
    fn merge_page(
        &self,
        py: Python<'_>,
        other: &Self,
        after: i64,
        limit: u32,
    ) -> PyResult<(usize, usize, Vec<Damaged>, Option<i64>)> {
        let page = blocking(py, |interrupt| self.core.merge_page(&other.core, after, limit, interrupt))?;
        Ok((page.read, page.written, page.refused, page.last))
    }

    fn put_program(
        &self,
        py: Python<'_>,
        program_hash: &str,
        program_name: &str,
        source: &str,
    ) -> PyResult<bool> {
        let program = NewProgram { program_hash, program_name, source_code: source };
        blocking(py, |interrupt| self.core.put_program(&program, interrupt))
    }
}
