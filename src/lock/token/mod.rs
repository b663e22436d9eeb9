//! The token lock: a directory with one file in it, whose name is the whole state.
//!
//! Every transition is one `rename` from a name that is used once in all time, so that exactly one caller succeeds and
//! whoever was paused and goes on with an old name finds it gone. Nothing is written into files: there are no torn or
//! unreadable lock files, and a full disk does not matter to the lock. `docs/design.md` says why each step is there;
//! `tests/rust/lock_model.rs` checks all interleavings of them.

mod directory;
mod held;
mod listing;
mod name;
mod owner;
mod repair;
mod request;
mod waiters;

pub(crate) use directory::{BATCH_WAITS, Directory, fresh_count};
pub(crate) use held::Held;
pub(crate) use listing::Listing;
pub use name::reread_token;
pub(crate) use name::{Count, Flags, Hold, Token};
pub(crate) use owner::{Owner, my_random};
pub(crate) use repair::repair;
pub(crate) use request::{Acquired, Answer, Request};
pub(crate) use waiters::read_mark;
