//! A claim in the hands of its owner.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::attempt::Attempt;
use super::observer::Observer;
use super::taking::{Terms, Wanted};
use crate::commit::{self, Group, Program, Row, claimed};
use crate::error::{Error, Result};
use crate::lock::{Interrupt, Place, my_random};
use crate::measurement::IfExists;
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
    /// A completion has failed, and may be in the store all the same.
    Completing(Attempt),
    /// What the completion answered.
    Completed(bool),
    /// The completion found that another one has the pair.
    Lost,
    /// What was measured is no record and becomes a further run, or is one already.
    Appending(Attempt),
    Appended,
    /// Failed or released.
    Ended,
}

impl Claim {
    pub(super) fn new(wanted: Wanted, id: String, terms: &Terms) -> Self {
        let (lease, refresh) = (terms.lease, terms.refresh);
        Self { wanted, id, lease, refresh, process: my_random(), state: Mutex::new(State::Held) }
    }

    /// Tells it from every other one of all times.
    pub(super) fn id(&self) -> &str {
        &self.id
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
            && self.state.try_lock().is_ok_and(|state| matches!(*state, State::Held | State::Completing(_)))
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
                return Err(claimed::lost(connection, path, self.key()));
            };
            let observer = Observer::now();
            claims::observe(connection, path, (self.key(), &self.id, beat), &observer.name, observer.now_ms)
        })
    }

    /// Writes `row` and ends the claim, in one transaction, and once: repeated after an error it asks what the first
    /// time came to. `true` if the row was written, `false` if there was one and this claim replaces none.
    ///
    /// # Errors
    ///
    /// [`Error::ClaimLost`]: then nothing is written; and those of writing.
    pub(crate) fn complete(
        &self,
        place: &Place,
        group: &Group,
        interrupt: &dyn Interrupt,
        recorder: Recorder,
        row: Row,
    ) -> Result<bool> {
        let mut state = self.state()?;
        if let State::Completed(answer) = *state {
            return Ok(answer);
        }
        self.check_open(&state)?;
        let attempt = match std::mem::replace(&mut *state, State::Ended) {
            State::Completing(attempt) => attempt,
            _ => Attempt::new(recorder, Row { claim: Some(self.id.clone()), ..row }),
        };
        let (outcome, again) = attempt.run(place, group, interrupt);
        *state = match (&outcome, again) {
            (_, Some(again)) => State::Completing(again),
            (Ok(written), None) => State::Completed(*written),
            (Err(_), None) => State::Lost,
        };
        outcome
    }

    /// The same for a measurement that is to be kept in any case: where somebody else has recorded the pair, or has it
    /// now, it becomes a further run, once.
    ///
    /// # Errors
    ///
    /// [`Error::ClaimLost`] where the claim was failed or released, belongs to another process, or is in use; and those
    /// of writing.
    pub(crate) fn complete_or_append(
        &self,
        place: &Place,
        group: &Group,
        interrupt: &dyn Interrupt,
        recorder: Recorder,
        row: Row,
    ) -> Result<bool> {
        if matches!(*self.state()?, State::Held | State::Completing(_)) {
            let row = row.clone();
            match self.complete(place, group, interrupt, recorder.clone(), row) {
                Ok(true) => return Ok(true),
                Ok(false) | Err(Error::ClaimLost { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let mut state = self.state()?;
        let attempt = match std::mem::replace(&mut *state, State::Ended) {
            State::Appending(attempt) => attempt,
            State::Lost | State::Completed(false) => {
                Attempt::new(recorder, Row { if_exists: IfExists::Append, ..row })
            }
            other => {
                *state = other;
                return match *state {
                    State::Completed(written) => Ok(written),
                    State::Appended => Ok(false),
                    _ => Err(self.error("it has ended before".to_owned())),
                };
            }
        };
        let (outcome, again) = attempt.run(place, group, interrupt);
        *state = again.map_or(State::Appended, State::Appending);
        outcome.map(|_| false)
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
            let connection = tenure.connection();
            let failed = claims::fail(connection, path, self.key(), &self.id, message)?;
            if failed { Ok(()) } else { Err(claimed::lost(connection, path, self.key())) }
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
            State::Held | State::Completing(_) => Ok(()),
            State::Completed(_) => Err(self.error("it was completed before".to_owned())),
            State::Lost | State::Appending(_) | State::Appended | State::Ended => {
                Err(self.error("it has ended before".to_owned()))
            }
        }
    }

    fn error(&self, why: String) -> Error {
        Error::ClaimLost { key: self.key().to_owned(), why }
    }
}
