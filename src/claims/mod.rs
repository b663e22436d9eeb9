//! Who measures what: a claim on a pair of program and schedule has one winner among all nodes, and ends when it is
//! completed, fails, is released, or its owner is gone.
//!
//! A claim is a row (`storage::claims`), made and ended in transactions of its own. Its owner is gone when it is
//! provably dead, or when nobody has renewed the claim for its lease of the *observer's* own clock (`observer`).
//! `docs/claims.md` says why.

mod attempt;
mod held;
mod listed;
mod observer;
mod taking;
mod unheard;
mod waiting;

pub use held::Claim;
pub use listed::{Listed, State};
pub(crate) use listed::{is_claimed, list};
pub(crate) use taking::{Terms, Wanted, take};
pub use waiting::Awaited;
pub(crate) use waiting::{Until, wait};
