//! Every row of a table, in the order of its rowids, past those that cannot be read.

use rusqlite::{Connection, OptionalExtension, Row};

use super::{Finding, Kind, unreadable};
use crate::error::Result;
use crate::mutation;

/// Work between two calls of `between`: so many rows, a row counting once more for each 4 KB of text.
const ROWS_BETWEEN: usize = 4096;
const BYTES_PER_ROW: usize = 4096;

/// A table with rowids.
pub(super) struct Table {
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    /// Its columns; the first one names the row.
    pub(super) columns: &'static [&'static str],
}

/// Calls `visit` for every row that can be read, with the rowid as column 0 and the columns from 1 on; `visit` answers
/// how many bytes it looked at. Answers the number of rows.
///
/// # Errors
///
/// Those of `between`.
pub(super) fn each_row(
    connection: &Connection,
    table: &Table,
    findings: &mut Vec<Finding>,
    between: &mut dyn FnMut() -> Result<()>,
    mut visit: impl FnMut(&Row<'_>, &mut Vec<Finding>) -> rusqlite::Result<usize>,
) -> Result<u64> {
    let mut scan = Scan { connection, table, next: Some(i64::MIN), rows: 0, work: 0 };
    while let Some(start) = scan.next {
        between()?;
        match scan.run(start, findings, between, &mut visit)? {
            Ok(()) => break,
            Err(error) => scan.step_over(&error, findings),
        }
        if mutation::off("verify-goes-on") {
            break;
        }
    }
    Ok(scan.rows)
}

struct Scan<'a> {
    connection: &'a Connection,
    table: &'a Table,
    /// The smallest rowid that was not seen; `None` behind the last possible one. It only grows, whatever the order in
    /// which a damaged table holds its rows: the scan ends.
    next: Option<i64>,
    rows: u64,
    work: usize,
}

impl Scan<'_> {
    /// Visits rows from `start` on. The inner error is SQLite's, behind the last row that could be read.
    fn run(
        &mut self,
        start: i64,
        findings: &mut Vec<Finding>,
        between: &mut dyn FnMut() -> Result<()>,
        visit: &mut impl FnMut(&Row<'_>, &mut Vec<Finding>) -> rusqlite::Result<usize>,
    ) -> Result<rusqlite::Result<()>> {
        // NOT INDEXED: rows as the table holds them; that the indexes hold the same is another check.
        let Table { name, columns, .. } = self.table;
        let columns = columns.join(", ");
        let sql = format!("SELECT rowid, {columns} FROM {name} NOT INDEXED WHERE rowid >= ?1 ORDER BY rowid");
        let mut select = match self.connection.prepare(&sql) {
            Ok(select) => select,
            Err(error) => return Ok(Err(error)),
        };
        let mut rows = match select.query([start]) {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            let visited = match rows.next() {
                Ok(None) => return Ok(Ok(())),
                Ok(Some(row)) => row.get(0).and_then(|rowid| Ok((rowid, visit(row, findings)?))),
                Err(error) => Err(error),
            };
            let (rowid, bytes) = match visited {
                Ok(visited) => visited,
                Err(error) => return Ok(Err(error)),
            };
            self.saw(rowid);
            self.rows += 1;
            self.work += 1 + bytes / BYTES_PER_ROW;
            if self.work >= ROWS_BETWEEN {
                self.work = 0;
                between()?;
            }
        }
    }

    fn saw(&mut self, rowid: i64) {
        self.next = self.next.max(Some(rowid)).and_then(|last| last.checked_add(1));
    }

    /// Reports what could not be read, and finds where to go on.
    fn step_over(&mut self, error: &rusqlite::Error, findings: &mut Vec<Finding>) {
        let Some(start) = self.next else { return };
        match self.first_from(start) {
            // The row is there, but not all of it.
            Ok(Some(rowid)) => {
                findings.push(unreadable(self.table.kind, self.name_of(rowid), error));
                self.next = Some(start);
                self.saw(rowid);
            }
            // All rows were read; it is the way back up in the tree that is broken.
            Ok(None) => self.skip(None, error, findings),
            Err(_) => self.skip(self.readable_after(start), error, findings),
        }
    }

    /// Goes on at `end`, if there is one.
    fn skip(&mut self, end: Option<i64>, error: &rusqlite::Error, findings: &mut Vec<Finding>) {
        let after =
            self.next.filter(|&start| start > i64::MIN).map(|start| format!(" behind row {}", start - 1));
        let before = end.map(|end| format!(" before row {end}"));
        let cause = format!(
            "what the table {} holds{}{} cannot be read: {error}",
            self.table.name,
            after.unwrap_or_default(),
            before.unwrap_or_default()
        );
        findings.push(Finding { kind: Kind::Database, key: None, cause });
        self.next = end;
    }

    /// The first rowid that is not less than `start`.
    fn first_from(&self, start: i64) -> rusqlite::Result<Option<i64>> {
        let name = self.table.name;
        let sql = format!("SELECT rowid FROM {name} NOT INDEXED WHERE rowid >= ?1 ORDER BY rowid LIMIT 1");
        self.connection.prepare_cached(&sql)?.query_row([start], |row| row.get(0)).optional()
    }

    /// The first column is in the row's own page even where the rest of a long row is lost.
    fn name_of(&self, rowid: i64) -> Option<String> {
        let Table { name, columns, .. } = self.table;
        let sql = format!("SELECT {} FROM {name} NOT INDEXED WHERE rowid = ?1", columns[0]);
        let mut select = self.connection.prepare(&sql).ok()?;
        select.query_row([rowid], |row| super::super::column::text(row, 0)).ok()
    }

    /// A rowid behind `start`, where nothing can be read, from which on something can: past the broken page, by steps
    /// that double and then by halving the last one.
    fn readable_after(&self, start: i64) -> Option<i64> {
        let is_readable = |rowid| self.first_from(rowid).is_ok();
        // SQLite numbers rows from 1: doubling from far below would step over all of them.
        let start = start.max(0);
        let (mut bad, mut step) = (start, 1_u64);
        let mut good = loop {
            let candidate = start.saturating_add_unsigned(step);
            if is_readable(candidate) {
                break candidate;
            }
            if candidate == i64::MAX {
                return None;
            }
            bad = candidate;
            step = step.saturating_mul(2);
        };
        while good.abs_diff(bad) > 1 {
            let middle = bad.saturating_add_unsigned(good.abs_diff(bad) / 2);
            *(if is_readable(middle) { &mut good } else { &mut bad }) = middle;
        }
        Some(good)
    }
}
