//! Going through records: each is decoded and handed to a visitor, if the filter lets it pass.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

use rusqlite::Connection;

use super::decode::decode;
use super::derive;
use super::field::Field;
use super::filter::Filter;
use super::record::{Program, Record};
use super::tokens::Tokens;
use crate::clock;
use crate::error::Result;
use crate::identity::key;
use crate::mutation;
use crate::storage::columns::{self, Rows, Stored};

/// After so many rows the caller may stop, or show waiters that it is alive.
const ROWS_BETWEEN: u64 = 4096;

/// So many programs are remembered: sources of all of a large store would not fit into memory.
const PROGRAMS_KEPT: usize = 100_000;
const SOURCES_KEPT: usize = 4096;

/// A row that cannot be told truly: it was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Its key, as far as it can be read.
    pub key: String,
    /// What is wrong with it.
    pub cause: String,
}

/// What a walk needs beside the rows themselves.
pub(super) struct Walk<'a> {
    pub(super) connection: &'a Connection,
    pub(super) path: &'a Path,
    pub(super) filter: &'a Filter,
    /// The fields that the visitor looks at.
    pub(super) fields: &'a [Field],
    pub(super) between: &'a dyn Fn() -> Result<()>,
}

/// How a walk went.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// The rows that were left out.
    pub(super) damaged: Vec<Damaged>,
    /// The rowid of the last row that was looked at.
    pub(super) last: Option<i64>,
    /// Rows that were looked at.
    pub(super) rows: u64,
}

