//! Posts of processes that wait: files beside the token, so that whoever looks at the token sees them.
//!
//! ```text
//! batch_<host>_<process>_<client>.<number>.new             asks
//! batch_<host>_<process>_<client>.<number>.ok.<answer>     was committed: renamed by the holder after its release
//! ```
//!
//! Host and process are for whoever sweeps what the dead have left.
//!
//! Nothing of this is needed for a batch to get into the store: whoever has posted one waits for the lock all the same,
//! and commits it from memory if it is first. So a post that nobody can read, or whose answer is lost, costs time only.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::batch::Batch;
use super::bell::{Bell, Ringer};
use super::{keep, post};
use crate::lock::{BATCH_WAITS, Place};
use crate::scratch;
use crate::storage::applied::BatchId;

const NEW: &str = BATCH_WAITS;
const ANSWERED: &str = ".ok.";
/// A bigger batch takes a tenure of its own.
pub(crate) const LARGEST_POST: usize = 1 << 20;
/// Posts that one tenure commits at most, and their bytes.
const MOST_POSTS: usize = 1024;
pub(super) const MOST_BYTES: u64 = 32 << 20;
/// Answers that nobody has fetched, and posts that nobody could read, are removed after this long.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// The queue of one store.
pub(super) struct Queue {
    directory: PathBuf,
}

/// A file that asks for a batch of another process.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asked {
    pub(super) id: BatchId,
    pub(super) stem: String,
}

/// A batch of another process.
pub(super) struct Post {
    pub(super) stem: String,
    pub(super) batch: Batch,
}

impl Queue {
    /// Removes what processes of this node that have ended left in the queue.
    pub(super) fn sweep(&self) {
        scratch::sweep(&self.directory);
    }

    pub(super) fn of(place: &Place) -> Self {
        Self { directory: place.directory().path }
    }

    /// Asks whoever holds the lock to commit `batch`. `false` if that is not possible.
    pub(super) fn post(&self, batch: &Batch) -> bool {
        let path = self.path(&stem(&batch.id), NEW);
        let put = || {
            let file = File::create_new(&path)?;
            self.write(&file, &post::encode(batch))
        };
        let posted: io::Result<()> = put();
        if posted.is_err() {
            let _ = fs::remove_file(&path);
        }
        posted.is_ok()
    }

    /// Writes a batch into a new file of the queue.
    pub(super) fn write(&self, mut file: &File, contents: &[u8]) -> io::Result<()> {
        // Whoever may list the directory may have to commit it, whatever the umask here says. Set before it is whole.
        let mode = fs::metadata(&self.directory)?.permissions().mode() & 0o666;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(contents)
    }

    /// Where an answer to the post of `id` may arrive without a file.
    pub(super) fn bell(id: &BatchId) -> Option<Bell> {
        Bell::hang(stem(id))
    }

    /// Is the post of `id` where it was?
    pub(super) fn still_has(&self, id: &BatchId) -> bool {
        let post = fs::symlink_metadata(self.path(&stem(id), NEW));
        !post.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    }

