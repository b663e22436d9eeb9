//! A claim in the hands of its owner.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::observer::{Observer, owner_of};
use super::taking::{Terms, Wanted};
use crate::commit::{self, Batch, Client, Program, Row};
use crate::error::{Error, Result};
use crate::lock::{Interrupt, Place, Tenure, my_random};
use crate::mutation;
use crate::storage::applied::BatchId;
use crate::storage::claims;
use crate::storage::records::Recorder;

/// The right to measure a pair. It is its process's own: a forked child does not have it.
#[derive(Debug)]
pub struct Claim {
    wanted: Wanted,
    id: String,
    lease: Duration,
    refresh: bool,
    /// Number of the process that made it.
    process: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Held,
    /// A completion has failed, and may be in the store all the same: under this id.
    Completing(Client, BatchId),
    /// What the completion answered.
    Completed(bool),
    /// Failed or released.
    Ended,
}

impl Claim {
    pub(super) fn new(wanted: Wanted, id: String, terms: &Terms) -> Self {
        let (lease, refresh) = (terms.lease, terms.refresh);
        Self { wanted, id, lease, refresh, process: my_random(), state: Mutex::new(State::Held) }
    }

    /// Key of the record that is to come.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.wanted.key
    }

    pub(crate) fn program(&self) -> &Arc<Program> {
        &self.wanted.program
    }

    /// Name of the program.
    #[must_use]
    pub fn program_name(&self) -> &str {
        &self.wanted.program.name
    }

    /// Its source.
    #[must_use]
    pub fn program_source_code(&self) -> &str {
        &self.wanted.program.source
    }

    /// The schedule's normal form.
    #[must_use]
    pub fn schedule(&self) -> &str {
        &self.wanted.schedule
    }

    /// It is given up when it was not renewed for this long.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Does its record replace one that is there?
    #[must_use]
    pub fn replaces(&self) -> bool {
        self.refresh
    }

    /// Is it neither completed, failed nor released, and this very process's?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.process == my_random()
            && self.state.try_lock().is_ok_and(|state| matches!(*state, State::Held | State::Completing(..)))
    }

    /// Begins the lease anew.
    ///
    /// # Errors
    ///
    /// [`Error::ClaimLost`], and those of writing.
    pub(crate) fn renew(&self, place: &Place, interrupt: &dyn Interrupt) -> Result<()> {
        let _state = self.open_state()?;
        let path = place.db_path.as_path();
        commit::write(place, interrupt, |tenure| {
            let connection = tenure.connection();
            let Some(beat) = claims::renew(connection, path, self.key(), &self.id)? else {
                return Err(self.lost(place, tenure));
            };
            let observer = Observer::now();
            claims::observe(connection, path, (self.key(), &self.id, beat), &observer.name, observer.now_ms)
        })
    }

    /// Writes `row` and ends the claim, in one transaction, and once: repeated after an error it answers what the
    /// first time came to. `true` if the row was written, `false` if there was one and this claim replaces none.
    ///
    /// # Errors
    ///
    /// [`Error::ClaimLost`]: then nothing is written; and those of writing.
    pub(crate) fn complete(
        &self,
        place: &Place,
        interrupt: &dyn Interrupt,
        recorder: Recorder,
        row: Row,
    ) -> Result<bool> {
        let mut state = self.state()?;
        if let State::Completed(answer) = *state {
            return Ok(answer);
        }
        self.check_open(&state)?;
        let before = std::mem::replace(&mut *state, State::Held);
        let (client, id, asked) = if let State::Completing(client, id) = before {
            (client, id, true)
        } else {
            let client = Client::idle();
            let id = client.next_batch();
            (client, id, false)
        };
        let path = place.db_path.as_path();
        let batch = Batch { id, recorder, rows: vec![Arc::new(row)] };
        let outcome = commit::write_under(place, interrupt, &batch.id, asked, |tenure| {
            let is_mine = claims::remove(tenure.connection(), path, self.key(), &self.id)?;
            if !is_mine && !mutation::off("complete-checks-owner") {
                return Err(self.lost(place, tenure));
            }
            mutation::reached("claim-removed");
            batch.put(tenure, path).map(|written| written > 0)
        });
        *state = match outcome {
            Ok(written) => {
                client.give_back();
                State::Completed(written)
            }
            Err(Error::ClaimLost { .. }) => {
                client.give_back();
                State::Ended
            }
            Err(_) => State::Completing(client, batch.id),
        };
        outcome
    }

    /// Ends the claim with what went wrong, for those who wait.
    ///
    /// # Errors
    ///
    /// [`Error::ClaimLost`], and those of writing.
    pub(crate) fn fail(&self, place: &Place, interrupt: &dyn Interrupt, message: &str) -> Result<()> {
        let mut state = self.open_state()?;
        let path = place.db_path.as_path();
        let outcome = commit::write(place, interrupt, |tenure| {
            let failed = claims::fail(tenure.connection(), path, self.key(), &self.id, message)?;
            if failed { Ok(()) } else { Err(self.lost(place, tenure)) }
        });
        if matches!(outcome, Ok(()) | Err(Error::ClaimLost { .. })) {
            *state = State::Ended;
        }
        outcome
    }

    /// Ends the claim as if it had never been. Nothing happens where it is not this process's any more.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub(crate) fn release(&self, place: &Place, interrupt: &dyn Interrupt) -> Result<()> {
        let Ok(mut state) = self.open_state() else { return Ok(()) };
        let path = place.db_path.as_path();
        commit::write(place, interrupt, |tenure| {
            claims::remove(tenure.connection(), path, self.key(), &self.id)
        })?;
        *state = State::Ended;
        Ok(())
    }

    fn open_state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state()?;
        self.check_open(&state)?;
        Ok(state)
    }

    /// Never waited for: a signal handler may call what it has interrupted.
    fn state(&self) -> Result<MutexGuard<'_, State>> {
        if self.process != my_random() {
            return Err(self.error("it belongs to the process that this one was forked from".to_owned()));
        }
        self.state.try_lock().map_err(|_| self.error("another call on it is under way".to_owned()))
    }

    fn check_open(&self, state: &State) -> Result<()> {
        match state {
            State::Held | State::Completing(..) => Ok(()),
            State::Completed(_) => Err(self.error("it was completed before".to_owned())),
            State::Ended => Err(self.error("it has ended before".to_owned())),
        }
    }

    /// Why the claim is not in the store any more.
    fn lost(&self, place: &Place, tenure: &Tenure<'_>) -> Error {
        let observer = Observer::now();
        match claims::get(tenure.connection(), &place.db_path, self.key(), &observer.name) {
            Err(error) => error,
            Ok(None) => {
                self.error("its lease was over, and others have ended what they made of it".to_owned())
            }
            Ok(Some(claim)) => {
                self.error(format!("its lease was over, and {} has taken the pair over", owner_of(&claim)))
            }
        }
    }

    fn error(&self, why: String) -> Error {
        Error::ClaimLost { key: self.key().to_owned(), why }
    }
}
