//! Claims: who measures which pair.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Store;
use super::lookup::key_of;
use crate::claims::{self, Awaited, Claim, Listed, Terms, Until, Wanted};
use crate::commit::{Program, Row};
use crate::error::{Error, Result};
use crate::identity::{key, program, schedule};
use crate::lock::Interrupt;
use crate::measurement::{IfExists, Measurement, Outcome};

/// A pair that may be claimed: name of the program, its source, and a schedule.
pub type Candidate = (String, String, String);

/// What may be claimed, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct ClaimOptions {
    /// A claim that was not renewed for this long is given up.
    pub lease: Duration,
    /// Claim what is recorded, too; the record is replaced then.
    pub refresh: bool,
    /// Claim what has failed, too.
    pub retry_failed: bool,
}

impl Store {
    /// Claims the first `limit` of `candidates` that are neither recorded nor claimed, after all of them have been
    /// checked, in one tenure.
    ///
    /// # Errors
    ///
    /// [`Error::InBatch`] for a schedule that cannot be recorded, [`Error::CpuMismatch`], [`Error::ReadOnly`], and those
    /// of writing.
    pub fn claim(
        &self,
        candidates: &[Candidate],
        options: &ClaimOptions,
        limit: usize,
        interrupt: &dyn Interrupt,
    ) -> Result<Vec<Claim>> {
        self.check_open()?;
        self.check_writes()?;
        let mut programs = HashMap::new();
        let wanted = candidates
            .iter()
            .enumerate()
            .map(|(index, candidate)| {
                let named = |error| Error::InBatch { list: "candidates", index, source: Box::new(error) };
                self.wanted(candidate, &mut programs).map_err(named)
            })
            .collect::<Result<Vec<_>>>()?;
        let ClaimOptions { lease, refresh, retry_failed } = *options;
        let terms = Terms { username: self.recorder().username, lease, refresh, retry_failed };
        claims::take(&self.place, self.read_mode, interrupt, &wanted, &terms, limit)
    }

    fn wanted<'a>(
        &self,
        (name, source, schedule): &'a Candidate,
        programs: &mut HashMap<(&'a str, &'a str), Arc<Program>>,
    ) -> Result<Wanted> {
        let schedule = schedule::normalize(schedule);
        self.check_schedule(&schedule)?;
        let program = programs.entry((name, source)).or_insert_with(|| {
            let hash = program::hash(source).as_str().to_owned();
            Arc::new(Program { hash, name: name.clone(), source: source.clone() })
        });
        let key = key::key_of_normal(&program.hash, &schedule).as_str().to_owned();
        Ok(Wanted { program: Arc::clone(program), key, schedule })
    }

    /// Begins the lease of `claim` anew.
    ///
    /// # Errors
    ///
    /// [`Error::ClaimLost`], and those of writing.
    pub fn renew(&self, claim: &Claim, interrupt: &dyn Interrupt) -> Result<()> {
        self.check_open()?;
        claim.renew(&self.place, interrupt)
    }

    /// Records what was measured under `claim`, and ends it, in one transaction. `true` if it was written, `false` if
    /// there was a record and the claim does not replace it.
    ///
    /// # Errors
    ///
    /// [`Error::ClaimLost`], [`Error::InvalidMeasurement`]: then nothing is written; and those of writing, after which it
    /// may be repeated.
    pub fn complete(&self, claim: &Claim, outcome: Outcome, interrupt: &dyn Interrupt) -> Result<bool> {
        let row = self.row_of(claim, outcome)?;
        claim.complete(&self.place, &self.group, interrupt, self.recorder(), row)
    }

    /// The same, and where somebody else has recorded the pair, or has it now, the measurement becomes a further run.
    ///
    /// # Errors
    ///
    /// Those of [`Store::complete`], [`Error::ClaimLost`] only where the claim was ended or is not this caller's.
    pub fn complete_or_append(
        &self,
        claim: &Claim,
        outcome: Outcome,
        interrupt: &dyn Interrupt,
    ) -> Result<bool> {
        let row = self.row_of(claim, outcome)?;
        claim.complete_or_append(&self.place, &self.group, interrupt, self.recorder(), row)
    }

    fn row_of(&self, claim: &Claim, outcome: Outcome) -> Result<Row> {
        self.check_open()?;
        self.check_writes()?;
        let program = claim.program();
        let measurement = Measurement {
            program_name: program.name.clone(),
            program_source_code: program.source.clone(),
            schedule: claim.schedule().to_owned(),
            outcome,
        };
        self.prepare(&measurement, IfExists::from(claim.replaces()), || Arc::clone(program))
    }

    /// Ends `claim` with what went wrong, for those who wait.
    ///
    /// # Errors
    ///
    /// [`Error::ClaimLost`], and those of writing.
    pub fn fail(&self, claim: &Claim, message: &str, interrupt: &dyn Interrupt) -> Result<()> {
        self.check_open()?;
        claim.fail(&self.place, interrupt, message)
    }

    /// Ends `claim` as if it had never been, if it is still its owner's.
    pub fn release(&self, claim: &Claim, interrupt: &dyn Interrupt) -> Result<()> {
        self.check_open()?;
        claim.release(&self.place, interrupt)
    }

    /// All claims, in the order in which they were made.
    pub fn claims(&self, interrupt: &dyn Interrupt) -> Result<Vec<Listed>> {
        self.check_open()?;
        claims::list(&self.place, self.read_mode, interrupt)
    }

    /// Is somebody measuring a schedule of a program?
    pub fn is_claimed(&self, source: &str, schedule: &str, interrupt: &dyn Interrupt) -> Result<bool> {
        self.check_open()?;
        let key = key_of(source, schedule);
        claims::is_claimed(&self.place, self.read_mode, interrupt, key.as_str())
    }

    /// Waits until a schedule of a program is recorded; with `newer_than`, until its record has another date than that.
    /// `or_free`: or until nobody measures it.
    pub fn wait_for(
        &self,
        source: &str,
        schedule: &str,
        newer_than: Option<&str>,
        or_free: bool,
        timeout: Duration,
        interrupt: &dyn Interrupt,
    ) -> Result<Awaited> {
        self.check_open()?;
        let key = key_of(source, schedule);
        let watches = self.check_writes().is_ok();
        let until = Until { newer_than, or_free, timeout };
        claims::wait(&self.place, self.read_mode, interrupt, key.as_str(), until, watches)
    }
}
