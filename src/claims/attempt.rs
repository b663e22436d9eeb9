//! A row on its way into the store: after an error it is there or not, and the same attempt, made again, tells.

use std::sync::Arc;

use crate::commit::{self, Batch, Client, Group, Row};
use crate::error::{Error, Result};
use crate::lock::{Interrupt, Place};
use crate::storage::records::Recorder;

/// One row as a batch with a name of its own, by which the store knows whether it has it.
#[derive(Debug)]
pub(super) struct Attempt {
    client: Client,
    batch: Arc<Batch>,
}

impl Attempt {
    pub(super) fn new(recorder: Recorder, row: Row) -> Self {
        let client = Client::idle();
        let batch = Arc::new(Batch::of(&client, recorder, vec![Arc::new(row)]));
        Self { client, batch }
    }

    /// Writes the row, if it is not there from an earlier time. Answers whether it was written, then or now; and the
    /// attempt, where that is not known and it is to be made again.
    ///
    /// # Errors
    ///
    /// [`Error::ClaimLost`]: it was not written and never will be; and those of writing.
    pub(super) fn run(
        self,
        place: &Place,
        group: &Group,
        interrupt: &dyn Interrupt,
    ) -> (Result<bool>, Option<Self>) {
        let written = commit::record_buffered(place, group, interrupt, &self.batch, Vec::new());
        let again = match written {
            Ok(_) | Err(Error::ClaimLost { .. }) => {
                self.client.give_back();
                None
            }
            Err(_) => Some(self),
        };
        (written.map(|written| written > 0), again)
    }
}
