//! A FUSE file system for tests: it shows a directory at one or more mount points ("nodes"), and lets requests
//! fail, be answered late or not at all, and their callers be stopped or killed between two of them. It can also
//! say what a power cut would leave.
//!
//! ```ignore
//! let log = Log::of(backing.path())?;
//! let node = FaultFs::mount(backing.path(), Options { log: Some(log.clone()), ..Options::default() })?;
//! let points = node.count(Rule::on(Op::CRASH_POINTS).by_others());
//! // ... run a worker in node.path(); points.matched() is n ...
//! let hits = node.inject(Rule::on(Op::CRASH_POINTS).by_others().nth(k), Action::Kill { before: true });
//! // ... run it again; hits.fired() is 1 ...
//! log.trace().power_cut(cut, seed, Durability::default()).write(target)?;
//! ```
//!
//! The test process itself serves the requests. It may use the mount like any client, but never while it holds
//! a lock that the file system needs, and it is itself never stopped or killed. Within one mount the kernel lets
//! only one process at a time change a directory: look at what a stopped or delayed client left from another
//! mount, or in the backing directory.

#![allow(dead_code, reason = "each test uses a part of it")]

mod attributes;
mod backing;
mod copies;
mod counters;
mod crash;
mod gate;
mod guard;
mod log;
mod memory;
mod mount;
mod operation;
mod options;
mod process;
mod requests;
mod rules;
mod server;
mod table;
mod tree;

#[allow(unused_imports, reason = "each test uses a part of it")]
pub use self::{
    crash::Durability,
    log::{Entry, Event, Log, Trace},
    mount::{FaultFs, available},
    operation::{Call, Op},
    options::{Cache, Locks, Options},
    rules::{Action, Hits, Rule, Rules},
    tree::{Kind, Node, Object, ROOT, Tree},
};

/// Whether a test is to be left out, which it says.
pub fn must_skip() -> bool {
    let Err(reason) = available() else { return false };
    #[expect(clippy::print_stderr, reason = "who runs the tests should know what was not tested")]
    {
        eprintln!("skipped: {reason}");
    }
    true
}
