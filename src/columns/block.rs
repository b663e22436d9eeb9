//! Rows copied out of the database: one thread reads them, any other may decode them.

use std::cell::{OnceCell, RefCell};
use std::ops::ControlFlow;

use super::decode::decode;
use super::field::Field;
use super::filter::Filter;
use super::record::{Belongs, Content, Program, Record};
use super::tokens::Tokens;
use crate::clock;
use crate::error::Result;
use crate::identity::key;
use crate::mutation;
use crate::storage::columns::Stored;

/// The texts of a row, all that are stored but its program's hash.
const TEXTS: usize = 8;

/// So many bytes make a block full, however few its rows are: a row may hold a text of any length.
const MOST_BYTES: usize = 4 << 20;

/// Rows in their order, and what they say once they are decoded.
#[derive(Default)]
pub(super) struct Block {
    texts: String,
    rows: Vec<Row>,
    times: Vec<f64>,
}

struct Row {
    rowid: i64,
    /// Where its first text begins, and where each ends.
    start: usize,
    ends: [usize; TEXTS],
    state: State,
}

enum State {
    /// Not decoded yet.
    Read(Belongs),
    /// Decoded, and the filter lets it pass.
    Wanted(Belongs, Content),
    Unwanted,
    /// It cannot be told truly, and why.
    Damaged(String),
}

/// What a thread needs to decode blocks, and to look at what is in them.
pub(super) struct Decoder<'a> {
    filter: &'a Filter,
    /// What will be asked of those that it lets pass.
    fields: &'a [Field],
    tokens: RefCell<Tokens>,
    scratch: RefCell<Vec<f64>>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(filter: &'a Filter, fields: &'a [Field]) -> Self {
        Self { filter, fields, tokens: RefCell::default(), scratch: RefCell::default() }
    }
}

impl Block {
    /// An empty block with room for as much as this one holds.
    pub(super) fn another(&self) -> Self {
        Self {
            texts: String::with_capacity(self.texts.len()),
            rows: Vec::with_capacity(self.rows.len()),
            times: Vec::new(),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn is_full(&self, rows: usize) -> bool {
        self.rows.len() >= rows || self.texts.len() >= MOST_BYTES
    }

    /// Adds a row, or the reason why it cannot be told truly.
    pub(super) fn push(&mut self, stored: &Stored<'_>, belongs: std::result::Result<Belongs, String>) {
        let texts = [
            stored.key,
            stored.schedule,
            stored.result_json,
            stored.hostname,
            stored.username,
            stored.creation_date,
            stored.update_date,
            stored.source_project,
        ];
        self.push_texts(stored.rowid, texts, belongs.map_or_else(State::Damaged, State::Read));
    }

    /// Adds a row of which nothing but the key can be told.
    pub(super) fn push_damaged(&mut self, rowid: i64, key: &str, cause: String) {
        let mut texts = [""; TEXTS];
        texts[0] = key;
        self.push_texts(rowid, texts, State::Damaged(cause));
    }

    fn push_texts(&mut self, rowid: i64, texts: [&str; TEXTS], state: State) {
        let start = self.texts.len();
        let ends = texts.map(|text| {
            self.texts.push_str(text);
            self.texts.len()
        });
        self.rows.push(Row { rowid, start, ends, state });
    }

    /// Decodes what has not been decoded yet.
    pub(super) fn decode(&mut self, decoder: &Decoder<'_>) {
        for row in &mut self.rows {
            row.state = match std::mem::replace(&mut row.state, State::Unwanted) {
                State::Read(belongs) => row.decoded(&self.texts, &mut self.times, belongs, decoder),
                other => other,
            };
        }
    }

    /// Calls `visit` for every row that is wanted, and `damaged` with key and cause of those that cannot be told, until
    /// one of the former breaks.
    pub(super) fn each(
        &self,
        decoder: &Decoder<'_>,
        mut visit: impl FnMut(&Record<'_>) -> Result<ControlFlow<()>>,
        mut damaged: impl FnMut(&str, &str),
    ) -> Result<ControlFlow<()>> {
        for row in &self.rows {
            match &row.state {
                State::Wanted(belongs, content) => {
                    let stored = row.stored(&self.texts, &belongs.program);
                    let record = record(stored, belongs, content, &self.times, decoder);
                    if visit(&record)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                State::Damaged(cause) => damaged(&self.texts[row.start..row.ends[0]], cause),
                State::Read(_) | State::Unwanted => {}
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Row {
    fn stored<'a>(&self, texts: &'a str, program: &'a Program) -> Stored<'a> {
        let mut start = self.start;
        let [key, schedule, result_json, hostname, username, creation_date, update_date, source_project] =
            self.ends.map(|end| &texts[std::mem::replace(&mut start, end)..end]);
        Stored {
            rowid: self.rowid,
            key,
            program_hash: &program.hash,
            schedule,
            result_json,
            hostname,
            username,
            creation_date,
            update_date,
            source_project,
        }
    }

    fn decoded(&self, texts: &str, times: &mut Vec<f64>, belongs: Belongs, decoder: &Decoder<'_>) -> State {
        let stored = self.stored(texts, &belongs.program);
        let content = match content(&stored, times) {
            Ok(content) => content,
            Err(cause) => return State::Damaged(cause),
        };
        let record = record(stored, &belongs, &content, times, decoder);
        if !decoder.filter.lets_pass(|field| record.value(field)) {
            times.truncate(content.times.start);
            return State::Unwanted;
        }
        // A changed schedule would pass its times off as another one's. Only of rows that are shown: it is a hash each.
        if !names(&stored) && !mutation::off("search-checks-keys") {
            let cause = "its program and schedule have another key: one of them was changed";
            return State::Damaged(cause.to_owned());
        }
        for field in decoder.fields {
            // It is kept: the thread that reads has enough to do.
            record.value(*field);
        }
        State::Wanted(belongs, content)
    }
}

/// The error says why the row is damaged.
fn content(stored: &Stored<'_>, times: &mut Vec<f64>) -> std::result::Result<Content, String> {
    let before = times.len();
    let decoded = decode(stored.result_json, times)?;
    if let Some(index) = times[before..].iter().position(|time| !time.is_finite()) {
        return Err(format!("execution_times[{index}] is {}", times[before + index]));
    }
    let date = |name: &str, text: &str| {
        clock::unix_microseconds(text).ok_or_else(|| format!("its {name} is {text:?}, no date in ISO 8601"))
    };
    let created = date("creation_date", stored.creation_date)?;
    let is_as_created = stored.update_date == stored.creation_date;
    let updated = if is_as_created { created } else { date("update_date", stored.update_date)? };
    Ok(Content {
        decoded,
        times: before..times.len(),
        created,
        updated,
        min: OnceCell::new(),
        median: OnceCell::new(),
        std: OnceCell::new(),
        transformations: OnceCell::new(),
    })
}

fn record<'a>(
    stored: Stored<'a>,
    belongs: &'a Belongs,
    content: &'a Content,
    times: &'a [f64],
    decoder: &'a Decoder<'_>,
) -> Record<'a> {
    let times = &times[content.times.clone()];
    Record { stored, belongs, content, times, tokens: &decoder.tokens, scratch: &decoder.scratch }
}

/// Is the row's key that of its program and schedule?
fn names(stored: &Stored<'_>) -> bool {
    key::key_of_normal(stored.program_hash, stored.schedule).as_str() == stored.key
        || key::make_key(stored.program_hash, stored.schedule).as_str() == stored.key
}
