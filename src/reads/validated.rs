//! Reading where nothing may be written: no lock is taken, and a result counts only if nobody wrote meanwhile.
//!
//! A writer holds the lock from before its first change until after its last, and a dead one leaves it, or a journal; a
//! commit changes the change counter in the header. So: no lock file, or one name of a token that says that nobody
//! writes; no journal; and the same header, before and after.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::lock::{Interrupt, Patience, Place, Sealed, Sequence, Wait, lock_path};
use crate::mutation;
use crate::storage::{connection, journal};

pub(super) fn read<T>(
    place: &Place,
    interrupt: &dyn Interrupt,
    mut work: impl FnMut(&Connection) -> Result<T>,
) -> Result<T> {
    let mut wait = Wait::begin(Patience { timeout: place.lock_timeout, interrupt });
    loop {
        let why = match State::of(place)? {
            Err(writer) => writer,
            Ok(before) => {
                let outcome =
                    connection::open_immutable(&place.db_path).and_then(|connection| work(&connection));
                // An error inside a torn attempt proves nothing: it counts only if the attempt is accepted.
                if mutation::off("validate-reads") || State::of(place)? == Ok(before) {
                    return outcome;
                }
                "somebody wrote during every attempt to read it"
            }
        };
        if wait.is_over() {
            return Err(Error::Busy { path: place.db_path.clone(), why: why.to_owned() });
        }
        wait.pause()?;
    }
}

/// What identifies one committed state of the file.
#[derive(Debug, PartialEq, Eq)]
struct State {
    token: Sealed,
    header: Vec<u8>,
    size: u64,
    inode: u64,
}

impl State {
    /// The state of the database, or which trace of a writer stands beside it.
    fn of(place: &Place) -> Result<std::result::Result<Self, &'static str>> {
        let path = place.db_path.as_path();
        let token = Sequence::look(place)?;
        let held = match &token {
            Sealed::No => lock_path(path).symlink_metadata().is_ok(),
            Sealed::Unseen => true,
            Sealed::Yes(sequence) => !sequence.quiet,
        };
        if held {
            return Ok(Err(
                "its lock is held, and a reader that may not write in its directory cannot wait in line",
            ));
        }
        if journal::is_hot(path) {
            return Ok(Err(
                "a dead writer left a journal, which a client that may write must roll back first",
            ));
        }
        let mut file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::Missing { path: path.to_path_buf(), why: None });
            }
            other => other.map_err(Error::io(path, "opening"))?,
        };
        let metadata = file.metadata().map_err(Error::io(path, "looking at"))?;
        let mut header = Vec::new();
        Read::by_ref(&mut file).take(100).read_to_end(&mut header).map_err(Error::io(path, "reading"))?;
        Ok(Ok(Self { token, header, size: metadata.len(), inode: metadata.ino() }))
    }
}
