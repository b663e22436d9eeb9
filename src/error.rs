//! Every way in which the store can fail, each with a text for the person who reads it: what happened,
//! to which path or key, and what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use crate::storage::verify::Finding;

/// Result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A schedule string that its grammar does not allow.
    #[error("Invalid schedule string: {0}")]
    InvalidSchedule(String),

    /// A measurement that cannot be true or cannot be stored: NaN, negative or missing times.
    #[error("{0}")]
    InvalidMeasurement(String),

    /// An argument of a type that cannot be meant: a string for a list of times.
    #[error("{0}")]
    WrongType(String),

    /// An entry of a batch that lacks a field.
    #[error("missing key {0:?}")]
    MissingField(String),

    /// One bad measurement of several; nothing of the batch was written.
    #[error("{list}[{index}]: {source}")]
    InBatch {
        /// Name of the argument that holds the batch.
        list: &'static str,
        /// Position in the batch, from 0.
        index: usize,
        /// What is wrong with it.
        source: Box<Error>,
    },

    /// An argument outside its documented range.
    #[error("{0}")]
    InvalidArgument(String),

    /// The store belongs to another kind of node, so times recorded here would not be comparable.
    #[error(
        "Write operations are disabled due to CPU metadata mismatch. \
         Initialize with allow_cpu_mismatch=True to override."
    )]
    CpuMismatch,

    /// A write to a store that was opened, or can only be opened, for reading.
    #[error("{} cannot be written: {why}", path.display())]
    ReadOnly {
        /// The database file.
        path: PathBuf,
        /// Why only reading is possible.
        why: String,
    },

    /// A call on a store after `close()`.
    #[error("this store is closed: {}", path.display())]
    Closed {
        /// The database file.
        path: PathBuf,
    },

    /// Nobody let go of the lock in time.
    #[error("Could not acquire lock {} within {:.1} s; it is held by {holder}", path.display(), waited.as_secs_f64())]
    LockTimeout {
        /// The lock file.
        path: PathBuf,
        /// How long this call waited.
        waited: Duration,
        /// Who holds it, as far as the lock file tells.
        holder: String,
    },

    /// The file system refused an operation that the lock is made of.
    #[error("lock {}: {action}: {source}{advice}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// The system's error.
        source: io::Error,
        /// What to do about it, or empty; begins with its own separator.
        advice: &'static str,
    },

    /// Another client took the lock away while this one was working; nothing was written.
    #[error(
        "lock {} was taken over by another client during this operation; nothing was written", path.display()
    )]
    LockLost {
        /// The lock file.
        path: PathBuf,
    },

    /// The database file cannot be replaced by another one.
    #[error("{} cannot be replaced: {why}", path.display())]
    CannotReplace {
        /// The database file.
        path: PathBuf,
        /// What stands in the way.
        why: String,
    },

    /// The tenure ended without a word on whether its transaction was committed, several times in a row.
    #[error(
        "lock {} was taken over again and again; what was being written may still appear", path.display()
    )]
    OutcomeUnknown {
        /// The lock file.
        path: PathBuf,
    },

    /// The directory at the lock path is locked by a newer protocol.
    #[error(
        "{} speaks version {found} of the lock protocol, which this version of tirastore does not:          install a newer tirastore", path.display()
    )]
    LockVersion {
        /// The lock directory.
        path: PathBuf,
        /// The version it claims.
        found: u64,
    },

    /// The lock directory has lost its token, or has several: somebody else than its users changed it.
    #[error(
        "lock directory {} is damaged: {why}; stop all clients of the store and run: tirastore lock PATH --repair",
        path.display()
    )]
    LockDamaged {
        /// The lock directory.
        path: PathBuf,
        /// What was seen in it.
        why: String,
    },

    /// A client of the hard-link protocol met the token protocol's directory.
    #[error(
        "{} is a directory: the store is sealed, and the hard-link lock cannot enter it;          open it with lock=\"auto\", or run: tirastore unseal", path.display()
    )]
    Sealed {
        /// The lock path.
        path: PathBuf,
    },

    /// The file is there but is no store; it was left as it is.
    #[error("{} is not a TiraStore database: {why}; it was left untouched", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What was found in it.
        why: String,
    },

    /// A store of a schema that this version does not know.
    #[error(
        "{} has schema version {found:?}; this version of tirastore reads version 2; \
         it was left untouched", path.display()
    )]
    UnknownSchema {
        /// The database file.
        path: PathBuf,
        /// The version it claims.
        found: String,
    },

    /// There is no file to read.
    #[error("no such store: {}{}", path.display(), why.as_ref().map(|why| format!(", and it cannot be created: {why}")).unwrap_or_default())]
    Missing {
        /// The database file.
        path: PathBuf,
        /// Why it was not created, where that was asked for.
        why: Option<String>,
    },

    /// A stored result that cannot be decoded.
    #[error("record {key} is damaged: {cause}")]
    CorruptRecord {
        /// Key of the record.
        key: String,
        /// What is wrong with it.
        cause: String,
    },

    /// A copy that was to be verified is damaged; it was not published.
    #[error("{} was not written: the copy of the store is damaged: {}", path.display(), some_of(findings))]
    DamagedCopy {
        /// Where the copy was to go.
        path: PathBuf,
        /// What is wrong with it.
        findings: Vec<Finding>,
    },

    /// A reader that may not lock met a writer for as long as it was willing to wait.
    #[error("{} is busy: {why}", path.display())]
    Busy {
        /// The database file.
        path: PathBuf,
        /// What stood in the way.
        why: String,
    },

    /// A record that names a program the store does not hold.
    #[error("program {0} is not in the store; record it first")]
    UnknownProgram(String),

    /// A claim that is no longer its caller's.
    #[error("the claim on record {key} is lost: {why}; this call has changed nothing")]
    ClaimLost {
        /// Key of the record.
        key: String,
        /// Who has it, or what became of it.
        why: String,
    },

    /// An operation on a file failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// The system's error.
        source: io::Error,
    },

    /// SQLite reported an error.
    #[error("{}: {action}: {source}", path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// SQLite's error.
        source: rusqlite::Error,
    },

    /// The caller asked to stop while the call was waiting (Ctrl-C).
    #[error("interrupted while waiting")]
    Interrupted,
}

impl Error {
    /// `map_err` adapter for file operations on `path`.
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, action, source }
    }

    /// `map_err` adapter for SQLite operations on `path`.
    pub(crate) fn sqlite(path: &Path, action: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Sqlite { path, action, source }
    }
}

/// Findings for a message: a large store can have more than anybody reads.
fn some_of(findings: &[Finding]) -> String {
    const SHOWN: usize = 20;
    let mut lines: Vec<_> = findings.iter().take(SHOWN).map(Finding::to_string).collect();
    if findings.len() > SHOWN {
        lines.push(format!("and {} more; verify() lists all of them", findings.len() - SHOWN));
    }
    lines.join("; ")
}

/// An error after which an operation may have happened all the same, as network file systems report lost replies.
pub(crate) fn may_hide_a_success(error: &io::Error) -> bool {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    matches!(errno, Errno::EIO | Errno::EINTR | Errno::ESTALE | Errno::ETIMEDOUT | Errno::EREMOTEIO)
}
