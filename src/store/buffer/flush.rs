//! How what waits leaves a buffer: into the store, or to whoever has its lock next.

use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use super::{Inner, UnderWay};
use crate::commit::{self, Client, LARGEST_POST};
use crate::error::{Error, Result};
use crate::lock::{self, Interrupt};

/// Between two looks at a flush of another thread.
const LOOK: Duration = Duration::from_millis(20);

impl Inner {
    pub(super) fn flush(&self, interrupt: &dyn Interrupt) -> Result<usize> {
        self.store.check_open()?;
        let _flushing = self.begin_flush(interrupt)?;
        let (mut left, handed_over) = {
            let mut state = self.state();
            state.pass_notices();
            state.failed = None;
            state.forget_applied(&self.store);
            (state.count(), state.files())
        };
        let mut written = None;
        // One tenure: two, where one has failed before and its batch keeps its id. What is recorded from here on waits
        // for the next flush.
        while left > 0 {
            let (batch, own) = {
                let mut state = self.state();
                let Some(batch) = state.begin_batch(usize::MAX) else { break };
                (batch, state.files())
            };
            left = left.saturating_sub(batch.rows.len());
            let outcome =
                commit::record_buffered(&self.store.place, &self.store.group, interrupt, &batch, own);
            let mut state = self.state();
            let posted = state.under_way.as_ref().is_none_or(|under_way| under_way.batch.id != batch.id);
            match outcome {
                Ok(count) => {
                    if !posted {
                        state.under_way = None;
                    }
                    *written.get_or_insert(0) += count;
                }
                // Handed over meanwhile: it is safe.
                Err(error) if posted && !matches!(error, Error::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        if written.is_none() && !handed_over.is_empty() {
            commit::apply_kept(&self.store.place, interrupt, &handed_over)?;
        }
        self.state().forget_applied(&self.store);
        Ok(written.unwrap_or(0))
    }

    /// Waits until no other thread flushes.
    fn begin_flush(&self, interrupt: &dyn Interrupt) -> Result<Flushing<'_>> {
        let me = thread::current().id();
        loop {
            {
                let state = self.state();
                if state.flushing == Some(me) {
                    let text =
                        "this flush was called by a signal handler that has interrupted a flush: call post()";
                    return Err(Error::InvalidArgument(text.to_owned()));
                }
                let waited = self.flushed.wait_timeout_while(state, LOOK, |state| state.flushing.is_some());
                let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                if state.flushing.is_none() {
                    state.flushing = Some(me);
                    return Ok(Flushing(self));
                }
            }
            if interrupt.pending() {
                return Err(Error::Interrupted);
            }
        }
    }

    /// Posts all that waits: what is under way under its id, the rest in pieces. `false` where nobody would look for it.
    pub(super) fn hand_over(&self) -> Result<bool> {
        let place = &self.store.place;
        if !lock::is_sealed(place) {
            return Ok(false);
        }
        let mut state = self.state();
        while let Some(batch) = state.begin_batch(LARGEST_POST) {
            // On an error it stays under way: its file may be there all the same, and must not come in twice.
            let Some(name) = commit::keep(place, &batch)? else { return Ok(false) };
            if let Some(UnderWay { layer, .. }) = state.under_way.take() {
                state.handed_over.push((name, layer));
            }
            // A later batch of the same client would let this one look past.
            state.client = Client::new();
        }
        Ok(true)
    }
}

/// A flush that goes on.
struct Flushing<'a>(&'a Inner);

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        self.0.state().flushing = None;
        self.0.flushed.notify_all();
    }
}