    /// The answer to the post of `id`, which is likely to be `guess`, taken away. `None`: who removed the post is not
    /// known, nor why.
    pub(super) fn take_answer(&self, id: &BatchId, guess: i64) -> Option<i64> {
        let stem = stem(id);
        for answer in [guess, 0] {
            if fs::remove_file(self.answered(&stem, answer)).is_ok() {
                return Some(answer);
            }
        }
        let prefix = format!("{stem}{ANSWERED}");
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let answer = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.parse().ok());
            if let Some(answer) = answer {
                let _ = fs::remove_file(entry.path());
                return Some(answer);
            }
        }
        None
    }

    /// Takes a post back, or its answer. Whoever has read it may commit it all the same.
    pub(super) fn withdraw(&self, id: &BatchId) {
        if fs::remove_file(self.path(&stem(id), NEW)).is_err() {
            let _ = self.take_answer(id, 0);
        }
    }

    /// The posts among the files called `names`, but not `mine`; older ones of a client first.
    pub(super) fn asked(names: &[String], mine: &BatchId) -> Vec<Asked> {
        let mut asked: Vec<_> = names
            .iter()
            .filter(|name| !keep::is_kept(name))
            .filter_map(|name| Some(Asked { id: id_of(name)?, stem: name.strip_suffix(NEW)?.to_owned() }))
            .filter(|asked| asked.id != *mine)
            .collect();
        asked.sort();
        asked.truncate(MOST_POSTS);
        asked
    }

    /// What was `asked`, as far as it can be read.
    pub(super) fn posts(&self, asked: Vec<Asked>) -> Vec<Post> {
        let (mut bytes, mut posts) = (0, Vec::new());
        for Asked { id, stem } in asked {
            // JSON writes some bytes as six.
            let Ok(contents) = read(&self.path(&stem, NEW), 8 * LARGEST_POST as u64) else { continue };
            let Some(batch) = post::decode(id, &contents) else { continue };
            posts.push(Post { stem, batch });
            bytes += contents.len() as u64;
            if bytes > MOST_BYTES {
                break;
            }
        }
        posts
    }

    /// Tells the owner of a post that it was committed. A reply that is lost here does not matter.
    pub(super) fn answer(&self, ringer: &Ringer, post: &Post, answer: i64) {
        if ringer.ring(&post.stem, answer) {
            // Its owner may be slow to wake: nobody is to read it again. Unless somebody has answered it meanwhile.
            if fs::remove_file(self.path(&post.stem, NEW)).is_err() {
                let _ = fs::remove_file(self.answered(&post.stem, answer));
            }
            return;
        }
        self.rename_answered(&post.stem, answer);
    }

    /// The same for a post that was committed before: whoever did that may be telling its owner just now.
    pub(super) fn answer_again(&self, asked: &Asked, answer: i64) {
        self.rename_answered(&asked.stem, answer);
    }

    fn rename_answered(&self, stem: &str, answer: i64) {
        let _ = fs::rename(self.path(stem, NEW), self.answered(stem, answer));
    }

    fn answered(&self, stem: &str, answer: i64) -> PathBuf {
        self.path(stem, &format!("{ANSWERED}{answer}"))
    }

    /// Removes a post that can never get in, or for which nobody waits: everybody would read it again, and its owner may
    /// be dead.
    pub(super) fn refuse(&self, stem: &str) {
        let _ = fs::remove_file(self.path(stem, NEW));
    }

    fn path(&self, stem: &str, ending: &str) -> PathBuf {
        self.directory.join(format!("{stem}{ending}"))
    }

    /// Removes those of the files called `names` that nobody has fetched, or could read, for long.
    pub(super) fn remove_forgotten(&self, names: &[String]) {
        for name in names.iter().filter(|name| !keep::is_kept(name)) {
            let path = self.directory.join(name);
            let age = fs::symlink_metadata(&path).ok().and_then(|file| file.modified().ok()?.elapsed().ok());
            if age.is_some_and(|age| age > FORGOTTEN) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// The batch that the file called `name` asks for.
pub(super) fn id_of(name: &str) -> Option<BatchId> {
    BatchId::parse(name.strip_suffix(NEW)?.rsplit('_').next()?)
}

/// What the names of this process's files for `id` begin with.
fn stem(id: &BatchId) -> String {
    format!("{}{id}", scratch::batch_prefix())
}

/// The contents of a file that has at most `most` bytes.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let status = file.metadata()?;
    if !status.is_file() || status.len() > most {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut contents = vec![0; usize::try_from(status.len()).map_err(io::Error::other)?];
    file.read_exact_at(&mut contents, 0)?;
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;
    use crate::storage::records::Recorder;

    #[test]
    fn whoever_may_list_the_directory_may_read_a_post() {
        let place = tempfile::tempdir().expect("temporary directory");
        let queue = Queue { directory: place.path().to_owned() };
        let id = BatchId::parse("c0ffee.1").expect("an id");
        let recorder = Recorder::default();
        let batch = Batch { id, recorder, rows: Vec::new() };
        for (of_directory, of_post) in [(0o777, 0o666), (0o700, 0o600)] {
            fs::set_permissions(place.path(), Permissions::from_mode(of_directory)).expect("set");
            let path = place.path().join(format!("{of_directory:o}"));
            let mut options = File::options();
            // As under umask 077.
            let file = options.write(true).create_new(true).mode(0o600).open(path).expect("created");
            queue.write(&file, &post::encode(&batch)).expect("written");
            let mode = file.metadata().expect("there").permissions().mode();
            assert_eq!(mode & 0o777, of_post);
        }
    }
}
