//! What a process keeps open between its turns at one store: connections over files of one fence number.

use std::sync::{Arc, Mutex};

use rusqlite::Connection;

use super::own::Own;
use super::place::Place;
use super::sequence::Sequence;
use crate::error::Result;
use crate::mutation;
use crate::storage::guarded;
use crate::storage::vfs::guard::Guard;

/// A connection over the files that were at the path under one fence number.
pub(crate) struct Connected {
    pub(crate) connection: Connection,
    pub(crate) guard: Arc<Guard>,
    /// The token's name of the last read without the lock that was accepted.
    pub(crate) seen: Option<Arc<Sequence>>,
    /// The token had that name before that read already, when an earlier one was accepted.
    pub(crate) steady: bool,
    fence: u64,
}

impl Connected {
    pub(crate) fn new(connection: Connection, guard: Arc<Guard>, fence: u64) -> Self {
        Self { connection, guard, seen: None, steady: false, fence }
    }

    /// Are its files those that stand at the path under this fence number? Of another number they were replaced: what
    /// it would write, nobody would read.
    pub(crate) fn is_current(&self, fence: u64) -> bool {
        (self.fence == fence && !self.guard.has_moved()) || mutation::off("fence-number")
    }

    /// A connection that only reads, without a tenure.
    pub(crate) fn reader(place: &Place, fence: u64) -> Result<Self> {
        let (connection, guard) = guarded::open_reader(&place.db_path)?;
        Ok(Self::new(connection, guard, fence))
    }
}

/// Connections that are kept at most: one for each thread that reads at the same time.
const MOST: usize = 8;

/// Connections that nobody uses just now.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Vec<Own<Connected>>>);

impl Kept {
    /// A kept connection, if there is one of the database file that has this fence number.
    pub(crate) fn take(&self, fence: u64) -> Option<Connected> {
        self.take_if(|connected| connected.is_current(fence))
    }

    /// The same for a tenure that will write: SQLite itself looks, when it begins to, whether the path leads elsewhere.
    pub(crate) fn take_to_write(&self, fence: u64) -> Option<Connected> {
        self.take_if(|connected| connected.fence == fence || mutation::off("fence-number"))
    }

    /// Any kept connection.
    pub(crate) fn take_any(&self) -> Option<Connected> {
        self.take_if(|_| true)
    }

    /// The last one that was kept and is `wanted`; those that are not are closed.
    fn take_if(&self, wanted: impl Fn(&Connected) -> bool) -> Option<Connected> {
        // A fork may have caught the lock; the child opens its own connection.
        let mut kept = self.0.try_lock().ok()?;
        while let Some(connected) = kept.pop() {
            if let Some(connected) = connected.into_inner().filter(&wanted) {
                return Some(connected);
            }
        }
        None
    }

    /// This process is about to write: what its readers have seen will not stand.
    pub(super) fn unsettle(&self) {
        let Ok(mut kept) = self.0.try_lock() else { return };
        for connected in kept.iter_mut().filter_map(Own::get_mut) {
            connected.steady = false;
        }
    }

    /// Closes what is kept.
    pub(crate) fn clear(&self) {
        if let Ok(mut kept) = self.0.try_lock() {
            kept.clear();
        }
    }

    /// Keeps a connection for the next turn.
    pub(crate) fn put(&self, connected: Connected) {
        if let Ok(mut kept) = self.0.try_lock()
            && kept.len() < MOST
        {
            kept.push(Own::new(connected));
        }
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}
