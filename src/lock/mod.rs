//! Who may write: two lock protocols, and the one function that runs lock, open, work, commit and release.
//!
//! What stands at the lock path decides for everyone how a store is locked: a *directory* is the token lock, a *file or
//! nothing* is the original's hard-link lock (`docs/design.md`, "Two lock protocols").

mod elsewhere;
mod errors;
mod gate;
mod hardlink;
mod info;
mod kept;
mod own;
mod path;
mod place;
mod process;
mod sealing;
mod sequence;
mod stale;
mod tenure;
mod token;
mod turn;
mod wait;
mod waits;

pub(crate) use elsewhere::{Elsewhere, Inside, Nobody};
pub use hardlink::{HardLink, Held};
pub use info::{HolderInfo, LockInfo, info};
pub(crate) use kept::Connected;
pub use path::lock_path;
pub use place::{Locking, Place, ReadCounts};
pub(crate) use process::Process;
pub use sealing::{break_lock, repair, restore, seal, unseal};
pub(crate) use sealing::{is_sealed, seal_new};
pub(crate) use sequence::{Sealed, Sequence};
pub use tenure::{Access, Tenure, read};
pub(crate) use tenure::{is_inside, locked, run};
pub use token::reread_token;
pub(crate) use token::{BATCH_WAITS, Owner, my_random};
pub(crate) use wait::Wait;
pub use wait::{Interrupt, Patience, Uninterrupted};
pub use waits::Waits;
