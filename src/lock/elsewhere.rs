//! What a caller does about its work while somebody else is inside.

use std::thread;
use std::time::Duration;

use crate::error::Result;

/// Who is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inside {
    /// Another thread of this process.
    Thread,
    /// Another process.
    Process,
}

/// Work that whoever is inside may do for those who wait.
pub(crate) trait Elsewhere {
    /// Asked at every look at a lock that another one holds. `true`: the work is done, nobody need come in for it.
    ///
    /// # Errors
    ///
    /// They end the wait.
    fn is_done(&self, inside: Inside) -> Result<bool>;

    /// Is the work where others may do it? Then there is no hurry to come in: the longer a holder waits, the more it
    /// commits at once, and readers without the lock get between two holders.
    fn is_passed_on(&self) -> bool;

    /// Has the answer come while this thread slept?
    fn was_answered(&self) -> bool {
        false
    }

    /// Sleeps for `time`. `true` if it was woken, because the work is done.
    fn rest(&self, time: Duration) -> bool {
        thread::sleep(time);
        false
    }
}

/// Work that nobody else can do.
pub(crate) struct Nobody;

impl Elsewhere for Nobody {
    fn is_done(&self, _inside: Inside) -> Result<bool> {
        Ok(false)
    }

    fn is_passed_on(&self) -> bool {
        false
    }
}
