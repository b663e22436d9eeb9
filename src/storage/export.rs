//! The original's export: programs by name, each with its schedules. Streamed: memory does not grow with the store.

use std::cell::{Cell, RefCell};
use std::io::{BufWriter, Write};
use std::path::Path;

use rusqlite::{Connection, Row};
use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};

use super::programs::{self, Program};
use super::{column, result_json};
use crate::error::{Error, Result};
use crate::measurement::Outcome;

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// One JSON object a line, each with one program.
    JsonLines,
}

impl Format {
    /// From the Python parameter `fmt`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] with the original's message.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "json" => Ok(Self::Json),
            "jsonl" => Ok(Self::JsonLines),
            other => {
                let shown = crate::identity::text::python_repr(other);
                Err(Error::InvalidArgument(format!("fmt must be 'json' or 'jsonl', got {shown}")))
            }
        }
    }
}

/// Writes all of `connection`, which nobody changes meanwhile. Answers the number of damaged records: those that
/// cannot be decoded are written with `null` in both fields, and times that are not finite as `null`. `between` is
/// called before every program and may end the export.
///
/// # Errors
///
/// [`Error::Sqlite`], [`Error::Io`] with `target` as the path, and those of `between`.
pub(crate) fn write(
    connection: &Connection,
    path: &Path,
    out: impl Write,
    target: &Path,
    format: Format,
    between: &dyn Fn() -> Result<()>,
) -> Result<u64> {
    let export = Export { connection, path, between, damaged: Cell::new(0), failure: RefCell::new(None) };
    let mut out = BufWriter::with_capacity(1 << 20, out);
    let written = match format {
        Format::Json => export.write_object(&mut out),
        Format::JsonLines => export.write_lines(&mut out),
    };
    if let Some(failure) = export.failure.into_inner() {
        return Err(failure);
    }
    written.and_then(|()| out.flush()).map_err(Error::io(target, "writing"))?;
    Ok(export.damaged.get())
}

struct Export<'a> {
    connection: &'a Connection,
    path: &'a Path,
    between: &'a dyn Fn() -> Result<()>,
    damaged: Cell<u64>,
    /// A serializer can only fail with its own error type; ours waits here.
    failure: RefCell<Option<Error>>,
}

impl Export<'_> {
    fn write_object(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut serializer = serde_json::Serializer::pretty(&mut *out);
        let mut map = serializer.serialize_map(None)?;
        self.for_each_program(|name, program| map.serialize_entry(name, program))?;
        SerializeMap::end(map)?;
        out.write_all(b"\n")
    }

    fn write_lines(&self, out: &mut impl Write) -> std::io::Result<()> {
        Ok(self.for_each_program(|name, program| {
            let mut serializer = serde_json::Serializer::new(&mut *out);
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(name, program)?;
            SerializeMap::end(map)?;
            out.write_all(b"\n").map_err(serde_json::Error::io)
        })?)
    }

    /// Calls `visit` for every program in the order of name and hash, with the key it is exported under.
    fn for_each_program(
        &self,
        mut visit: impl FnMut(&str, &ProgramWithSchedules<'_>) -> serde_json::Result<()>,
    ) -> serde_json::Result<()> {
        let sql = "SELECT program_hash, program_name, source_code FROM programs ORDER BY program_name, program_hash";
        let mut select = self.sql(self.connection.prepare(sql))?;
        let mut rows = self.sql(select.query([]))?;
        let mut previous: Option<(String, u64)> = None;
        while let Some(row) = self.sql(rows.next())? {
            self.ours((self.between)())?;
            let program = self.sql(Program::from_row(row))?;
            let version = match previous.take() {
                Some((name, version)) if name == program.program_name => version,
                _ => 0,
            };
            let (key, version) = self.export_key(&program.program_name, version)?;
            previous = Some((program.program_name.clone(), version));
            visit(&key, &ProgramWithSchedules { export: self, program })?;
        }
        Ok(())
    }

    /// The name itself where it has one source; else `name_vN`, leaving out every N whose key is itself the name of
    /// a program: the original lets one of the two overwrite the other.
    fn export_key(&self, name: &str, last_version: u64) -> serde_json::Result<(String, u64)> {
        let sources = "SELECT COUNT(*) FROM (SELECT 1 FROM programs WHERE program_name = ?1 LIMIT 2)";
        let count = |name: &str| -> serde_json::Result<u64> {
            let mut select = self.sql(self.connection.prepare_cached(sources))?;
            self.sql(select.query_row([name], |row| row.get(0)))
        };
        if count(name)? < 2 {
            return Ok((name.to_owned(), 0));
        }
        let mut version = last_version + 1;
        loop {
            let key = format!("{name}_v{version}");
            if count(&key)? == 0 {
                return Ok((key, version));
            }
            version += 1;
        }
    }

    fn sql<T>(&self, result: rusqlite::Result<T>) -> serde_json::Result<T> {
        self.ours(result.map_err(Error::sqlite(self.path, "exporting")))
    }

    fn ours<T>(&self, result: Result<T>) -> serde_json::Result<T> {
        result.map_err(|error| {
            let stopped = serde_json::Error::custom(&error);
            self.failure.replace(Some(error));
            stopped
        })
    }
}

