//! Taking in the records of another store, a page at a time.

use std::sync::Arc;

use super::Store;
use super::adopt::{Adoption, check_date, check_dates};
use crate::commit::{Program, Row};
use crate::error::{Error, Result};
use crate::identity::program;
use crate::lock::Interrupt;
use crate::measurement::{IfExists, Outcome};
use crate::storage::adopt::{Origin, Past};
use crate::storage::pages::{self, Whole};
use crate::storage::records::{Record, RecordOfProgram, Recorder};
use crate::storage::result_json;
use crate::storage::runs::Run;

/// What became of one page of another store.
#[derive(Debug, Default)]
pub struct MergedPage {
    /// Records on the page.
    pub read: usize,
    /// How many of them were written; those that are not refused either were there.
    pub written: usize,
    /// Keys of records that are damaged, and how.
    pub refused: Vec<(String, String)>,
    /// The row to go on behind; `None` behind the last page.
    pub last: Option<i64>,
}

impl Store {
    /// Takes in the records of `other` behind its row `after`, at most `limit`. They keep host, user, dates,
    /// project, environment and history, and their programs all their names.
    ///
    /// The page is read before the lock of this store is asked for: a thread never waits for one lock while it holds
    /// another.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] where `other` is this store, and those of reading and of writing.
    pub fn merge_page(
        &self,
        other: &Self,
        after: i64,
        limit: u32,
        interrupt: &dyn Interrupt,
    ) -> Result<MergedPage> {
        self.check_writes()?;
        if other.db_path() == self.db_path() {
            let text = format!("other_db is this store itself: {}", self.db_path().display());
            return Err(Error::InvalidArgument(text));
        }
        let page = other
            .read(interrupt, |snapshot| pages::page(snapshot.connection(), other.db_path(), after, limit))?;
        let mut merged = MergedPage {
            read: page.len(),
            last: page.last().map(|whole| whole.rowid),
            ..MergedPage::default()
        };
        let mut rows = Vec::with_capacity(page.len());
        for whole in page {
            let key = whole.row.record.key.clone();
            match as_it_is(whole) {
                Ok(adoption) => rows.push(adoption),
                Err(Error::CorruptRecord { cause, .. }) => merged.refused.push((key, cause)),
                Err(error) => merged.refused.push((key, error.to_string())),
            }
        }
        merged.written = self.write_missing(&rows, interrupt)?;
        Ok(merged)
    }
}

/// A record of another store, if it is what its key names and can be a measurement.
fn as_it_is(whole: Whole) -> Result<Adoption> {
    let Whole { row, environment, further_names, history, .. } = whole;
    let RecordOfProgram { record, program_name, source_code, .. } = row.whole()?;
    if program::hash(&source_code).as_str() != record.program_hash {
        let cause = format!("the source of its program {} has another hash", record.program_hash);
        return Err(Error::CorruptRecord { key: record.key, cause });
    }
    let result_json = result_of(&record)?;
    let origin = Origin {
        creation_date: record.creation_date.clone(),
        update_date: record.update_date.clone(),
        recorder: recorder_of(&record, environment),
    };
    check_dates(&origin)?;
    let history = history.into_iter().map(past).collect::<Result<_>>()?;
    let program = Arc::new(Program { hash: record.program_hash, name: program_name, source: source_code });
    let Record { key, schedule, .. } = record;
    let row = Row { if_exists: IfExists::Keep, program, key, schedule, result_json, claim: None };
    Ok(Adoption { row, further_names, origin, history })
}

fn past(run: Run) -> Result<Past> {
    let Run { record, environment, .. } = run;
    let result_json = result_of(&record)?;
    let environment = environment.map(|object| serde_json::Value::from(object).to_string());
    check_date("the date of a run", &record.update_date)?;
    let recorder = recorder_of(&record, environment);
    Ok(Past { result_json, recorder, date: record.update_date })
}

/// The result without the number of its environment, which is another one here.
fn result_of(record: &Record) -> Result<String> {
    let outcome = record.outcome()?;
    // What a status says by not being there is as good as said.
    let outcome = Outcome { said: Some(outcome.status()), ..outcome };
    outcome.validate()?;
    Ok(result_json::encode(&outcome))
}

fn recorder_of(record: &Record, environment: Option<String>) -> Recorder {
    Recorder {
        hostname: record.hostname.clone(),
        username: record.username.clone(),
        source_project: record.source_project.clone(),
        environment: environment.map(Into::into),
    }
}
