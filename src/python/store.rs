//! `tirastore._core.Store`: what the Python class `TiraStore` is made of.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use super::blocking::blocking;
use super::convert::{self, OriginFields, borrow, dialect, in_batch, schedule_entry, seconds};
use super::locking::lock_info_dict;
use super::rows::{
    Damaged, ProgramFields, Verified, hit, object, program_fields, row_dict, run_fields, verified,
};
use crate::clock;
use crate::error::{Error, Result};
use crate::measurement::{Measurement, Status};
use crate::reads::Hit;
use crate::storage::export::Format;
use crate::storage::programs::NewProgram;
use crate::storage::records::{NewRecord, Page, Recorder};
use crate::storage::result_json;
use crate::storage::runs::Run;
use crate::storage::sharing::Sharing;
use crate::store::{Foreign, Options, Protocol, Store as Core};

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

    fn close(&self) {
        self.core.close();
    }

    fn lookup<'py>(
        &self,
        py: Python<'py>,
        source: &str,
        schedule: &str,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let found = blocking(py, |interrupt| self.core.lookup(source, schedule, interrupt))?;
        found.map(|found| hit(py, &found)).transpose()
    }

    /// What counts on a machine like this one.
    fn lookup_here<'py>(
        &self,
        py: Python<'py>,
        source: &str,
        schedule: &str,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let found = blocking(py, |interrupt| self.core.lookup_here(source, schedule, interrupt))?;
        found.map(|found| hit(py, &found)).transpose()
    }

    /// The runs that can be decoded, oldest first, and (key, cause) of those that cannot.
    fn runs<'py>(
        &self,
        py: Python<'py>,
        source: &str,
        schedule: &str,
    ) -> PyResult<(Vec<Bound<'py, PyTuple>>, Vec<Damaged>)> {
        let (mut good, mut damaged) = (Vec::new(), Vec::new());
        for run in blocking(py, |interrupt| self.core.runs(source, schedule, interrupt))? {
            let Run { record, environment, is_current } = run;
            match Hit::of(record) {
                Ok(found) => good.push(run_fields(py, &found, environment.as_ref(), is_current)?),
                Err(Error::CorruptRecord { key, cause }) => damaged.push((key, cause)),
                Err(other) => return Err(other.into()),
            }
        }
        Ok((good, damaged))
    }

    /// Where this store measures.
    #[getter]
    fn environment<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        object(py, &self.core.environment())
    }

    fn contains(&self, py: Python<'_>, source: &str, schedule: &str) -> PyResult<bool> {
        blocking(py, |interrupt| self.core.contains(source, schedule, interrupt))
    }

    #[allow(clippy::needless_pass_by_value)] // extracted by value
    fn lookup_many<'py>(
        &self,
        py: Python<'py>,
        pairs: Vec<(String, String)>,
    ) -> PyResult<Vec<Option<Bound<'py, PyTuple>>>> {
        let found = blocking(py, |interrupt| self.core.lookup_many(&borrow(&pairs), interrupt))?;
        found.iter().map(|row| row.as_deref().map(|found| hit(py, found)).transpose()).collect()
    }

    #[allow(clippy::needless_pass_by_value)] // extracted by value
    fn contains_many(&self, py: Python<'_>, pairs: Vec<(String, String)>) -> PyResult<Vec<bool>> {
        blocking(py, |interrupt| self.core.contains_many(&borrow(&pairs), interrupt))
    }

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

    fn get_program_source(&self, py: Python<'_>, program_name: &str) -> PyResult<Vec<ProgramFields>> {
        let programs = blocking(py, |interrupt| self.core.programs_named(program_name, interrupt))?;
        Ok(programs.into_iter().map(program_fields).collect())
    }

    fn get_program(&self, py: Python<'_>, program_hash: &str) -> PyResult<Option<ProgramFields>> {
        let program = blocking(py, |interrupt| self.core.program(program_hash, interrupt))?;
        Ok(program.map(program_fields))
    }

    fn get_all_programs(&self, py: Python<'_>) -> PyResult<Vec<ProgramFields>> {
        let programs = blocking(py, |interrupt| self.core.programs(interrupt))?;
        Ok(programs.into_iter().map(program_fields).collect())
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

    /// The records that can be decoded, and (key, cause) of those that cannot.
    fn get_program_records<'py>(
        &self,
        py: Python<'py>,
        source: &str,
    ) -> PyResult<(Vec<Bound<'py, PyTuple>>, Vec<Damaged>)> {
        let (mut good, mut damaged) = (Vec::new(), Vec::new());
        for row in blocking(py, |interrupt| self.core.program_records(source, interrupt))? {
            match Hit::of(row.record) {
                Ok(found) => good.push(hit(py, &found)?),
                Err(Error::CorruptRecord { key, cause }) => damaged.push((key, cause)),
                Err(other) => return Err(other.into()),
            }
        }
        Ok((good, damaged))
    }

    fn get_records_by_program_hash<'py>(
        &self,
        py: Python<'py>,
        program_hash: &str,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let rows = blocking(py, |interrupt| self.core.program_records_by_hash(program_hash, interrupt))?;
        rows.iter().filter(|row| !row.is_orphan).map(|row| row_dict(py, row)).collect()
    }

    fn get<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        let row = blocking(py, |interrupt| self.core.get(key, interrupt))?;
        row.map(|row| row_dict(py, &row)).transpose()
    }

    fn contains_key(&self, py: Python<'_>, key: &str) -> PyResult<bool> {
        blocking(py, |interrupt| self.core.contains_key(key, interrupt))
    }

    fn put(
        &self,
        py: Python<'_>,
        key: &str,
        program_hash: &str,
        schedule: &str,
        result_json: &str,
        overwrite: bool,
    ) -> PyResult<bool> {
        self.core.check_writes()?;
        let outcome = result_json::decode(result_json)
            .map_err(|cause| Error::InvalidMeasurement(format!("result_json: {cause}")))?;
        outcome.validate()?;
        let row = NewRecord { key, program_hash, schedule, result_json };
        blocking(py, |interrupt| {
            self.core.put(&[row], None, overwrite, interrupt).map(|written| written == 1)
        })
    }

    /// Rows of (key, schedule, result) as they are, unchecked: for the original's internal `Store`.
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)] // the original's; extracted by value
    fn put_raw(
        &self,
        py: Python<'_>,
        rows: Vec<(String, String, String)>,
        program_hash: &str,
        hostname: String,
        username: String,
        source_project: String,
        overwrite: bool,
    ) -> PyResult<usize> {
        let recorder = Recorder { hostname, username, source_project, environment: None };
        let rows: Vec<_> = rows
            .iter()
            .map(|(key, schedule, result_json)| NewRecord { key, program_hash, schedule, result_json })
            .collect();
        blocking(py, |interrupt| self.core.put(&rows, Some(&recorder), overwrite, interrupt))
    }

    fn delete(&self, py: Python<'_>, key: &str) -> PyResult<bool> {
        blocking(py, |interrupt| self.core.delete(key, interrupt))
    }

    fn count(&self, py: Python<'_>) -> PyResult<u64> {
        blocking(py, |interrupt| self.core.count(interrupt))
    }

    fn program_count(&self, py: Python<'_>) -> PyResult<u64> {
        blocking(py, |interrupt| self.core.program_count(interrupt))
    }

    /// (Hash, number of records) of the programs that have records, ordered by hash.
    fn program_sizes(&self, py: Python<'_>) -> PyResult<Vec<(String, u64)>> {
        blocking(py, |interrupt| self.core.program_sizes(interrupt))
    }

    /// Numbers of records and programs, or nothing where the store is busy for longer than `patience` seconds.
    fn glance(&self, py: Python<'_>, patience: f64) -> PyResult<Option<(u64, u64)>> {
        let patience = seconds("patience", patience)?;
        blocking(py, |interrupt| self.core.glance(patience, interrupt))
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let summary = blocking(py, |interrupt| self.core.stats(interrupt))?;
        let dict = PyDict::new(py);
        dict.set_item("total_records", summary.total_records)?;
        dict.set_item("legal_records", summary.legal_records)?;
        dict.set_item("illegal_records", summary.illegal_records)?;
        let statuses = PyDict::new(py);
        for (status, count) in Status::ALL.into_iter().zip(summary.statuses) {
            statuses.set_item(status.name(), count)?;
        }
        dict.set_item("statuses", statuses)?;
        dict.set_item("damaged_records", summary.damaged_records)?;
        dict.set_item("total_programs", summary.total_programs)?;
        dict.set_item("source_projects", summary.source_projects)?;
        dict.set_item("users", summary.users)?;
        dict.set_item("cpu_model", summary.cpu_model)?;
        dict.set_item("slurm_cpus", summary.slurm_cpus)?;
        Ok(dict)
    }

    #[pyo3(signature = (limit, offset, after))]
    fn keys(&self, py: Python<'_>, limit: i64, offset: i64, after: Option<&str>) -> PyResult<Vec<String>> {
        blocking(py, |interrupt| self.core.keys(Page { limit, offset, after }, interrupt))
    }

    fn get_meta(&self, py: Python<'_>, name: &str) -> PyResult<Option<String>> {
        blocking(py, |interrupt| self.core.meta(name, interrupt))
    }

    fn set_meta(&self, py: Python<'_>, name: &str, value: &str) -> PyResult<()> {
        blocking(py, |interrupt| self.core.set_meta(name, value, interrupt))
    }

    #[allow(clippy::needless_pass_by_value)] // extracted by value
    fn backup(&self, py: Python<'_>, backup_path: Option<PathBuf>, verify: bool) -> PyResult<PathBuf> {
        let target = backup_path.as_deref();
        blocking(py, |interrupt| {
            if verify {
                self.core.backup_verified(target, interrupt)
            } else {
                self.core.backup(target, interrupt)
            }
        })
    }

    /// Numbers of programs and records, and what is wrong with them.
    fn verify(&self, py: Python<'_>) -> PyResult<Verified> {
        blocking(py, |interrupt| self.core.verify(interrupt).map(verified))
    }

    /// What a lookup cache holds and how often it helped: hits, misses, entries, bytes, limit in bytes.
    fn cache_info(&self) -> (u64, u64, usize, usize, usize) {
        let counts = self.core.hit_counts();
        (counts.hits, counts.misses, counts.entries, counts.bytes, counts.limit)
    }

    /// Counts since the store was opened; waits in seconds.
    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (reads, commits, waits) = (self.core.read_counts(), self.core.commit_counts(), self.core.waits());
        let dict = PyDict::new(py);
        dict.set_item("lock_acquisitions", waits.count())?;
        dict.set_item("lock_wait_p50", waits.quantile(0.5).as_secs_f64())?;
        dict.set_item("lock_wait_p99", waits.quantile(0.99).as_secs_f64())?;
        dict.set_item("lock_wait_max", waits.longest().as_secs_f64())?;
        dict.set_item("batches_combined", count(&commits.combined))?;
        dict.set_item("batches_posted", count(&commits.posted))?;
        dict.set_item("batches_committed_by_others", count(&commits.committed_by_others))?;
        dict.set_item("reads_accepted", count(&reads.accepted))?;
        dict.set_item("reads_retried", count(&reads.rejected))?;
        dict.set_item("reads_locked", count(&reads.locked))?;
        dict.set_item("cache_hits", self.core.hit_counts().hits)?;
        dict.set_item("bytes_recorded", count(&commits.bytes))?;
        Ok(dict)
    }

    fn lock_info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        lock_info_dict(py, blocking(py, |_| self.core.lock_info())?)
    }

    fn seal(&self, py: Python<'_>) -> PyResult<bool> {
        blocking(py, |interrupt| self.core.seal(interrupt))
    }

    fn unseal(&self, py: Python<'_>) -> PyResult<bool> {
        blocking(py, |interrupt| self.core.unseal(interrupt))
    }

    #[allow(clippy::needless_pass_by_value)] // extracted by value
    fn restore(&self, py: Python<'_>, backup_path: PathBuf) -> PyResult<()> {
        blocking(py, |interrupt| self.core.restore(&backup_path, interrupt))
    }

    /// The file that was written, and the number of damaged records in it.
    #[allow(clippy::needless_pass_by_value)] // extracted by value
    fn export(&self, py: Python<'_>, output_path: PathBuf, fmt: &str) -> PyResult<(PathBuf, u64)> {
        let format = Format::from_name(fmt)?;
        let exported = blocking(py, |interrupt| self.core.export(&output_path, format, interrupt))?;
        Ok((exported.path, exported.damaged))
    }
}
