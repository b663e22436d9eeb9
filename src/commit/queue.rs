//! Posts of processes that wait, in the directory `q` beside the token.
//!
//! ```text
//! <client>.<number>.new             asks
//! <client>.<number>.ok.<answer>     was committed: renamed by the holder after it had released the token
//! ```
//!
//! Nothing of this is needed for a batch to get into the store: whoever has posted one waits for the lock all the same,
//! and commits it from memory if it is first. So a post that nobody can read, or whose answer is lost, costs time only.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use super::applied::BatchId;
use super::batch::Batch;
use super::post;
use crate::lock::Place;

/// A bigger batch takes a tenure of its own.
pub(super) const LARGEST_POST: usize = 1 << 20;
/// Posts that one tenure commits at most, and their bytes.
const MOST_POSTS: usize = 1024;
const MOST_BYTES: u64 = 32 << 20;
/// Answers that nobody has fetched, and posts that nobody could read, are removed after this long.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// The queue of one store.
pub(super) struct Queue {
    directory: PathBuf,
    shared: bool,
}

/// What became of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is where it was.
    Waits,
    Answered(i64),
    /// Neither post nor answer: who removed it is not known, nor why.
    Gone,
}

impl Queue {
    pub(super) fn of(place: &Place) -> Self {
        let directory = place.directory();
        Self { directory: directory.queue(), shared: directory.shared }
    }

    /// Asks whoever holds the lock to commit `batch`. `false` if that is not possible.
    pub(super) fn post(&self, batch: &Batch) -> bool {
        let path = self.directory.join(format!("{}.new", batch.id));
        let put = || {
            let mut file = File::create_new(&path)?;
            if self.shared {
                // Whatever the umask says, and before it is whole: others read it.
                file.set_permissions(Permissions::from_mode(0o666))?;
            }
            file.write_all(&post::encode(batch))
        };
        let posted: std::io::Result<()> = put();
        if posted.is_err() {
            let _ = fs::remove_file(&path);
        }
        posted.is_ok()
    }

    /// What became of the post of `id`. An answer is taken away.
    pub(super) fn fate(&self, id: &BatchId) -> Fate {
        match fs::symlink_metadata(self.directory.join(format!("{id}.new"))) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            _ => return Fate::Waits,
        }
        let prefix = format!("{id}.ok.");
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let answer = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.parse().ok());
            if let Some(answer) = answer {
                let _ = fs::remove_file(entry.path());
                return Fate::Answered(answer);
            }
        }
        Fate::Gone
    }

    /// Takes a post back, or its answer. Whoever has read it may commit it all the same.
    pub(super) fn withdraw(&self, id: &BatchId) {
        if fs::remove_file(self.directory.join(format!("{id}.new"))).is_err() {
            let _ = self.fate(id);
        }
    }

    /// The posts of all but `mine`, older ones of a client first.
    pub(super) fn posts(&self, mine: &BatchId) -> Vec<Batch> {
        let (mut ids, mut others) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| BatchId::parse(name.strip_suffix(".new")?));
            match id {
                Some(id) if id != *mine => ids.push((id, entry.path())),
                Some(_) => {}
                None => others.push(entry.path()),
            }
        }
        self.remove_forgotten(&others);
        ids.sort();
        ids.truncate(MOST_POSTS);
        let (mut bytes, mut posts, mut unread) = (0, Vec::new(), Vec::new());
        for (id, path) in ids {
            match read(&path) {
                Some(contents) => {
                    bytes += contents.len() as u64;
                    match post::decode(id, &contents) {
                        Some(batch) => posts.push(batch),
                        None => unread.push(path),
                    }
                }
                None => unread.push(path),
            }
            if bytes > MOST_BYTES {
                break;
            }
        }
        self.remove_forgotten(&unread);
        posts
    }

    /// Tells the owner of a post that it was committed. A reply that is lost here does not matter.
    pub(super) fn answer(&self, id: &BatchId, answer: i64) {
        let (from, to) = (format!("{id}.new"), format!("{id}.ok.{answer}"));
        let _ = fs::rename(self.directory.join(from), self.directory.join(to));
    }

    fn remove_forgotten(&self, paths: &[PathBuf]) {
        for path in paths {
            let age = fs::symlink_metadata(path).ok().and_then(|file| file.modified().ok()?.elapsed().ok());
            if age.is_some_and(|age| age > FORGOTTEN) && path.starts_with(&self.directory) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// The contents of a file that is small enough to be a post.
fn read(path: &std::path::Path) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    // JSON writes some bytes as six.
    let most = 8 * LARGEST_POST as u64;
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
    let mut contents = Vec::new();
    (length <= most).then_some(())?;
    file.take(most).read_to_end(&mut contents).ok()?;
    Some(contents)
}
