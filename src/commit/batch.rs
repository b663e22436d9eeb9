//! What is recorded together: rows that are ready to be written, and who asks for them.

use std::sync::Arc;

use super::ids::Client;
use crate::error::Result;
use crate::lock::Tenure;
use crate::storage::applied::BatchId;
use crate::storage::programs::{self, NewProgram};
use crate::storage::records::{self, NewRecord, Recorder};

/// Rows after which a long batch shows that it is alive.
const ROWS_BETWEEN_RENEWALS: usize = 256;

/// Rows to be written in one transaction: all of them, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) id: BatchId,
    pub(crate) recorder: Recorder,
    pub(crate) rows: Vec<Arc<Row>>,
}

/// One record, checked and encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Replace what is there.
    pub(crate) overwrite: bool,
    pub(crate) program: Arc<Program>,
    pub(crate) key: String,
    /// Normal form.
    pub(crate) schedule: String,
    pub(crate) result_json: String,
}

impl Row {
    /// Bytes of text in it, its program not counted.
    pub(crate) fn size(&self) -> usize {
        self.key.len() + self.schedule.len() + self.result_json.len()
    }
}

/// The program of one or more rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) hash: String,
    pub(crate) name: String,
    pub(crate) source: String,
}

impl Batch {
    /// What a `client` that is no thread asks for.
    pub(crate) fn of(client: &Client, recorder: Recorder, rows: Vec<Arc<Row>>) -> Self {
        Self { id: client.next_batch(), recorder, rows }
    }

    /// Bytes of text in it, a program counted once for each row.
    pub(crate) fn size(&self) -> usize {
        self.rows.iter().map(|row| row.program.source.len() + row.size()).sum()
    }

    /// Writes the rows in the running transaction. Answers how many were written.
    pub(crate) fn put(&self, tenure: &Tenure<'_>, path: &std::path::Path) -> Result<usize> {
        let connection = tenure.connection();
        let mut written = 0;
        for chunk in self.rows.chunks(ROWS_BETWEEN_RENEWALS) {
            for row in chunk {
                let Program { hash, name, source } = &*row.program;
                let program = NewProgram { program_hash: hash, program_name: name, source_code: source };
                programs::put(connection, path, &program)?;
                let record = NewRecord {
                    key: &row.key,
                    program_hash: hash,
                    schedule: &row.schedule,
                    result_json: &row.result_json,
                };
                let put = records::put(connection, path, &self.recorder, &record, row.overwrite)?;
                written += usize::from(put);
            }
            if self.rows.len() > ROWS_BETWEEN_RENEWALS {
                tenure.renew()?;
            }
        }
        Ok(written)
    }
}
