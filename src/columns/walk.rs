//! Going through records: each is decoded and handed to a visitor, if the filter lets it pass.

use std::collections::HashMap;
use std::mem;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rusqlite::Connection;

use super::block::{Block, Decoder};
use super::crew::Crew;
use super::decode::decode;
use super::derive;
use super::field::Field;
use super::filter::Filter;
use super::record::{Belongs, Program, Record};
use crate::error::Result;
use crate::identity::key;
use crate::storage::columns::{self, NoText, Rows, Stored};
use crate::storage::result_json;

/// After so many rows the caller may stop, or show waiters that it is alive.
const ROWS_BETWEEN: u64 = 4096;

/// Rows of the first block, which is small so that the first few records come at once, and of the largest.
const FIRST_ROWS: usize = 64;
const MOST_ROWS: usize = 4096;

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
        thread::scope(|scope| {
            let mut crew = Crew::new(scope, self.filter, self.fields);
            let own = Decoder::new(self.filter, self.fields);
            let mut walked = Walked::default();
            let mut show = |block: &Block, walked: &mut Walked| {
                block.each(&own, &mut visit, |key, cause| {
                    walked.damaged.push(Damaged { key: key.to_owned(), cause: cause.to_owned() });
                })
            };
            let mut known = Known::of(self);
            let (mut block, mut size, mut end) = (Block::default(), FIRST_ROWS, ControlFlow::Continue(()));
            columns::each(self.connection, self.path, rows, |row| {
                walked.rows += 1;
                if walked.rows.is_multiple_of(ROWS_BETWEEN) {
                    (self.between)()?;
                }
                walked.last = Some(known.add(&row, &mut block)?);
                if block.is_full(size) {
                    let next = block.another();
                    if let Some(done) = crew.exchange(mem::replace(&mut block, next), &own) {
                        end = show(&done, &mut walked)?;
                    }
                    size = MOST_ROWS.min(2 * size);
                }
                Ok(end)
            })?;
            let mut last = crew.exchange(block, &own).or_else(|| crew.take());
            while let Some(done) = last.filter(|_| end.is_continue()) {
                end = show(&done, &mut walked)?;
                last = crew.take();
            }
            Ok(walked)
        })
    }
}

/// What was read of other tables: it is the same for many records.
struct Known<'a> {
    walk: &'a Walk<'a>,
    with_source: bool,
    with_initial: bool,
    with_environment: bool,
    programs: HashMap<String, std::result::Result<Arc<Program>, String>>,
    /// Rows that follow each other are mostly of one program.
    last: Option<Arc<Program>>,
    environments: HashMap<i64, Option<Arc<str>>>,
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
        }
    }

    /// Adds a row to a block, with what belongs to it; the row's number.
    fn add(&mut self, row: &std::result::Result<Stored<'_>, NoText>, block: &mut Block) -> Result<i64> {
        match row {
            Ok(stored) => {
                let environment = self.environment(stored.result_json)?;
                let program = self.program(stored.program_hash)?;
                block.push(stored, program.map(|program| Belongs { program, environment }));
                Ok(stored.rowid)
            }
            Err(no_text) => {
                let cause = format!("its column {} holds no text", no_text.column);
                block.push_damaged(no_text.rowid, &no_text.key, cause);
                Ok(no_text.rowid)
            }
        }
    }

    fn program(&mut self, hash: &str) -> Result<std::result::Result<Arc<Program>, String>> {
        if let Some(last) = &self.last
            && last.hash == hash
        {
            return Ok(Ok(Arc::clone(last)));
        }
        let found = if let Some(found) = self.programs.get(hash) {
            found.clone()
        } else {
            if self.programs.len() >= if self.with_source { SOURCES_KEPT } else { PROGRAMS_KEPT } {
                self.programs.clear();
            }
            let found = self.read_program(hash)?.map(Arc::new);
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

    fn environment(&mut self, result_json: &str) -> Result<Option<Arc<str>>> {
        let named = self.with_environment.then(|| result_json::environment(result_json)).flatten();
        let Some(id) = named else { return Ok(None) };
        if let Some(found) = self.environments.get(&id) {
            return Ok(found.clone());
        }
        let found = columns::environment(self.walk.connection, self.walk.path, id)?.map(Arc::from);
        self.environments.insert(id, found.clone());
        Ok(found)
    }
}
