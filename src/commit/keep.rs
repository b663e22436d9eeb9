//! Batches that are handed over for good: whoever has the token next writes them, whether their process lives or not.
//!
//! ```text
//! keep_<host>_<process>_<client>.<number>.new     as other posts (`queue`), but synced, and never swept
//! ```
//!
//! A file gets its name when it is whole and synced. It is removed after the release of the tenure that has committed
//! it; where that is prevented, the id of the batch tells the next holder that it was applied.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;

use rusqlite::Connection;

use super::batch::Batch;
use super::queue::{self, MOST_BYTES, Queue};
use super::{post, transaction::in_transaction};
use crate::error::{Error, Result};
use crate::lock::{self, Access, BATCH_WAITS, Interrupt, Nobody, Place, Tenure};
use crate::mutation;
use crate::notices;
use crate::scratch;
use crate::storage::applied::{self, Known};
use crate::storage::connection;

/// More than any buffer makes of one batch (JSON writes some bytes as six), but for a row that nobody records.
const LARGEST_KEPT: u64 = 1 << 30;

/// Hands `batch` over, durably. Answers the name of its file; `None` where the store is not sealed, or not for much
/// longer, so that nobody would look for it.
///
/// # Errors
///
/// [`Error::Io`]: whether it was handed over is not known. Its id keeps it from coming in twice.
pub(crate) fn keep(place: &Place, batch: &Batch) -> Result<Option<String>> {
    let directory = place.directory().path;
    let name = format!("{}{}{BATCH_WAITS}", scratch::kept_prefix(), batch.id);
    let path = directory.join(&name);
    // Swept, if this process dies before it is whole.
    let aside = directory.join(format!("{}{}.part", scratch::batch_prefix(), batch.id));
    let put = || {
        let contents = post::encode(batch);
        if contents.len() as u64 > LARGEST_KEPT {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let opened = File::open(&directory)?;
        let file = File::create(&aside)?;
        Queue::of(place).write(&file, &contents)?;
        file.sync_all()?;
        // An error may hide a success.
        fs::rename(&aside, &path).or_else(|error| path.symlink_metadata().map(drop).map_err(|_| error))?;
        Ok(opened)
    };
    let put: io::Result<File> = put();
    let failed = |source| Error::Io { path: path.clone(), action: "writing", source };
    let stays = match put {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(failed(error)),
        Ok(opened) => match stays(place, &opened) {
            Ok(true) => opened.sync_all().map(|()| true).map_err(failed),
            other => other,
        },
    };
    if matches!(stays, Ok(true)) {
        return Ok(Some(name));
    }
    let _ = fs::remove_file(aside);
    let _ = fs::remove_file(&path);
    stays.map(|_| None)
}

/// Is the lock directory, which was `opened` before a file was put into it, there to stay? Whoever takes it away says so
/// in it and looks for such files after that, so that one of the two sees the other.
fn stays(place: &Place, opened: &File) -> Result<bool> {
    if mutation::off("look-for-unsealing") {
        return Ok(true);
    }
    let directory = place.directory();
    let Some(scan) = directory.scan()? else { return Ok(false) };
    let identity = |status: fs::Metadata| (status.dev(), status.ino());
    let is_same = || Ok(identity(opened.metadata()?) == identity(fs::metadata(&directory.path)?));
    let is_same: io::Result<bool> = is_same();
    Ok(is_same.unwrap_or(false) && !scan.goes_away())
}

/// Does the file `name` still wait for a holder of the token?
pub(crate) fn waits(place: &Place, name: &str) -> bool {
    place.directory().path.join(name).symlink_metadata().is_ok()
}

/// Writes in one tenure what others have handed over, if there is something; `own` are files that this process put there.
/// Answers how many batches that were.
///
/// # Errors
///
/// Those of the lock and of SQLite.
pub(crate) fn apply_kept(place: &Place, interrupt: &dyn Interrupt, own: &[String]) -> Result<usize> {
    let seen = place.directory().scan()?.map_or_else(Vec::new, |scan| scan.batches);
    if own.is_empty() && !seen.iter().any(|name| is_kept(name)) {
        return Ok(0);
    }
    let mut applied = 0;
    // The second, where the first had to take the token over.
    for _ in 0..2 {
        let (mut kept, mut taken_over) = (Kept::default(), false);
        let done = lock::run(place, Access::Write, interrupt, &Nobody, |tenure, repeated| {
            if !repeated {
                taken_over = tenure.was_taken_over();
                kept = Kept::of(tenure, own);
            }
            in_transaction(place, tenure, |connection| kept.put(connection, place, tenure))
        })?;
        if done.is_some() {
            applied += kept.acknowledge(place);
            kept.complain(place);
        }
        if !taken_over {
            break;
        }
    }
    Ok(applied)
}

/// Is `name` that of a batch that was handed over for good?
pub(super) fn is_kept(name: &str) -> bool {
    name.starts_with(scratch::KEPT) && name.ends_with(BATCH_WAITS)
}

/// What of it one tenure commits: this process's own, then others, those of one process in their order.
#[derive(Default)]
pub(super) struct Kept {
    files: Vec<Handed>,
    own: usize,
}

/// A file, and what became of it in this tenure.
struct Handed {
    name: String,
    id: applied::BatchId,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waits,
    /// It is in the store, from now on or before.
    Applied,
    /// It is torn, or of another version. Nobody knows what it says.
    Unreadable,
}

impl Kept {
    /// What stands beside the token. After a holder that has died inside only what is this process's `own`: it may have
    /// been a post that ended it.
    pub(super) fn of(tenure: &Tenure<'_>, own: &[String]) -> Self {
        let beside = if tenure.was_taken_over() { &[] } else { tenure.batches() };
        let others = beside.iter().filter(|name| is_kept(name) && !own.contains(name));
        let (mut files, others) = (in_order(own.iter()), in_order(others));
        let own = files.len();
        files.extend(others);
        Self { files, own }
    }

    /// Leaves those of other processes to a later tenure. `false` if there are none.
    pub(super) fn leave_others(&mut self) -> bool {
        let had_others = self.files.len() > self.own;
        self.files.truncate(self.own);
        had_others
    }

    /// Writes it in the running transaction, before anything that was asked for later. Of others not much more than
    /// [`MOST_BYTES`], to which what cannot be applied does not count: it would keep all that stands behind it out.
    pub(super) fn put(&mut self, connection: &Connection, place: &Place, tenure: &Tenure<'_>) -> Result<()> {
        let (path, directory) = (place.db_path.as_path(), place.directory().path);
        let mut bytes = 0;
        let mut left_out: Vec<String> = Vec::new();
        for (number, file) in self.files.iter_mut().enumerate() {
            file.fate = Fate::Waits;
            let (process, _) = file.id.order();
            if left_out.iter().any(|other| other == process) || (number >= self.own && bytes > MOST_BYTES) {
                continue;
            }
            if !mutation::off("keep-once") && applied::known(connection, path, &file.id)? != Known::New {
                file.fate = Fate::Applied;
                continue;
            }
            let contents = match queue::read(&directory.join(&file.name), LARGEST_KEPT) {
                Ok(contents) => contents,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) if error.kind() == ErrorKind::InvalidData => Vec::new(),
                Err(_) => {
                    // It may be read the next time, and what its process handed over later must not come in first.
                    if !mutation::off("wait-for-the-older") {
                        left_out.push(process.to_owned());
                    }
                    continue;
                }
            };
            if mutation::off("count-what-is-applied") {
                bytes += contents.len() as u64;
            }
            let Some(batch) = post::decode(file.id.clone(), &contents) else {
                if post::is_of_another(&file.id, &contents) {
                    // As if it could not be read now.
                    left_out.push(process.to_owned());
                } else {
                    file.fate = Fate::Unreadable;
                }
                continue;
            };
            // Noted even where it changes nothing: it must not come in once more over what was deleted since.
            let outcome = connection::in_savepoint(connection, path, || {
                let written = i64::try_from(batch.put(tenure, path)?).unwrap_or(i64::MAX);
                applied::note(connection, path, &batch.id, written)
            })?;
            if outcome.is_ok() {
                file.fate = Fate::Applied;
                bytes += contents.len() as u64;
            } else {
                left_out.push(process.to_owned());
            }
            tenure.renew()?;
        }
        Ok(())
    }

    /// Does something wait that the process of `batch` handed over? It may be older, and what comes in last stays.
    pub(super) fn holds_back(&self, batch: &Batch) -> bool {
        let is_waiting = |file: &Handed| file.fate == Fate::Waits && file.id.order().0 == batch.id.order().0;
        self.files.iter().any(is_waiting) && !mutation::off("wait-for-the-older")
    }

    /// Removes what was committed, now that the tenure has ended well. Answers how many batches that were.
    pub(super) fn acknowledge(&self, place: &Place) -> usize {
        let directory = place.directory().path;
        let done = self.files.iter().filter(|file| file.fate == Fate::Applied);
        for file in done.clone() {
            let _ = fs::remove_file(directory.join(&file.name));
        }
        done.count()
    }

    /// Names what nobody can read: otherwise nobody would ever know.
    fn complain(&self, place: &Place) {
        for file in self.files.iter().filter(|file| file.fate == Fate::Unreadable) {
            let path = place.directory().path.join(&file.name);
            notices::put(format!(
                "{}: records that were handed over cannot be read: the file is damaged, or of another version; move \
                 it away if it is of no use",
                path.display()
            ));
        }
    }
}

/// Files of batches, older ones of a process first.
fn in_order<'a>(names: impl Iterator<Item = &'a String>) -> Vec<Handed> {
    let mut files: Vec<_> = names
        .filter_map(|name| Some(Handed { name: name.clone(), id: queue::id_of(name)?, fate: Fate::Waits }))
        .collect();
    files.sort_by(|one, other| one.id.order().cmp(&other.id.order()));
    files
}
