//! A token that this process holds: renewed, released, or left to the next one.

use std::process;
use std::time::Duration;

use super::directory::Directory;
use super::name::{Count, Flags, Hold, Token};
use crate::clock;
use crate::error::{Error, Result};
use crate::mutation;

/// A renewal covers what is done within this part of the takeover time. The rest is for the scans of those who watch,
/// and for a write that was on its way when the time was up.
const LEASES_PER_TAKEOVER: u32 = 3;

/// A held token. Dropped without a release it stays: whoever finds it takes it over.
#[derive(Debug)]
pub(crate) struct Held {
    directory: Directory,
    hold: Hold,
    takeover: Duration,
    /// Since boot, before the last successful renewal began.
    renewed: Duration,
    owner: u32,
    lost: bool,
}

impl Held {
    /// The token in the state that `hold` says, made so by a swap that began at `began`.
    pub(super) fn of(directory: &Directory, hold: Hold, takeover: Duration, began: Duration) -> Self {
        Self {
            directory: directory.clone(),
            hold,
            takeover,
            renewed: began,
            owner: process::id(),
            lost: false,
        }
    }

    pub(crate) fn count(&self) -> Count {
        self.hold.count
    }

    pub(crate) fn flags(&self) -> Flags {
        self.hold.flags
    }

    pub(crate) fn takeover(&self) -> Duration {
        self.takeover
    }

    /// Has the token been seen to be another's? Then nothing may be written any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost || process::id() != self.owner
    }

    /// Renews the token, in the same step with a change of what it says.
    ///
    /// # Errors
    ///
    /// [`Error::LockLost`] where somebody has taken it over; [`Error::Lock`] where the file system refuses.
    pub(crate) fn renew(&mut self, flags: Flags, count: Count) -> Result<()> {
        if self.is_lost() {
            return Err(self.taken_over());
        }
        // Before the rename: what others see as silence begins no later.
        let began = clock::since_boot();
        let next = Hold { count, beat: self.hold.beat + 1, flags, owner: self.hold.owner.clone() };
        let renewed = self.directory.swap(&self.name(), &Token::Held(next.clone()).to_string());
        match renewed {
            Ok(true) => {
                self.hold = next;
                self.renewed = began;
                Ok(())
            }
            Ok(false) => {
                self.lost = true;
                Err(self.taken_over())
            }
            // Whether it was renewed is unknown: as good as lost.
            Err(error) => {
                self.lost = true;
                Err(error)
            }
        }
    }

    /// Renews the token if the last renewal no longer covers what is about to be done.
    ///
    /// # Errors
    ///
    /// As [`Held::renew`].
    pub(crate) fn keep(&mut self) -> Result<()> {
        if self.is_lost() {
            return Err(self.taken_over());
        }
        let age = clock::since_boot().saturating_sub(self.renewed);
        if age < self.takeover / LEASES_PER_TAKEOVER || mutation::off("renewal") {
            return Ok(());
        }
        self.renew(self.hold.flags, self.hold.count)
    }

    /// Gives the token back. Only when this has succeeded was it held to the end.
    ///
    /// # Errors
    ///
    /// As [`Held::renew`].
    pub(crate) fn release(mut self) -> Result<()> {
        if self.is_lost() {
            return Err(self.taken_over());
        }
        self.lost = true;
        let freed = self.directory.swap(&self.name(), &Token::Free(self.hold.count).to_string())?;
        if freed { Ok(()) } else { Err(self.taken_over()) }
    }

    pub(super) fn name(&self) -> String {
        Token::Held(self.hold.clone()).to_string()
    }

    fn taken_over(&self) -> Error {
        Error::LockLost { path: self.directory.path.clone() }
    }
}
