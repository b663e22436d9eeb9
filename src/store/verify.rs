//! Verifying a store: is everything what it was when it was written?

use super::{Store, between};
use crate::error::Result;
use crate::lock::Interrupt;
use crate::storage::guarded;
use crate::storage::verify::{self, Report};

impl Store {
    /// Compares every program with its hash and every record with its key, decodes every result, looks for the program
    /// of every record and has SQLite check its pages. What is wrong is in the report; other clients wait meanwhile.
    pub fn verify(&self, interrupt: &dyn Interrupt) -> Result<Report> {
        self.read_long(interrupt, |snapshot| {
            // What is on the disk counts, not what this process remembers of it.
            guarded::forget_pages(snapshot.connection());
            verify::verify(snapshot.connection(), self.db_path(), &mut || between(snapshot, interrupt))
        })
    }
}
