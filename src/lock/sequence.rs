//! The token as a sequence number: what readers without the lock compare before and after.
//!
//! Every tenure has a name of its own, and says in it when it begins to write. So if the token has one name before and
//! after a read, and the name says that nobody writes, nobody wrote meanwhile.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::place::Place;
use crate::error::Result;

/// What the token said at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// The token, in its directory.
    path: PathBuf,
    /// Which database file stands at the path.
    pub(crate) fence: u64,
    /// Nobody writes, and nobody who was taken over may.
    pub(crate) quiet: bool,
}

/// What stands at the lock path, for a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sealed {
    /// No directory: readers need the hard-link lock.
    No,
    /// The token could not be seen: a rename was under way, or it is lost.
    Unseen,
    /// The token.
    Yes(Sequence),
}

impl Sequence {
    /// Looks at the token of the store at `place`.
    ///
    /// # Errors
    ///
    /// [`Error::LockVersion`](crate::Error::LockVersion) and [`Error::Lock`](crate::Error::Lock).
    pub(crate) fn look(place: &Place) -> Result<Sealed> {
        let directory = place.directory();
        let Some(scan) = directory.scan_for_token()? else { return Ok(Sealed::No) };
        Ok(scan.the_token().map_or(Sealed::Unseen, |(name, token)| {
            let quiet = token.flags().none();
            Sealed::Yes(Self { path: directory.path.join(name), fence: token.count().fence, quiet })
        }))
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self { path: PathBuf::from("f.1.1"), fence: 1, quiet: true }
    }

    /// Has the token had this name ever since?
    ///
    /// # Errors
    ///
    /// [`Error::Lock`](crate::Error::Lock) where the file system does not answer.
    pub(crate) fn still_stands(&self) -> Result<bool> {
        match self.path.symlink_metadata() {
            Ok(_) => Ok(true),
            // No directory any more: the store was unsealed.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
            Err(source) => Err(super::errors::refused(&self.path, "looking at the token", source)),
        }
    }
}
