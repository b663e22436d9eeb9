//! Records that wait in memory and are written together.
//!
//! A row is checked and encoded when it is recorded, so that a flush only writes. What a flush could not write stays:
//! under the same id, if it may be in the store, so that it comes in once.

mod flush;
mod layer;
mod writer;

use std::collections::HashMap;
use std::process;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use self::layer::{Layer, Recorded};
use super::Store;
use super::lookup::key_of;
use super::record::program_of;
use crate::commit::{self, Batch, Client, Program};
use crate::error::{Error, Result};
use crate::identity::HexDigest;
use crate::lock::{self, Interrupt};
use crate::measurement::{IfExists, Measurement};
use crate::notices;
use crate::reads::Hit;
use crate::storage::records::Recorder;

/// A flush in the background that has failed is not repeated sooner.
const REST: Duration = Duration::from_secs(1);
/// Programs whose text is shared by rows.
const PROGRAMS: usize = 1024;
/// Bytes of text that wait at most, as `Limits::records` do: a batch that is handed over keeps its id, and so its rows,
/// and whoever commits it does so in one tenure.
const LARGEST_BATCH: usize = 64 << 20;

/// How much waits in a buffer, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Records that wait at most: then recording waits for a flush.
    pub records: usize,
    /// A thread flushes when the oldest has waited for this long; `None`: there is no such thread.
    pub age: Option<Duration>,
}

/// Records of one process that wait to be written to one store.
#[derive(Debug)]
pub struct Buffer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<Store>,
    limits: Limits,
    owner: u32,
    /// Never held while anything is waited for but the disk.
    state: Mutex<State>,
    flushed: Condvar,
}

#[derive(Debug)]
struct State {
    client: Client,
    programs: HashMap<String, Vec<Arc<Program>>>,
    pending: Layer,
    under_way: Option<UnderWay>,
    /// What is in each file that stands beside the token.
    handed_over: Vec<(String, Layer)>,
    flushing: Option<ThreadId>,
    /// Why the flush in the background failed.
    failed: Option<Error>,
    notices: Vec<String>,
    /// No flush in the background before.
    not_before: Option<Instant>,
    writer: Option<Sender<()>>,
}

/// A batch that is being written or handed over, or where that has failed: it may be in the store, and keeps its id.
#[derive(Debug)]
struct UnderWay {
    batch: Arc<Batch>,
    layer: Layer,
}

/// What became of records that were to be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandedOver {
    /// They are safe: as many as this.
    Safe(usize),
    /// Not yet. The store is not sealed, and this thread is in the middle of a call that has its lock or waits for it.
    /// When that goes on and is over, they can be written.
    Later,
}

impl Buffer {
    /// An empty buffer of `store`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::ReadOnly`], [`Error::CpuMismatch`], and [`Error::InvalidArgument`] for no records.
    pub fn new(store: Arc<Store>, limits: Limits) -> Result<Self> {
        store.check_open()?;
        store.check_writes()?;
        if limits.records == 0 {
            return Err(Error::InvalidArgument("max_records must be 1 or more, got 0".to_owned()));
        }
        let state = State {
            client: Client::new(),
            programs: HashMap::new(),
            pending: Layer::default(),
            under_way: None,
            handed_over: Vec::new(),
            flushing: None,
            failed: None,
            notices: Vec::new(),
            not_before: None,
            writer: None,
        };
        let (owner, state) = (process::id(), Mutex::new(state));
        Ok(Self { inner: Arc::new(Inner { store, limits, owner, state, flushed: Condvar::new() }) })
    }

    /// The process whose records these are. Another one, its child, must not use them.
    #[must_use]
    pub fn owner(&self) -> u32 {
        self.inner.owner
    }

    /// Takes a measurement. Where the buffer is full it is flushed before.
    ///
    /// # Errors
    ///
    /// Those of [`Store::record`] for the measurement; those of a flush, also of an earlier one in the background. Then
    /// the measurement was not taken.
    pub fn record(
        &self,
        measurement: &Measurement,
        if_exists: impl Into<IfExists>,
        interrupt: &dyn Interrupt,
    ) -> Result<()> {
        let store = &self.inner.store;
        store.check_open()?;
        store.check_writes()?;
        let row = store.prepare(measurement, if_exists.into(), || self.program(measurement))?;
        let key = key_of(&measurement.program_source_code, &row.schedule);
        let (row, recorder) = (Arc::new(row), store.recorder());
        loop {
            {
                let mut state = self.inner.state();
                state.pass_notices();
                if let Some(failed) = state.failed.take() {
                    return Err(failed);
                }
                if state.pending.is_empty() {
                    state.pending = Layer::of(recorder.clone());
                }
                let is_another_project = *state.pending.recorder() != recorder;
                if state.has_room(self.inner.limits) && !is_another_project {
                    state.pending.push(key, row);
                    self.inner.wake_writer(&mut state);
                    return Ok(());
                }
            }
            self.flush(interrupt)?;
        }
    }

