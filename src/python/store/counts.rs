//! Numbers: what a store holds, and what the calls of this process cost.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::super::blocking::blocking;
use super::super::convert::seconds;
use super::Store;
use crate::measurement::Status;

#[pymethods]
impl Store {
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
}
