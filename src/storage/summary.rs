//! Counts over the whole store. A damaged row is counted, never fatal.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;

use super::tally::Counts;
use super::{meta, programs, result_json};
use crate::error::Result;
use crate::measurement::Status;

/// What `stats()` reports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// All records.
    pub total_records: u64,
    /// Records of legal schedules.
    pub legal_records: u64,
    /// Records of illegal schedules.
    pub illegal_records: u64,
    /// Records by status, in the order of [`Status::ALL`].
    pub statuses: [u64; Status::ALL.len()],
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
    let of = |counted: &dyn Fn(Verdict) -> bool| {
        let numbers = counts.iter().filter(|(kind, _)| counted(kind.verdict)).map(|(_, number)| number);
        u64::try_from(numbers.sum::<i64>()).unwrap_or_default()
    };
    let projects: BTreeSet<_> = counts.keys().map(|kind| kind.source_project.clone()).collect();
    let users: BTreeSet<_> = counts.keys().map(|kind| kind.username.clone()).collect();
    Ok(Summary {
        total_records: of(&|_| true),
        legal_records: of(&|verdict| verdict.is_legal == Some(true)),
        illegal_records: of(&|verdict| verdict.is_legal == Some(false)),
        damaged_records: of(&|verdict| verdict.is_damaged),
        total_programs: programs::count(connection, path)?,
        source_projects: projects.into_iter().collect(),
        users: users.into_iter().collect(),
        statuses: Status::ALL.map(|status| of(&|verdict| verdict.status == Some(status))),
        cpu_model: meta::get(connection, path, "cpu_model")?,
        slurm_cpus: meta::get(connection, path, "slurm_cpus")?,
    })
}

/// The number of a verdict on what cannot be decoded.
const UNREADABLE: i64 = 1000;

/// What can be said of a result at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Verdict {
    /// `None`: it cannot be decoded.
    is_legal: Option<bool>,
    /// `None`: it cannot be decoded.
    status: Option<Status>,
    /// It cannot be decoded, or holds a time that is NaN or infinite.
    is_damaged: bool,
}

impl Verdict {
    /// The verdict on a column's text, if it holds one.
    pub(crate) fn of(text: Option<&str>) -> Self {
        let outcome = text.and_then(|text| result_json::decode(text).ok());
        outcome.map_or(Self { is_legal: None, status: None, is_damaged: true }, |outcome| {
            let status = Some(outcome.status());
            let times = outcome.execution_times.unwrap_or_default();
            let is_damaged = times.iter().any(|time| !time.is_finite());
            Self { is_legal: Some(outcome.is_legal), status, is_damaged }
        })
    }

    /// As a column of the table of counts has it.
    pub(crate) fn number(self) -> i64 {
        let (Some(is_legal), Some(status)) = (self.is_legal, self.status) else { return UNREADABLE };
        let place = Status::ALL.iter().position(|other| *other == status).unwrap_or_default();
        4 * i64::try_from(place).unwrap_or_default() + 2 * i64::from(self.is_damaged) + i64::from(is_legal)
    }

    /// What [`Self::number`] has written.
    pub(crate) fn from_number(number: i64) -> Self {
        let status = usize::try_from(number / 4).ok().and_then(|place| Status::ALL.get(place).copied());
        let is_legal = status.map(|_| number % 2 == 1);
        Self { is_legal, status, is_damaged: status.is_none() || number % 4 >= 2 }
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