impl Walk<'_> {
    /// The rows among which all are that the filter lets pass, in the order in which they were recorded.
    pub(super) fn over_wanted(
        &self,
        visit: impl FnMut(&Record<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<Walked> {
        let rowids = columns::narrowed(self.connection, self.path, &self.filter.narrow())?;
        self.over(rowids.as_deref().map_or(Rows::Behind(i64::MIN, None), Rows::Listed), visit)
    }

    /// These rows.
    pub(super) fn over(
        &self,
        rows: Rows<'_>,
        mut visit: impl FnMut(&Record<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<Walked> {
        let mut walked = Walked::default();
        let mut known = Known::of(self);
        let mut times = Vec::new();
        columns::each(self.connection, self.path, rows, |row| {
            walked.rows += 1;
            if walked.rows.is_multiple_of(ROWS_BETWEEN) {
                (self.between)()?;
            }
            walked.last = Some(row.as_ref().map_or_else(|no_text| no_text.rowid, |stored| stored.rowid));
            let (key, outcome) = match &row {
                Ok(stored) => (stored.key, self.row(stored, &mut known, &mut times, &mut visit)?),
                Err(no_text) => {
                    (no_text.key.as_str(), Err(format!("its column {} holds no text", no_text.column)))
                }
            };
            Ok(outcome.unwrap_or_else(|cause| {
                walked.damaged.push(Damaged { key: key.to_owned(), cause });
                ControlFlow::Continue(())
            }))
        })?;
        Ok(walked)
    }

    /// The inner error says why the row is damaged.
    fn row(
        &self,
        stored: &Stored<'_>,
        known: &mut Known<'_>,
        times: &mut Vec<f64>,
        visit: &mut impl FnMut(&Record<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<std::result::Result<ControlFlow<()>, String>> {
        let decoded = match decode(stored.result_json, times) {
            Ok(decoded) => decoded,
            Err(cause) => return Ok(Err(cause)),
        };
        if let Some(index) = times.iter().position(|time| !time.is_finite()) {
            return Ok(Err(format!("execution_times[{index}] is {}", times[index])));
        }
        let date = |name: &str, text: &str| {
            clock::unix_microseconds(text)
                .ok_or_else(|| format!("its {name} is {text:?}, no date in ISO 8601"))
        };
        let created = match date("creation_date", stored.creation_date) {
            Ok(created) => created,
            Err(cause) => return Ok(Err(cause)),
        };
        let is_as_created = stored.update_date == stored.creation_date;
        let updated = if is_as_created { Ok(created) } else { date("update_date", stored.update_date) };
        let updated = match updated {
            Ok(updated) => updated,
            Err(cause) => return Ok(Err(cause)),
        };
        let program = match known.program(stored.program_hash)? {
            Ok(program) => program,
            Err(cause) => return Ok(Err(cause)),
        };
        let environment = decoded.environment.map(|id| known.environment(id)).transpose()?.flatten();
        let record = Record {
            stored,
            program: &program,
            decoded: &decoded,
            times,
            environment: environment.as_deref(),
            created,
            updated,
            transformations: OnceCell::new(),
            tokens: &known.tokens,
            scratch: &known.scratch,
        };
        if !self.filter.lets_pass(|field| record.value(field)) {
            return Ok(Ok(ControlFlow::Continue(())));
        }
        // A changed schedule would pass its times off as another one's. Only of rows that are shown: it is a hash each.
        if !names(stored) && !mutation::off("search-checks-keys") {
            return Ok(Err("its program and schedule have another key: one of them was changed".to_owned()));
        }
        visit(&record).map(Ok)
    }
}

/// Is the row's key that of its program and schedule?
fn names(stored: &Stored<'_>) -> bool {
    key::key_of_normal(stored.program_hash, stored.schedule).as_str() == stored.key
        || key::make_key(stored.program_hash, stored.schedule).as_str() == stored.key
}

/// What was read of other tables: it is the same for many records.
struct Known<'a> {
    walk: &'a Walk<'a>,
    with_source: bool,
    with_initial: bool,
    with_environment: bool,
    programs: HashMap<String, std::result::Result<Rc<Program>, String>>,
    /// Rows that follow each other are mostly of one program.
    last: Option<Rc<Program>>,
    environments: HashMap<i64, Option<Rc<str>>>,
    tokens: RefCell<Tokens>,
    scratch: RefCell<Vec<f64>>,
}

impl<'a> Known<'a> {
    fn of(walk: &'a Walk<'a>) -> Self {
        let needs = |field| walk.fields.contains(&field) || walk.filter.looks_at(field);
        Self {
            walk,
            with_source: needs(Field::SourceCode),
            with_initial: needs(Field::Speedup),
            with_environment: needs(Field::Environment),
            programs: HashMap::new(),
            last: None,
            environments: HashMap::new(),
            tokens: RefCell::default(),
            scratch: RefCell::default(),
        }
    }

    fn program(&mut self, hash: &str) -> Result<std::result::Result<Rc<Program>, String>> {
        if let Some(last) = &self.last
            && last.hash == hash
        {
            return Ok(Ok(Rc::clone(last)));
        }
        let found = if let Some(found) = self.programs.get(hash) {
            found.clone()
        } else {
            if self.programs.len() >= if self.with_source { SOURCES_KEPT } else { PROGRAMS_KEPT } {
                self.programs.clear();
            }
            let found = self.read_program(hash)?.map(Rc::new);
            self.programs.insert(hash.to_owned(), found.clone());
            found
        };
        self.last = found.clone().ok();
        Ok(found)
    }

    fn read_program(&self, hash: &str) -> Result<std::result::Result<Program, String>> {
        let Walk { connection, path, .. } = *self.walk;
        let Some(found) = columns::program(connection, path, hash, self.with_source)? else {
            return Ok(Err(format!("its program {hash} is not in the store")));
        };
        if let Some(column) = found.damaged_column {
            return Ok(Err(format!("the column {column} of its program {hash} holds no text")));
        }
        let initial = if self.with_initial { self.initial(hash)? } else { None };
        Ok(Ok(Program { hash: hash.to_owned(), name: found.name, source: found.source, initial }))
    }

    /// The best time of the program without a schedule.
    fn initial(&self, hash: &str) -> Result<Option<f64>> {
        let Walk { connection, path, .. } = *self.walk;
        let key = key::key_of_normal(hash, "");
        let result = columns::unscheduled(connection, path, key.as_str(), hash)?;
        let mut times = Vec::new();
        let is_whole = result.is_some_and(|text| {
            decode(&text, &mut times).is_ok_and(|decoded| decoded.is_legal)
                && times.iter().all(|time| time.is_finite())
        });
        Ok(derive::min(&times).filter(|_| is_whole))
    }

    fn environment(&mut self, id: i64) -> Result<Option<Rc<str>>> {
        if !self.with_environment {
            return Ok(None);
        }
        if let Some(found) = self.environments.get(&id) {
            return Ok(found.clone());
        }
        let found = columns::environment(self.walk.connection, self.walk.path, id)?.map(Rc::from);
        self.environments.insert(id, found.clone());
        Ok(found)
    }
}
