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

use rusqlite::Connection;

use super::batch::Batch;
use super::queue::{MOST_BYTES, Post, Queue};
use super::transaction::in_transaction;
use crate::error::{Error, Result};
use crate::lock::{self, Access, BATCH_WAITS, Interrupt, Nobody, Place, Tenure};
use crate::mutation;
use crate::scratch;
use crate::storage::applied::{self, Known};
use crate::storage::birth::sync_directory;
use crate::storage::connection;

/// Hands `batch` over, durably. Answers the name of its file; `None` where the store is not sealed, so that nobody would
/// look for it.
///
/// # Errors
///
/// [`Error::Io`]: then it was not handed over.
pub(crate) fn keep(place: &Place, batch: &Batch) -> Result<Option<String>> {
    let directory = place.directory();
    let name = format!("{}{}{BATCH_WAITS}", scratch::kept_prefix(), batch.id);
    let path = directory.path.join(&name);
    // Swept, if this process dies before it is whole.
    let aside = directory.path.join(format!("{}{}.part", scratch::batch_prefix(), batch.id));
    let put = || {
        let file = File::create(&aside)?;
        Queue::of(place).write(&file, batch)?;
        file.sync_all()?;
        // An error may hide a success.
        fs::rename(&aside, &path).or_else(|error| path.symlink_metadata().map(drop).map_err(|_| error))
    };
    let put: io::Result<()> = put();
    let is_put = put.is_ok();
    let failed = match put {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(source) => Error::Io { path: path.clone(), action: "writing", source },
        Ok(()) => match sync_directory(&directory.path) {
            Ok(()) => return Ok(Some(name)),
            Err(error) => error,
        },
    };
    let _ = fs::remove_file(aside);
    match fs::remove_file(&path) {
        // Somebody has taken it.
        Err(error) if is_put && error.kind() == ErrorKind::NotFound => Ok(Some(name)),
        _ => Err(failed),
    }
}

/// Does the file `name` still wait for a holder of the token?
pub(crate) fn waits(place: &Place, name: &str) -> bool {
    place.directory().path.join(name).symlink_metadata().is_ok()
}

/// Writes in one tenure what others have handed over, if there is something; `own` are files that this process put there.
///
/// # Errors
///
/// Those of the lock and of SQLite.
pub(crate) fn apply_kept(place: &Place, interrupt: &dyn Interrupt, own: &[String]) -> Result<()> {
    let seen = place.directory().scan()?.map_or_else(Vec::new, |scan| scan.batches);
    if own.is_empty() && !seen.iter().any(|name| is_kept(name)) {
        return Ok(());
    }
    // The second, where the first had to take the token over.
    for _ in 0..2 {
        let (mut kept, mut taken_over) = (Kept::default(), false);
        let done = lock::run(place, Access::Write, interrupt, &Nobody, |tenure, repeated| {
            if !repeated {
                taken_over = tenure.was_taken_over();
                kept = Kept::of(place, tenure, own);
            }
            in_transaction(place, tenure, |connection| kept.put(connection, place, tenure))
        })?;
        if done.is_some() {
            kept.acknowledge(place);
        }
        if !taken_over {
            break;
        }
    }
    Ok(())
}

/// Is `name` that of a batch that was handed over for good?
pub(super) fn is_kept(name: &str) -> bool {
    name.starts_with(scratch::KEPT) && name.ends_with(BATCH_WAITS)
}

/// What of it one tenure commits.
#[derive(Default)]
pub(super) struct Kept(Vec<(Post, bool)>);

impl Kept {
    /// What stands beside the token. After a holder that has died inside only what is this process's `own`: it may have
    /// been a post that ended it.
    pub(super) fn of(place: &Place, tenure: &Tenure<'_>, own: &[String]) -> Self {
        let beside = if tenure.was_taken_over() { &[] } else { tenure.batches() };
        let others: Vec<_> =
            beside.iter().filter(|name| is_kept(name) && !own.contains(name)).cloned().collect();
        let queue = Queue::of(place);
        let posts = queue.kept(own, u64::MAX).into_iter().chain(queue.kept(&others, MOST_BYTES));
        Self(posts.map(|post| (post, false)).collect())
    }

    /// Writes it in the running transaction, before anything that was asked for later.
    pub(super) fn put(&mut self, connection: &Connection, place: &Place, tenure: &Tenure<'_>) -> Result<()> {
        let path = place.db_path.as_path();
        let mut left_out: Vec<String> = Vec::new();
        for (post, done) in &mut self.0 {
            let batch = &post.batch;
            if left_out.iter().any(|process| process == batch.id.order().0) {
                continue;
            }
            *done = !mutation::off("keep-once") && applied::known(connection, path, &batch.id)? != Known::New;
            if *done {
                continue;
            }
            // Noted even where it changes nothing: it must not come in once more over what was deleted since.
            let outcome = connection::in_savepoint(connection, path, || {
                let written = i64::try_from(batch.put(tenure, path)?).unwrap_or(i64::MAX);
                applied::note(connection, path, &batch.id, written)
            })?;
            *done = outcome.is_ok();
            if !*done {
                // What its process handed over later must not come in first.
                left_out.push(batch.id.order().0.to_owned());
            }
        }
        Ok(())
    }

    /// Removes what was committed, now that the tenure has ended well. Answers how many batches that were.
    pub(super) fn acknowledge(&self, place: &Place) -> usize {
        let directory = place.directory().path;
        let done = self.0.iter().filter(|(_, done)| *done);
        for (post, _) in done.clone() {
            let _ = fs::remove_file(directory.join(post.name()));
        }
        done.count()
    }
}
