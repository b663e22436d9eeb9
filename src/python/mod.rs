//! The extension module `tirastore._core`: converts arguments and results and delegates. It decides nothing.

mod blocking;
mod buffer;
mod claims;
mod convert;
mod errors;
mod filesystem;
mod identity;
mod lock;
mod locking;
mod rows;
mod store;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::buffer::Buffer;
    #[pymodule_export]
    use super::claims::{Claim, Claims};
    #[pymodule_export]
    use super::filesystem::{FileSystem, file_system};
    #[pymodule_export]
    use super::identity::{
        make_key, make_program_hash, normalize_program, normalize_schedule, schedule_dialect,
        validate_schedule,
    };
    #[pymodule_export]
    use super::lock::HardLinkLock;
    #[pymodule_export]
    use super::locking::{break_lock, lock_info, repair_lock};
    #[pymodule_export]
    use super::store::Store;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("build_profile", if cfg!(debug_assertions) { "debug" } else { "release" })
    }
}
