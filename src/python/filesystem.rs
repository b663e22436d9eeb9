//! The file system of a path, for `tirastore doctor`.

use std::path::PathBuf;

use pyo3::prelude::*;

use crate::filesystem::{self, Reach};

/// A file system, as the kernel names it.
#[pyclass(frozen, get_all, module = "tirastore._core")]
pub(super) struct FileSystem {
    kind: &'static str,
    magic: u32,
    coherent: bool,
    local: bool,
    reason: String,
}

#[pymethods]
impl FileSystem {
    fn __repr__(&self) -> String {
        format!("FileSystem(kind='{}', magic={:#x})", self.kind, self.magic)
    }
}

#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // extracted by value
pub(super) fn file_system(py: Python<'_>, path: PathBuf) -> PyResult<FileSystem> {
    let found = py.detach(move || filesystem::of(&path))?;
    Ok(FileSystem {
        kind: found.kind,
        magic: found.magic,
        coherent: found.coherent(),
        local: found.reach == Reach::Node,
        reason: found.reason(),
    })
}
