//! All runs of a schedule, and which of them count here.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Store;
use super::lookup::key_of;
use crate::environment;
use crate::error::Result;
use crate::lock::Interrupt;
use crate::reads::Hit;
use crate::storage::runs::{self, Run};

impl Store {
    /// What the times that this store records depend on.
    #[must_use]
    pub fn environment(&self) -> Map<String, Value> {
        let text = self.recorder().environment;
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// All runs of a schedule of a program, the current one among them, oldest first.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn runs(&self, source: &str, schedule: &str, interrupt: &dyn Interrupt) -> Result<Vec<Run>> {
        let key = key_of(source, schedule);
        self.read(interrupt, |snapshot| runs::all(snapshot.connection(), &self.place.db_path, key.as_str()))
    }

    /// The newest run that holds on this machine: one of a machine like this, or one that found the schedule illegal,
    /// which it is everywhere.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRecord`](crate::Error::CorruptRecord), and those of reading.
    pub fn lookup_here(
        &self,
        source: &str,
        schedule: &str,
        interrupt: &dyn Interrupt,
    ) -> Result<Option<Arc<Hit>>> {
        let here = self.environment();
        for run in self.runs(source, schedule, interrupt)?.into_iter().rev() {
            let there = run.environment.as_ref();
            let is_of_here = there.is_some_and(|there| environment::is_same_machine(there, &here));
            let hit = Hit::of(run.record)?;
            if is_of_here || !hit.outcome.is_legal {
                return Ok(Some(hit));
            }
        }
        Ok(None)
    }
}
