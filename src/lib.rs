//! The core of TiraStore: a store of program measurements that many processes on many nodes share.
//!
//! Open the modules in the order in which data flows:
//!
//! * [`identity`]: what makes two measurements the same;
//! * [`measurement`]: what is measured;
//! * [`store`]: the public API, which joins the parts below;
//! * [`lock`]: who may write, and the one function that runs a tenure;
//! * [`commit`]: one transaction for everybody who waits;
//! * [`reads`]: how lookups reach the database;
//! * [`claims`]: who measures what;
//! * [`storage`]: one SQLite file;
//! * `python`: the extension module, which converts and delegates.

pub mod claims;
pub mod clock;
pub mod commit;
pub mod error;
pub mod filesystem;
pub mod identity;
pub mod lock;
pub mod machine;
pub mod measurement;
#[cfg(any(test, feature = "mutations"))]
pub mod mutation;
#[cfg(not(any(test, feature = "mutations")))]
mod mutation;
pub mod notices;
#[cfg(feature = "python")]
mod python;
mod random;
pub mod reads;
mod scratch;
pub mod storage;
pub mod store;

pub use error::{Error, Result};
pub use store::Store;
