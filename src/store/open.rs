//! Opening and creating a store.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Store;
use super::record::Finds;
use crate::commit::{self, Group};
use crate::environment;
use crate::error::{Error, Result};
use crate::identity::dialect::Dialect;
use crate::lock::{self, HardLink, Interrupt, Locking, Place};
use crate::reads::{Hits, ReadMode};
use crate::storage::meta::{self, Machine};
use crate::storage::records::Recorder;
use crate::storage::sharing::Sharing;
use crate::storage::{birth, connection, fresh, journal, schema};
use crate::{filesystem, machine, mutation, notices, scratch};

/// How long an opening waits for its turn to write what was handed over.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a store is opened. The defaults are those of the Python constructor.
#[derive(Debug, Clone)]
pub struct Options {
    /// The database file; created with its directory if missing.
    pub db_path: PathBuf,
    /// Written to every record.
    pub source_project: String,
    /// CPU model to create the store for, or to pass for; `None` = of this machine.
    pub cpu_model: Option<String>,
    /// CPUs per Slurm task, likewise.
    pub slurm_cpus: Option<String>,
    /// Allow writes although the store belongs to another kind of node.
    pub allow_cpu_mismatch: bool,
    /// Break a lock that was unchanged for this long.
    pub stale_lock_timeout: Duration,
    /// Give up waiting for the lock after this long.
    pub lock_timeout: Duration,
    /// Never write.
    pub read_only: bool,
    /// Who else may use what is created.
    pub sharing: Sharing,
    /// Dialects of schedules that may be recorded.
    pub dialects: Vec<Dialect>,
    /// Which lock the store must have.
    pub protocol: Protocol,
    /// The caller holds the lock: take none.
    pub locked_by_caller: bool,
    /// What the caller knows of the environment beside what the machine says: `compiler`, `tiramisu`, and anything.
    pub environment: Map<String, Value>,
    /// Bytes of records that are remembered in memory, about; 0 = none.
    pub memory_cache_bytes: usize,
}

/// How a store is locked. What stands on the disk decides; this says what the caller expects there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Whatever it is; a new store is sealed.
    Auto,
    /// Sealed: the token lock.
    Token,
    /// Open to clients of the original: the hard-link lock.
    HardLink,
}

impl Options {
    /// Opens the store at `db_path` with the defaults.
    #[must_use]
    pub fn new(db_path: impl Into<PathBuf>) -> Self {
        Self {
            db_path: db_path.into(),
            source_project: String::new(),
            cpu_model: None,
            slurm_cpus: None,
            allow_cpu_mismatch: false,
            stale_lock_timeout: Duration::from_secs(600),
            lock_timeout: Duration::from_secs(600),
            memory_cache_bytes: 64 << 20,
            read_only: false,
            sharing: Sharing::NewOnly,
            dialects: vec![Dialect::Tiralib],
            protocol: Protocol::Auto,
            locked_by_caller: false,
            environment: Map::new(),
        }
    }
}

impl Store {
    /// Opens a store, creating it if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStore`] and [`Error::UnknownSchema`] for files that are something else, [`Error::Missing`] for
    /// a missing one with `read_only`, and those of the lock.
    pub fn open(options: Options, interrupt: &dyn Interrupt) -> Result<Self> {
        let db_path = resolve(&options.db_path)?;
        if !options.read_only {
            options.sharing.prepare_parent(&db_path)?;
        }
        let read_only = why_read_only(&db_path, options.read_only);
        if read_only.is_some() && !db_path.exists() {
            let why = read_only.filter(|_| !options.read_only);
            return Err(Error::Missing { path: db_path, why });
        }
        if !options.locked_by_caller {
            scratch::sweep(parent(&db_path));
        }
        let place = place_of(&options)?;
        if !options.locked_by_caller {
            commit::sweep(&place);
        }
        check_protocol(&place, options.protocol)?;
        // A tenure of the token opens the file for writing, because it may have to recover it.
        let may_not_open = lock::is_sealed(&place) && is_refused(&db_path);
        let read_mode = if is_writable(parent(&db_path)) && !may_not_open {
            ReadMode::Shared
        } else {
            ReadMode::Validated
        };
        let here = Machine {
            cpu_model: options.cpu_model.unwrap_or_else(machine::cpu_model),
            slurm_cpus: options.slurm_cpus.unwrap_or_else(machine::slurm_cpus),
        };
        let environment = environment::here(&here.cpu_model, &options.environment)?.into();
        let mut store = Self {
            place,
            group: Group::default(),
            finds: Finds::default(),
            hits: Hits::new(options.memory_cache_bytes),
            read_mode,
            read_only,
            recorder: RwLock::new(Recorder {
                hostname: machine::hostname(),
                username: machine::username(),
                source_project: options.source_project,
                environment: Some(environment),
            }),
            dialects: options.dialects,
            sharing: options.sharing,
            cpu_mismatch: None,
            writes_allowed: true,
            closed: AtomicBool::new(false),
        };
        store.create_if_missing(&here, options.protocol, interrupt)?;
        let of_store = store.check_and_describe(interrupt)?;
        store.cpu_mismatch = mismatch(&of_store, &here);
        store.writes_allowed =
            store.read_only.is_none() && (store.cpu_mismatch.is_none() || options.allow_cpu_mismatch);
        if options.allow_cpu_mismatch {
            store.cpu_mismatch = None;
        }
        if store.writes_allowed && !options.locked_by_caller {
            store.apply_kept(interrupt)?;
        }
        Ok(store)
    }