struct ProgramWithSchedules<'a> {
    export: &'a Export<'a>,
    program: Program,
}

impl Serialize for ProgramWithSchedules<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Self { export, program } = self;
        let further = export
            .ours(programs::further_names(export.connection, export.path, &program.program_hash))
            .map_err(S::Error::custom)?;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("Tiramisu_cpp", &program.source_code)?;
        map.serialize_entry("schedules_list", &Schedules(self))?;
        map.serialize_entry("program_name", &program.program_name)?;
        if !further.is_empty() {
            map.serialize_entry("further_names", &further)?;
        }
        map.end()
    }
}

struct Schedules<'a>(&'a ProgramWithSchedules<'a>);

impl Serialize for Schedules<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Self(ProgramWithSchedules { export, program }) = self;
        let sql =
            "SELECT schedule, result_json, hostname, username, creation_date, update_date, source_project
                   FROM records WHERE program_hash = ?1 ORDER BY creation_date, rowid";
        let mut select = export.sql(export.connection.prepare_cached(sql)).map_err(S::Error::custom)?;
        let mut rows = export.sql(select.query([&program.program_hash])).map_err(S::Error::custom)?;
        let mut list = serializer.serialize_seq(None)?;
        while let Some(row) = export.sql(rows.next()).map_err(S::Error::custom)? {
            let (schedule, result) = export.sql(schedule_and_result(row)).map_err(S::Error::custom)?;
            let outcome = result.and_then(|result| result_json::decode(&result).ok());
            let finite = outcome
                .as_ref()
                .is_some_and(|outcome| outcome.execution_times.iter().flatten().all(|time| time.is_finite()));
            export.damaged.set(export.damaged.get() + u64::from(!finite));
            list.serialize_element(&Schedule { schedule, outcome })?;
        }
        list.end()
    }
}

/// The result is `None` where a column holds no text.
fn schedule_and_result(row: &Row<'_>) -> rusqlite::Result<(String, Option<String>)> {
    let whole = (0..row.as_ref().column_count()).map(|index| column::is_text(row, index));
    let is_whole = whole.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().all(|is_text| is_text);
    Ok((column::text(row, 0)?, is_whole.then(|| column::text(row, 1)).transpose()?))
}

struct Schedule {
    schedule: String,
    outcome: Option<Outcome>,
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schedule_str", &self.schedule)?;
        map.serialize_entry("is_legal", &self.outcome.as_ref().map(|outcome| outcome.is_legal))?;
        // serde_json writes a float that is not finite as null.
        map.serialize_entry(
            "execution_times",
            &self.outcome.as_ref().and_then(|o| o.execution_times.as_deref()),
        )?;
        // As in the store: only what does not follow from the two.
        if let Some(outcome) = self.outcome.as_ref().filter(|outcome| outcome.status() != outcome.derived()) {
            map.serialize_entry("status", outcome.status().name())?;
        }
        if let Some(details) = self.outcome.as_ref().and_then(|outcome| outcome.details.as_ref()) {
            map.serialize_entry("details", details)?;
        }
        map.end()
    }
}
