//! Records as columns: searches, scans, and the best of each program.

use super::{Store, between};
use crate::columns::{self, Best, Field, Filter, Found, Query, Scanned, Stat};
use crate::error::Result;
use crate::lock::Interrupt;
use crate::reads::Snapshot;
use crate::storage::programs;

impl Store {
    /// The records that `query` asks for, all from one state of the store.
    pub fn search(&self, query: &Query, interrupt: &dyn Interrupt) -> Result<Found> {
        let work = |snapshot: &Snapshot<'_>| {
            columns::search(snapshot.connection(), self.db_path(), query, &|| between(snapshot, interrupt))
        };
        if query.is_narrow() { self.read(interrupt, work) } else { self.read_long(interrupt, work) }
    }

    /// A part of a scan: what `query` asks for of `rows` rows behind `from`. Each part is of one state of the store,
    /// and between them nobody waits for this one.
    pub fn scan(
        &self,
        query: &Query,
        from: Option<i64>,
        rows: usize,
        interrupt: &dyn Interrupt,
    ) -> Result<Scanned> {
        let part = (from.unwrap_or(i64::MIN), rows);
        self.read(interrupt, |snapshot| {
            columns::scan(snapshot.connection(), self.db_path(), query, part, &|| {
                between(snapshot, interrupt)
            })
        })
    }

    /// The `count` fastest records of each program, or of those that were recorded under the name `program`.
    pub fn best(
        &self,
        program: Option<&str>,
        count: usize,
        stat: Stat,
        interrupt: &dyn Interrupt,
    ) -> Result<Found> {
        let work = |snapshot: &Snapshot<'_>| {
            let connection = snapshot.connection();
            let named =
                program.map(|name| programs::by_name(connection, self.db_path(), name)).transpose()?;
            let programs = named.map(|named| named.into_iter().map(|program| program.program_hash).collect());
            let best = Best { programs, count, stat, columns: Field::default_columns() };
            best.of(connection, self.db_path(), &|| between(snapshot, interrupt))
        };
        if program.is_some() { self.read(interrupt, work) } else { self.read_long(interrupt, work) }
    }

    /// Every program with what was measured of it.
    pub fn program_table(&self, interrupt: &dyn Interrupt) -> Result<Found> {
        self.read_long(interrupt, |snapshot| {
            columns::programs(snapshot.connection(), self.db_path(), &|| between(snapshot, interrupt))
        })
    }

    /// How a search with `filter` finds its records.
    pub fn explain(&self, filter: &Filter, interrupt: &dyn Interrupt) -> Result<String> {
        self.read(interrupt, |snapshot| columns::explain(snapshot.connection(), self.db_path(), filter))
    }
}
