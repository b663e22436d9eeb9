//! The store: identity, lock, reads and storage joined into the API that the Python package shows.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::identity::dialect::{self, Dialect};
use crate::identity::{HexDigest, key, program, schedule};
use crate::lock::{self, Access, HardLink, Interrupt, Locking, Place, Tenure};
use crate::measurement::Measurement;
use crate::reads::{self, ReadMode, Snapshot};
use crate::storage::export::{self, Format};
use crate::storage::meta::{self, Machine};
use crate::storage::programs::{self, NewProgram, Program};
use crate::storage::records::{self, NewRecord, Page, Record, RecordOfProgram, Recorder};
use crate::storage::sharing::Sharing;
use crate::storage::summary::{self, Summary};
use crate::storage::{backup, birth, result_json, schema};
use crate::{clock, machine};

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
    /// The caller holds the lock: take none.
    pub locked_by_caller: bool,
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
            read_only: false,
            sharing: Sharing::NewOnly,
            dialects: vec![Dialect::Tiralib],
            locked_by_caller: false,
        }
    }
}

/// An open store. It holds no file open between calls, so it may be used from threads and after a fork.
#[derive(Debug)]
pub struct Store {
    place: Place,
    read_mode: ReadMode,
    /// Why writing is not possible, apart from the CPU check.
    read_only: Option<String>,
    recorder: Recorder,
    dialects: Vec<Dialect>,
    sharing: Sharing,
    cpu_mismatch: Option<String>,
    writes_allowed: bool,
    /// Our tables and indexes are there: checked once, at the first write.
    has_additions: AtomicBool,
    closed: AtomicBool,
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
        let read_mode = match parent(&db_path) {
            directory if is_writable(directory) => ReadMode::Locked,
            _ => ReadMode::Validated,
        };
        let lock_path = lock::lock_path(&db_path);
        if lock_path.is_dir() {
            return Err(Error::Sealed { path: lock_path });
        }
        let locking = if options.locked_by_caller {
            Locking::HeldByCaller
        } else {
            lock::sweep(&lock_path);
            Locking::HardLink(HardLink {
                path: lock_path,
                mode: options.sharing.file_mode(),
                stale_timeout: options.stale_lock_timeout,
                outwait_old_claims: false,
            })
        };
        let place = Place { db_path, locking, lock_timeout: options.lock_timeout };
        let here = Machine {
            cpu_model: options.cpu_model.unwrap_or_else(machine::cpu_model),
            slurm_cpus: options.slurm_cpus.unwrap_or_else(machine::slurm_cpus),
        };
        let mut store = Self {
            place,
            read_mode,
            read_only,
            recorder: Recorder {
                hostname: machine::hostname(),
                username: machine::username(),
                source_project: options.source_project,
            },
            dialects: options.dialects,
            sharing: options.sharing,
            cpu_mismatch: None,
            writes_allowed: true,
            has_additions: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        };
        store.create_if_missing(&here, interrupt)?;
        let of_store = store.check_and_describe(interrupt)?;
        store.cpu_mismatch = mismatch(&of_store, &here);
        store.writes_allowed =
            store.read_only.is_none() && (store.cpu_mismatch.is_none() || options.allow_cpu_mismatch);
        if options.allow_cpu_mismatch {
            store.cpu_mismatch = None;
        }
        Ok(store)
    }

    fn create_if_missing(&self, here: &Machine, interrupt: &dyn Interrupt) -> Result<()> {
        let path = &self.place.db_path;
        if !is_missing_or_empty(path)? || self.read_only.is_some() {
            return Ok(());
        }
        lock::locked(&self.place, interrupt, || {
            // Another process may have been first.
            match (path.exists(), is_missing_or_empty(path)?) {
                (_, false) => Ok(()),
                (false, _) => birth::create(path, here, self.sharing),
                (true, _) => birth::fill_empty(path, here),
            }
        })
    }

    /// What the store says it was created for, once it is sure that it is one.
    fn check_and_describe(&self, interrupt: &dyn Interrupt) -> Result<StoredMachine> {
        let path = &self.place.db_path;
        if !path.exists() {
            return Err(Error::Missing { path: path.clone() });
        }
        // Before SQLite sees it: a foreign file must not even have its journal rolled back.
        match schema::file_kind(path)? {
            schema::FileKind::Database => {}
            schema::FileKind::Foreign(why) => {
                return Err(Error::NotAStore { path: path.clone(), why: why.to_owned() });
            }
            schema::FileKind::Empty => {
                return Err(Error::NotAStore { path: path.clone(), why: "it is empty".to_owned() });
            }
        }
        self.read(interrupt, |snapshot| {
            schema::check(snapshot.connection(), path)?;
            Ok(StoredMachine {
                cpu_model: meta::get(snapshot.connection(), path, "cpu_model")?,
                slurm_cpus: meta::get(snapshot.connection(), path, "slurm_cpus")?,
            })
        })
    }

    fn read<T>(&self, interrupt: &dyn Interrupt, work: impl FnMut(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        self.check_open()?;
        reads::read(&self.place, self.read_mode, interrupt, work)
    }

    fn write<T>(&self, interrupt: &dyn Interrupt, mut work: impl FnMut(&Tenure) -> Result<T>) -> Result<T> {
        self.check_open()?;
        self.check_writes()?;
        let value = lock::run(&self.place, Access::Write, interrupt, |tenure| {
            if !self.has_additions.load(Ordering::Relaxed) {
                schema::create_additions(tenure.connection(), &self.place.db_path)?;
            }
            work(tenure)
        })?;
        self.has_additions.store(true, Ordering::Relaxed);
        Ok(value)
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::Closed { path: self.place.db_path.clone() });
        }
        Ok(())
    }

    /// Fails where this store may not be written.
    ///
    /// # Errors
    ///
    /// [`Error::ReadOnly`] or [`Error::CpuMismatch`].
    pub fn check_writes(&self) -> Result<()> {
        match &self.read_only {
            Some(why) => Err(Error::ReadOnly { path: self.place.db_path.clone(), why: why.clone() }),
            None if !self.writes_allowed => Err(Error::CpuMismatch),
            None => Ok(()),
        }
    }

    /// Ends the use of this store: later calls fail.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Has it been closed?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The database file, symbolic links resolved.
    #[must_use]
    pub fn db_path(&self) -> &Path {
        &self.place.db_path
    }

    /// May records be written?
    #[must_use]
    pub fn writes_allowed(&self) -> bool {
        self.writes_allowed
    }

    /// How the store's kind of node differs from this one, a line for each difference; `None` where it does not, or
    /// where the caller allowed it.
    #[must_use]
    pub fn cpu_mismatch(&self) -> Option<&str> {
        self.cpu_mismatch.as_deref()
    }

    /// The record of a schedule of a program.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn lookup(&self, source: &str, schedule: &str, interrupt: &dyn Interrupt) -> Result<Option<Record>> {
        let key = key_of(source, schedule);
        self.read(interrupt, |snapshot| {
            records::get(snapshot.connection(), &self.place.db_path, key.as_str())
        })
    }

    /// The records of many (source, schedule) pairs, in their order, from one read.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn lookup_many(
        &self,
        pairs: &[(&str, &str)],
        interrupt: &dyn Interrupt,
    ) -> Result<Vec<Option<Record>>> {
        let keys = keys_of(pairs);
        self.read(interrupt, |snapshot| {
            keys.iter()
                .map(|key| records::get(snapshot.connection(), &self.place.db_path, key.as_str()))
                .collect()
        })
    }

    /// Is a schedule of a program recorded?
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn contains(&self, source: &str, schedule: &str, interrupt: &dyn Interrupt) -> Result<bool> {
        let key = key_of(source, schedule);
        self.read(interrupt, |snapshot| {
            records::exists(snapshot.connection(), &self.place.db_path, key.as_str())
        })
    }

    /// Which of many (source, schedule) pairs are recorded, in their order, from one read.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn contains_many(&self, pairs: &[(&str, &str)], interrupt: &dyn Interrupt) -> Result<Vec<bool>> {
        let keys = keys_of(pairs);
        self.read(interrupt, |snapshot| {
            keys.iter()
                .map(|key| records::exists(snapshot.connection(), &self.place.db_path, key.as_str()))
                .collect()
        })
    }

    /// Records one measurement, program and record in one transaction. `true` if it was written, `false` if it was
    /// there and `overwrite` is not set.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSchedule`], [`Error::InvalidMeasurement`], [`Error::CpuMismatch`], [`Error::ReadOnly`], and
    /// those of writing. Nothing is written then.
    pub fn record(
        &self,
        measurement: &Measurement,
        overwrite: bool,
        interrupt: &dyn Interrupt,
    ) -> Result<bool> {
        self.check_writes()?;
        let hash = program::hash(&measurement.program_source_code);
        let row = self.prepare(measurement, hash)?;
        self.write(interrupt, |tenure| self.put_row(tenure, &row, overwrite))
    }

    /// Records measurements of any programs in one transaction, after all of them have been checked. Answers how
    /// many were written. `list` is what the caller calls the batch.
    ///
    /// # Errors
    ///
    /// As [`Store::record`]; a bad measurement is named as [`Error::InBatch`].
    pub fn record_batch(
        &self,
        measurements: &[Measurement],
        list: &'static str,
        overwrite: bool,
        interrupt: &dyn Interrupt,
    ) -> Result<usize> {
        self.check_writes()?;
        let mut hashes = SourceHashes::default();
        let rows = measurements
            .iter()
            .enumerate()
            .map(|(index, measurement)| {
                let hash = hashes.of(&measurement.program_source_code);
                self.prepare(measurement, hash).map_err(|error| Error::InBatch {
                    list,
                    index,
                    source: Box::new(error),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        if rows.is_empty() {
            return Ok(0);
        }
        self.write(interrupt, |tenure| {
            let mut written = 0;
            for chunk in rows.chunks(256) {
                for row in chunk {
                    written += usize::from(self.put_row(tenure, row, overwrite)?);
                }
                tenure.renew()?;
            }
            Ok(written)
        })
    }

    /// Adds a program without a record, as the original's `record_many` of no schedules does.
    ///
    /// # Errors
    ///
    /// [`Error::CpuMismatch`], [`Error::ReadOnly`], and those of writing.
    pub fn put_program(&self, program: &NewProgram<'_>, interrupt: &dyn Interrupt) -> Result<bool> {
        self.write(interrupt, |tenure| programs::put(tenure.connection(), &self.place.db_path, program))
    }

    fn prepare<'a>(&self, measurement: &'a Measurement, program_hash: HexDigest) -> Result<Row<'a>> {
        measurement.outcome.validate()?;
        let schedule = schedule::normalize(&measurement.schedule);
        self.check_schedule(&schedule)?;
        let key = key::key_of_normal(program_hash.as_str(), &schedule);
        let result_json = result_json::encode(&measurement.outcome);
        Ok(Row { measurement, program_hash, key, schedule, result_json })
    }

    fn check_schedule(&self, normal: &str) -> Result<()> {
        let Err(error) = schedule::validate(normal) else {
            if self.dialects.contains(&Dialect::Tiralib) || normal.is_empty() {
                return Ok(());
            }
            return Err(self.dialect_refused(Dialect::Tiralib, ""));
        };
        match dialect::dialect_of(normal) {
            Some(dialect) if self.dialects.contains(&dialect) && dialect != Dialect::Tiralib => Ok(()),
            Some(dialect) if dialect != Dialect::Tiralib => {
                Err(self.dialect_refused(dialect, &error.to_string()))
            }
            _ => Err(Error::InvalidSchedule(error.to_string())),
        }
    }

    fn dialect_refused(&self, dialect: Dialect, reason: &str) -> Error {
        let accepted: Vec<_> = self.dialects.iter().map(|dialect| dialect.name()).collect();
        let separator = if reason.is_empty() { "" } else { "; " };
        Error::InvalidSchedule(format!(
            "{reason}{separator}this is a schedule of dialect {:?}, and this store was opened for {accepted:?}: \
             name it in dialects= to record it",
            dialect.name()
        ))
    }

    fn put_row(&self, tenure: &Tenure, row: &Row<'_>, overwrite: bool) -> Result<bool> {
        let (connection, path) = (tenure.connection(), self.db_path());
        let program = NewProgram {
            program_hash: row.program_hash.as_str(),
            program_name: &row.measurement.program_name,
            source_code: &row.measurement.program_source_code,
        };
        programs::put(connection, path, &program)?;
        let record = NewRecord {
            key: row.key.as_str(),
            program_hash: row.program_hash.as_str(),
            schedule: &row.schedule,
            result_json: &row.result_json,
        };
        records::put(connection, path, &self.recorder, &record, overwrite)
    }

    /// Every program recorded under `program_name`, ordered by hash.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn programs_named(&self, program_name: &str, interrupt: &dyn Interrupt) -> Result<Vec<Program>> {
        self.read(interrupt, |snapshot| {
            programs::by_name(snapshot.connection(), &self.place.db_path, program_name)
        })
    }

    /// Every program, ordered by name and hash.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn programs(&self, interrupt: &dyn Interrupt) -> Result<Vec<Program>> {
        self.read(interrupt, |snapshot| programs::all(snapshot.connection(), &self.place.db_path))
    }

    /// Every record of a program given by its source, oldest first.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn program_records(&self, source: &str, interrupt: &dyn Interrupt) -> Result<Vec<RecordOfProgram>> {
        self.program_records_by_hash(program::hash(source).as_str(), interrupt)
    }

    /// Every record of a program given by its hash, oldest first.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn program_records_by_hash(
        &self,
        hash: &str,
        interrupt: &dyn Interrupt,
    ) -> Result<Vec<RecordOfProgram>> {
        self.read(interrupt, |snapshot| records::of_program(snapshot.connection(), &self.place.db_path, hash))
    }

    /// The program with this hash.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn program(&self, hash: &str, interrupt: &dyn Interrupt) -> Result<Option<Program>> {
        self.read(interrupt, |snapshot| programs::get(snapshot.connection(), &self.place.db_path, hash))
    }

    /// The record under `key` together with its program.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn get(&self, key: &str, interrupt: &dyn Interrupt) -> Result<Option<RecordOfProgram>> {
        self.read(interrupt, |snapshot| {
            records::get_with_program(snapshot.connection(), &self.place.db_path, key)
        })
    }

    /// Is there a record under `key`?
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn contains_key(&self, key: &str, interrupt: &dyn Interrupt) -> Result<bool> {
        self.read(interrupt, |snapshot| records::exists(snapshot.connection(), &self.place.db_path, key))
    }

    /// Writes undecoded records as they are, in one transaction: for administration. Answers how many were written.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownProgram`] where a program is not stored, and those of writing.
    pub fn put(
        &self,
        rows: &[NewRecord<'_>],
        recorder: Option<&Recorder>,
        overwrite: bool,
        interrupt: &dyn Interrupt,
    ) -> Result<usize> {
        let recorder = recorder.unwrap_or(&self.recorder);
        self.write(interrupt, |tenure| {
            rows.iter().try_fold(0, |written, row| {
                let put = records::put(tenure.connection(), self.db_path(), recorder, row, overwrite)?;
                Ok(written + usize::from(put))
            })
        })
    }

    /// Removes the record under `key`. `true` if it was there.
    ///
    /// # Errors
    ///
    /// [`Error::CpuMismatch`], [`Error::ReadOnly`], and those of writing.
    pub fn delete(&self, key: &str, interrupt: &dyn Interrupt) -> Result<bool> {
        self.write(interrupt, |tenure| records::delete(tenure.connection(), &self.place.db_path, key))
    }

    /// Number of records.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn count(&self, interrupt: &dyn Interrupt) -> Result<u64> {
        self.read(interrupt, |snapshot| records::count(snapshot.connection(), &self.place.db_path))
    }

    /// Number of programs.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn program_count(&self, interrupt: &dyn Interrupt) -> Result<u64> {
        self.read(interrupt, |snapshot| programs::count(snapshot.connection(), &self.place.db_path))
    }

    /// Numbers of records and programs, or nothing where somebody else is busy for longer than `patience`.
    ///
    /// # Errors
    ///
    /// Those of reading, apart from time-outs.
    pub fn glance(&self, patience: Duration, interrupt: &dyn Interrupt) -> Result<Option<(u64, u64)>> {
        self.check_open()?;
        let path = &self.place.db_path;
        let place = Place { lock_timeout: patience, ..self.place.clone() };
        let sizes = reads::read(&place, self.read_mode, interrupt, |snapshot| {
            Ok((records::count(snapshot.connection(), path)?, programs::count(snapshot.connection(), path)?))
        });
        match sizes {
            Err(Error::LockTimeout { .. } | Error::Busy { .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Counts over the whole store.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn stats(&self, interrupt: &dyn Interrupt) -> Result<Summary> {
        self.read(interrupt, |snapshot| {
            summary::summarize(snapshot.connection(), self.db_path(), &mut || between(snapshot, interrupt))
        })
    }

    /// Keys in the order of creation.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] where `page.after` is not in the store, and those of reading.
    pub fn keys(&self, page: Page<'_>, interrupt: &dyn Interrupt) -> Result<Vec<String>> {
        self.read(interrupt, |snapshot| records::keys(snapshot.connection(), &self.place.db_path, page))
    }

    /// A value of `db_meta`.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn meta(&self, name: &str, interrupt: &dyn Interrupt) -> Result<Option<String>> {
        self.read(interrupt, |snapshot| meta::get(snapshot.connection(), &self.place.db_path, name))
    }

    /// Sets a value of `db_meta`.
    ///
    /// # Errors
    ///
    /// [`Error::CpuMismatch`], [`Error::ReadOnly`], and those of writing.
    pub fn set_meta(&self, name: &str, value: &str, interrupt: &dyn Interrupt) -> Result<()> {
        self.write(interrupt, |tenure| meta::set(tenure.connection(), &self.place.db_path, name, value))
    }

    /// Copies one consistent state of the store to `target`, or to `<stem>_<UTC time>.db` beside it, replacing what
    /// is there once the copy is complete. Answers where it is.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] where `target` is the store itself, and those of reading and of files.
    pub fn backup(&self, target: Option<&Path>, interrupt: &dyn Interrupt) -> Result<PathBuf> {
        let target = match target {
            Some(target) => resolve(target)?,
            None => self.default_backup_path(),
        };
        if target == self.db_path() {
            let text = format!("backup_path is the store itself: {}", target.display());
            return Err(Error::InvalidArgument(text));
        }
        let aside = self.copy_aside(parent(&target), interrupt)?;
        backup::publish(aside, &target, self.sharing.file_mode())?;
        Ok(target)
    }

    fn default_backup_path(&self) -> PathBuf {
        let stem = self.db_path().file_stem().unwrap_or_default().to_string_lossy();
        self.db_path().with_file_name(format!("{stem}_{}.db", clock::now_compact()))
    }

    fn copy_aside(&self, directory: &Path, interrupt: &dyn Interrupt) -> Result<tempfile::NamedTempFile> {
        self.read(interrupt, |snapshot| {
            backup::copy_aside(snapshot.connection(), directory, &mut || between(snapshot, interrupt))
        })
    }

    /// Writes everything to `target`, which is replaced once the export is complete.
    ///
    /// It is read from a private copy, so that workers wait for a file copy and not for JSON; the copy lies beside
    /// `target` until the export ends.
    ///
    /// # Errors
    ///
    /// Those of reading and of files; `target` is untouched then.
    pub fn export(&self, target: &Path, format: Format, interrupt: &dyn Interrupt) -> Result<Exported> {
        let path = resolve(target)?;
        let copy = self.copy_aside(parent(&path), interrupt)?;
        let snapshot = crate::storage::connection::open_immutable(copy.path())?;
        let aside = tempfile::Builder::new()
            .prefix(".tirastore-export-")
            .tempfile_in(parent(&path))
            .map_err(Error::io(parent(&path), "creating a file in"))?;
        let damaged = export::write(&snapshot, self.db_path(), aside.as_file(), &path, format)?;
        backup::publish(aside, &path, self.sharing.file_mode())?;
        Ok(Exported { path, damaged })
    }
}

/// Called between the pieces of a long read: lets the caller stop it, and shows waiters that it is alive.
fn between(snapshot: &Snapshot<'_>, interrupt: &dyn Interrupt) -> Result<()> {
    if interrupt.pending() {
        return Err(Error::Interrupted);
    }
    snapshot.renew()
}

/// What [`Store::export`] made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The file.
    pub path: PathBuf,
    /// Number of records that could not be exported as they are.
    pub damaged: u64,
}

/// A measurement, checked and ready to be written.
struct Row<'a> {
    measurement: &'a Measurement,
    program_hash: HexDigest,
    key: HexDigest,
    schedule: String,
    result_json: String,
}