    fn create_if_missing(&self, here: &Machine, protocol: Protocol, interrupt: &dyn Interrupt) -> Result<()> {
        let path = &self.place.db_path;
        if !is_missing_or_empty(path)? || self.read_only.is_some() {
            return Ok(());
        }
        if protocol != Protocol::HardLink {
            // Before the database: no client of the original may create it meanwhile, or enter it ever.
            lock::seal_new(&self.place)?;
        }
        lock::locked(&self.place, interrupt, || {
            // Others may have been first, and this node may not know it yet.
            match self.size_now()? {
                Some(0) => birth::fill_empty(path, here),
                Some(_) => Ok(()),
                None => birth::create(path, here, self.sharing, self.place.coherent),
            }
        })
    }

    /// The size of the database file, for the holder of the lock; `None` where there is none.
    fn size_now(&self) -> Result<Option<u64>> {
        let path = &self.place.db_path;
        if self.place.coherent || mutation::off("empty-now") { size(path) } else { fresh::size(path) }
    }

    /// Writes what the dead have handed over: in a store that is only read from here on nobody else would. Whoever holds
    /// the lock for long does it, too.
    fn apply_kept(&self, interrupt: &dyn Interrupt) -> Result<()> {
        let place = Place { lock_timeout: self.place.lock_timeout.min(PATIENCE), ..self.place.clone() };
        match commit::apply_kept(&place, interrupt, &[]) {
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Ok(_) | Err(Error::LockTimeout { .. }) => Ok(()),
            Err(error) => {
                let path = self.place.db_path.display();
                notices::put(format!(
                    "{path}: records that were handed over are not in the store yet: {error}"
                ));
                Ok(())
            }
        }
    }

    /// Opening a database that has a journal rolls the journal back. So what is certainly no store is told from one
    /// without opening it for that: the journal may be of another program's running transaction.
    fn check_beside_a_journal(&self) -> Result<()> {
        let path = &self.place.db_path;
        if !journal::is_hot(path) {
            return Ok(());
        }
        match connection::open_immutable(path).and_then(|connection| schema::check(&connection, path)) {
            // Half-written: only the journal can tell.
            Err(Error::Sqlite { .. }) => Ok(()),
            verdict => verdict,
        }
    }

    /// What the store says it was created for, once it is sure that it is one.
    fn check_and_describe(&self, interrupt: &dyn Interrupt) -> Result<StoredMachine> {
        let path = &self.place.db_path;
        if !path.exists() {
            return Err(Error::Missing { path: path.clone(), why: None });
        }
        // Before SQLite sees it: a foreign file must not even have its journal rolled back.
        check_is_database(path)?;
        self.check_beside_a_journal()?;
        self.read(interrupt, |snapshot| {
            schema::check(snapshot.connection(), path).map_err(not_readable)?;
            Ok(StoredMachine {
                cpu_model: meta::get(snapshot.connection(), path, "cpu_model")?,
                slurm_cpus: meta::get(snapshot.connection(), path, "slurm_cpus")?,
            })
        })
    }
}

/// Is the store locked as its caller expects? Two protocols beside each other on one database would exclude nobody.
fn check_protocol(place: &Place, protocol: Protocol) -> Result<()> {
    let sealed = lock::is_sealed(place);
    let path = place.db_path.display();
    match protocol {
        Protocol::HardLink if sealed => Err(Error::Sealed { path: lock::lock_path(&place.db_path) }),
        Protocol::Token if !sealed && !is_missing_or_empty(&place.db_path)? => {
            Err(Error::InvalidArgument(format!(
                "lock=\"token\": {path} is not sealed, so that clients of the original can write it; \
                 run: tirastore seal {path}, or open it with lock=\"auto\""
            )))
        }
        _ => Ok(()),
    }
}

