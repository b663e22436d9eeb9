//! Counts over the whole store. A damaged row is counted, never fatal.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;

use super::tally::Counts;
use super::{meta, programs, result_json};
use crate::error::Result;

/// What `stats()` reports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// All records.
    pub total_records: u64,
    /// Records of legal schedules.
    pub legal_records: u64,
    /// Records of illegal schedules.
    pub illegal_records: u64,
    /// Records whose result cannot be decoded, or holds a time that is NaN or infinite.
    pub damaged_records: u64,
    /// All programs.
    pub total_programs: u64,
    /// Projects that recorded, in order.
    pub source_projects: Vec<String>,
    /// Users who recorded, in order.
    pub users: Vec<String>,
    /// CPU model of the store.
    pub cpu_model: Option<String>,
    /// CPUs per Slurm task of the store.
    pub slurm_cpus: Option<String>,
}

/// Sums `counts` up, which are those of the store that `connection` reads.
///
/// # Errors
///
/// [`Error::Sqlite`](crate::Error::Sqlite).
pub(crate) fn summarize(connection: &Connection, path: &Path, counts: &Counts) -> Result<Summary> {
    let of = |counted: fn(Verdict) -> bool| {
        counts
            .iter()
            .filter(|(kind, _)| counted(kind.verdict))
            .map(|(_, records)| u64::try_from(*records).unwrap_or_default())
            .sum()
    };
    let projects: BTreeSet<_> = counts.keys().map(|kind| kind.source_project.clone()).collect();
    let users: BTreeSet<_> = counts.keys().map(|kind| kind.username.clone()).collect();
    Ok(Summary {
        total_records: of(|_| true),
        legal_records: of(|verdict| verdict.is_legal == Some(true)),
        illegal_records: of(|verdict| verdict.is_legal == Some(false)),
        damaged_records: of(|verdict| verdict.is_damaged),
        total_programs: programs::count(connection, path)?,
        source_projects: projects.into_iter().collect(),
        users: users.into_iter().collect(),
        cpu_model: meta::get(connection, path, "cpu_model")?,
        slurm_cpus: meta::get(connection, path, "slurm_cpus")?,
    })
}

/// What can be said of a result at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Verdict {
    /// `None`: it cannot be decoded.
    is_legal: Option<bool>,
    /// It cannot be decoded, or holds a time that is NaN or infinite.
    is_damaged: bool,
}

impl Verdict {
    /// The verdict on a column's text, if it holds one.
    pub(crate) fn of(text: Option<&str>) -> Self {
        let outcome = text.and_then(|text| result_json::decode(text).ok());
        outcome.map_or(Self { is_legal: None, is_damaged: true }, |outcome| {
            let times = outcome.execution_times.unwrap_or_default();
            Self { is_legal: Some(outcome.is_legal), is_damaged: times.iter().any(|time| !time.is_finite()) }
        })
    }

    /// As a column of the table of counts has it.
    pub(crate) fn number(self) -> i64 {
        let damaged = if self.is_damaged { 2 } else { 0 };
        self.is_legal.map_or(4, |is_legal| damaged + i64::from(is_legal))
    }

    /// What [`Self::number`] has written.
    pub(crate) fn from_number(number: i64) -> Self {
        let is_legal = match number {
            0 | 2 => Some(false),
            1 | 3 => Some(true),
            _ => None,
        };
        Self { is_legal, is_damaged: number >= 2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_survives_its_number() {
        let texts = [
            r#"{"is_legal":true,"execution_times":[1.0]}"#,
            r#"{"is_legal":false,"execution_times":null}"#,
            r#"{"is_legal":true,"execution_times":[NaN]}"#,
            r#"{"is_legal":false,"execution_times":[1e400]}"#,
            "{",
        ];
        let verdicts: BTreeSet<_> = texts.iter().map(|text| Verdict::of(Some(text))).collect();
        assert_eq!(verdicts.len(), texts.len(), "each is a verdict of its own");
        for verdict in verdicts {
            assert_eq!(Verdict::from_number(verdict.number()), verdict);
        }
    }
}
