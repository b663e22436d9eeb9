//! One SQLite file: schema 2 of the original TiraStore and additive tables beside it. The only place that knows SQL.

pub mod adopt;
pub(crate) mod applied;
pub mod backup;
pub mod birth;
pub(crate) mod claims;
mod column;
pub(crate) mod columns;
pub mod connection;
pub mod environments;
pub mod export;
pub(crate) mod fence;
mod file;
pub(crate) mod fresh;
pub(crate) mod guarded;
pub(crate) mod journal;
pub mod meta;
pub mod pages;
pub mod programs;
pub mod records;
pub mod result_json;
pub mod runs;
pub mod schema;
pub mod sharing;
pub mod summary;
pub(crate) mod tally;
pub mod verify;
pub(crate) mod vfs;