/// Where the store is and how it is locked, whether it exists or not.
pub(super) fn place_of(options: &Options) -> Result<Place> {
    let db_path = resolve(&options.db_path)?;
    let locking = if options.locked_by_caller {
        Locking::HeldByCaller
    } else {
        Locking::Here(HardLink {
            path: lock::lock_path(&db_path),
            mode: options.sharing.file_mode(),
            stale_timeout: options.stale_lock_timeout,
            outwait_old_claims: false,
            // Tenures pass a gate of their own.
            gated: false,
        })
    };
    let coherent = filesystem::coherence(&db_path).coherent;
    Ok(Place::new(db_path, locking, options.lock_timeout, coherent))
}

struct StoredMachine {
    cpu_model: Option<String>,
    slurm_cpus: Option<String>,
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// Looks at the first bytes of the file only.
pub(super) fn check_is_database(path: &Path) -> Result<()> {
    let why = match schema::file_kind(path)? {
        schema::FileKind::Database => return Ok(()),
        schema::FileKind::Foreign(why) => why.to_owned(),
        schema::FileKind::Empty => "it is empty".to_owned(),
    };
    Err(Error::NotAStore { path: path.to_path_buf(), why })
}

/// A database that SQLite finds to be none is no store.
pub(super) fn not_readable(error: Error) -> Error {
    match error {
        Error::Sqlite { path, source, .. } if is_damage(&source) => {
            Error::NotAStore { path, why: source.to_string() }
        }
        other => other,
    }
}

fn mismatch(of_store: &StoredMachine, here: &Machine) -> Option<String> {
    let repr = crate::identity::text::python_repr;
    let mut lines = Vec::new();
    if let Some(model) = of_store.cpu_model.as_deref().filter(|model| !model.is_empty())
        && machine::comparable_cpu_model(model) != machine::comparable_cpu_model(&here.cpu_model)
    {
        lines.push(format!("  CPU model: DB={}  local={}", repr(model), repr(&here.cpu_model)));
    }
    if let Some(cpus) = of_store.slurm_cpus.as_deref().filter(|cpus| !cpus.is_empty() && *cpus != "N/A")
        && cpus != here.slurm_cpus
    {
        lines.push(format!("  SLURM_CPUS_PER_TASK: DB={}  local={}", repr(cpus), repr(&here.slurm_cpus)));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The absolute path of a file that may not exist yet, its symbolic links resolved.
pub(super) fn resolve(path: &Path) -> Result<PathBuf> {
    let mut absolute = std::path::absolute(path).map_err(Error::io(path, "resolving"))?;
    // As many links as Linux follows.
    for _ in 0..40 {
        if let Ok(resolved) = absolute.canonicalize() {
            return Ok(resolved);
        }
        let directory = parent(&absolute).canonicalize().unwrap_or_else(|_| parent(&absolute).to_path_buf());
        let resolved = directory.join(absolute.file_name().unwrap_or_default());
        match resolved.read_link() {
            // A link to a file that is not there yet.
            Ok(target) => absolute = directory.join(target),
            Err(_) => return Ok(resolved),
        }
    }
    let source = io::Error::from_raw_os_error(nix::libc::ELOOP);
    Err(Error::Io { path: path.to_path_buf(), action: "resolving", source })
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new("/"))
}

fn is_writable(directory: &Path) -> bool {
    use nix::unistd::{AccessFlags, access};
    access(directory, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

/// Is there a file that may not be written?
fn is_refused(db_path: &Path) -> bool {
    use nix::unistd::{AccessFlags, access};
    db_path.exists() && access(db_path, AccessFlags::W_OK).is_err()
}

fn why_read_only(db_path: &Path, requested: bool) -> Option<String> {
    if requested {
        return Some("it was opened with read_only=True".to_owned());
    }
    if !is_writable(parent(db_path)) {
        return Some(format!("you may not create files in {}", parent(db_path).display()));
    }
    is_refused(db_path)
        .then(|| "you may not write the file; ask its owner to run chmod 0666 on it".to_owned())
}

fn is_missing_or_empty(path: &Path) -> Result<bool> {
    Ok(size(path)?.unwrap_or(0) == 0)
}

/// The size of a regular file; `None` where there is none.
fn size(path: &Path) -> Result<Option<u64>> {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
        Ok(_) => Err(Error::NotAStore { path: path.to_path_buf(), why: "it is no regular file".to_owned() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { path: path.to_path_buf(), action: "looking at", source }),
    }
}