    fn program(&self, measurement: &Measurement) -> Arc<Program> {
        let Measurement { program_name: name, program_source_code: source, .. } = measurement;
        let known =
            |state: &State| state.programs.get(source)?.iter().find(|program| program.name == *name).cloned();
        if let Some(program) = known(&self.inner.state()) {
            return program;
        }
        let program = program_of(measurement);
        let mut state = self.inner.state();
        if state.programs.len() >= PROGRAMS {
            state.programs.clear();
        }
        state.programs.entry(source.clone()).or_default().push(Arc::clone(&program));
        program
    }

    /// The record of a schedule of a program, as it will be when everything is written.
    ///
    /// # Errors
    ///
    /// Those of [`Store::lookup`].
    pub fn lookup(
        &self,
        source: &str,
        schedule: &str,
        interrupt: &dyn Interrupt,
    ) -> Result<Option<Arc<Hit>>> {
        self.inner.store.check_open()?;
        let key = key_of(source, schedule);
        let mine = self.inner.state().find(&self.inner.store, &key);
        if let Some((recorded, recorder)) = &mine
            && recorded.row.if_exists == IfExists::Overwrite
        {
            return recorded.hit(recorder).map(Some);
        }
        match self.inner.store.lookup_key(key, interrupt)? {
            None => mine.map(|(recorded, recorder)| recorded.hit(&recorder)).transpose(),
            found => Ok(found),
        }
    }

    /// Records that are not in the store, nor handed over.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.inner.state().count()
    }

    /// Writes all that waits, in one tenure. Answers how many records were written.
    ///
    /// # Errors
    ///
    /// Those of [`Store::record_batch`]. What could not be written waits on.
    pub fn flush(&self, interrupt: &dyn Interrupt) -> Result<usize> {
        self.inner.flush(interrupt)
    }

    /// Hands all that waits over, durably, without waiting for the lock; where the store is not sealed, flushes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: what was not handed over waits on.
    pub fn post(&self, interrupt: &dyn Interrupt) -> Result<HandedOver> {
        let inner = &self.inner;
        let count = inner.state().count();
        if count == 0 || inner.hand_over()? {
            return Ok(HandedOver::Safe(count));
        }
        if inner.state().flushing == Some(thread::current().id()) || lock::is_inside(&inner.store.place) {
            return Ok(HandedOver::Later);
        }
        inner.flush(interrupt).map(|_| HandedOver::Safe(count))
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&self) -> usize {
        self.pending.len() + self.under_way.as_ref().map_or(0, |under_way| under_way.batch.rows.len())
    }

    /// What a thread without a caller was to say.
    fn pass_notices(&mut self) {
        self.notices.drain(..).for_each(notices::put);
    }

    fn has_room(&self, limits: Limits) -> bool {
        let size =
            self.pending.size() + self.under_way.as_ref().map_or(0, |under_way| under_way.layer.size());
        self.count() < limits.records && size < LARGEST_BATCH
    }

    /// What is to be written first, a new batch of at most `bytes` or one row; `None` if nothing is.
    fn begin_batch(&mut self, bytes: usize) -> Option<Arc<Batch>> {
        if self.under_way.is_none() && !self.pending.is_empty() {
            let layer = self.pending.take(bytes);
            let batch = Arc::new(Batch::of(&self.client, layer.recorder().clone(), layer.rows()));
            self.under_way = Some(UnderWay { batch, layer });
        }
        self.under_way.as_ref().map(|under_way| Arc::clone(&under_way.batch))
    }

    /// The files that stand beside the token.
    fn files(&self) -> Vec<String> {
        self.handed_over.iter().map(|(name, _)| name.clone()).collect()
    }

    /// What was handed over and is in the store by now is no longer this buffer's.
    fn forget_applied(&mut self, store: &Store) {
        self.handed_over.retain(|(name, _)| commit::waits(&store.place, name));
    }

    /// What recording in this order leaves under `key`, the last that replaces or the first, and who recorded it.
    fn find(&mut self, store: &Store, key: &HexDigest) -> Option<(Arc<Recorded>, Recorder)> {
        self.forget_applied(store);
        let under_way = self.under_way.iter().map(|under_way| &under_way.layer);
        let older = under_way.chain(self.handed_over.iter().rev().map(|(_, layer)| layer));
        let mut found = None;
        for layer in std::iter::once(&self.pending).chain(older) {
            let Some(recorded) = layer.find(key) else { continue };
            found = Some((Arc::clone(recorded), layer.recorder().clone()));
            if recorded.row.if_exists == IfExists::Overwrite {
                break;
            }
        }
        found
    }
}
