//! Records as columns: which fields a record has, which records are wanted, and their Arrow arrays.
//!
//! Rows are read by `storage`, `block` decodes them, in the threads of `crew`, `filter` says which are wanted, and `batch`
//! makes Arrow arrays of those. A damaged row is named and left out, never fatal, and nothing of it is made up.

mod batch;
mod best;
mod block;
mod constant;
mod crew;
mod decode;
mod derive;
mod dictionary;
mod features;
mod field;
mod filter;
mod glob;
mod narrow;
mod operator;
mod programs;
mod record;
mod schema;
mod search;
mod sort;
mod tokens;
mod value;
mod walk;

pub use best::{Best, Stat};
pub use constant::Constant;
pub use field::Field;
pub use filter::{Filter, Test};
pub use operator::Operator;
pub use programs::programs;
pub use search::{Found, Query, Scanned, explain, scan, search};
pub use walk::Damaged;