struct StoredMachine {
    cpu_model: Option<String>,
    slurm_cpus: Option<String>,
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

/// Hashes of the sources of one batch, each computed once.
#[derive(Default)]
struct SourceHashes<'a>(HashMap<&'a str, HexDigest>);

impl<'a> SourceHashes<'a> {
    fn of(&mut self, source: &'a str) -> HexDigest {
        *self.0.entry(source).or_insert_with(|| program::hash(source))
    }
}

fn key_of(source: &str, schedule: &str) -> HexDigest {
    key::make_key(program::hash(source).as_str(), schedule)
}

fn keys_of(pairs: &[(&str, &str)]) -> Vec<HexDigest> {
    let mut hashes = SourceHashes::default();
    pairs.iter().map(|(source, schedule)| key::make_key(hashes.of(source).as_str(), schedule)).collect()
}

/// The absolute path of a file that may not exist yet, its symbolic links resolved.
fn resolve(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).map_err(Error::io(path, "resolving"))?;
    if let Ok(resolved) = absolute.canonicalize() {
        return Ok(resolved);
    }
    match (absolute.parent().map(Path::canonicalize), absolute.file_name()) {
        (Some(Ok(directory)), Some(name)) => Ok(directory.join(name)),
        _ => Ok(absolute),
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new("/"))
}

fn is_writable(directory: &Path) -> bool {
    use nix::unistd::{AccessFlags, access};
    access(directory, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

fn why_read_only(db_path: &Path, requested: bool) -> Option<String> {
    use nix::unistd::{AccessFlags, access};
    if requested {
        return Some("it was opened with read_only=True".to_owned());
    }
    if !is_writable(parent(db_path)) {
        return Some(format!("you may not create files in {}", parent(db_path).display()));
    }
    let file_refused = db_path.exists() && access(db_path, AccessFlags::W_OK).is_err();
    file_refused.then(|| "you may not write the file; ask its owner to run chmod 0666 on it".to_owned())
}

fn is_missing_or_empty(path: &Path) -> Result<bool> {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(metadata.len() == 0),
        Ok(_) => Err(Error::NotAStore { path: path.to_path_buf(), why: "it is no regular file".to_owned() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(Error::Io { path: path.to_path_buf(), action: "looking at", source }),
    }
}
