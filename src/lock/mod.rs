//! Who may write: the hard-link lock, and the one function that runs lock, open, work, commit and release.
//!
//! What stands at the lock path decides for everyone how a store is locked: a *file or nothing* is the hard-link
//! protocol of this module, a *directory* is the token protocol (`docs/design.md`, "Two lock protocols").

mod gate;
mod hardlink;
mod holder;
mod path;
mod stale;
mod tenure;
mod wait;

pub use hardlink::{HardLink, Held};
pub use path::lock_path;
pub(crate) use tenure::locked;
pub use tenure::{Access, Locking, Place, Tenure, run};
pub(crate) use wait::Wait;
pub use wait::{Interrupt, Patience, Uninterrupted};
