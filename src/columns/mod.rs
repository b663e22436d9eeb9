//! Records as columns: which fields a record has, which records are wanted, and their Arrow arrays.
//!
//! Rows are read by `storage`, `walk` decodes them, `filter` says which are wanted, and `batch` makes Arrow arrays
//! of those. A damaged row is named and left out, never fatal, and nothing of it is made up.

mod batch;
mod best;
mod decode;
mod derive;
mod dictionary;
mod features;
mod field;
mod filter;
mod glob;
mod narrow;
mod programs;
mod record;
mod schema;
mod search;
mod sort;
mod tokens;
mod value;
mod walk;

pub use best::{Best, Stat};
pub use field::Field;
pub use filter::{Constant, Filter, Operator, Test};
pub use programs::programs;
pub use search::{Found, Query, Scanned, explain, scan, search};
pub use walk::Damaged;
