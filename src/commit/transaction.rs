//! One transaction of a tenure.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, Result};
use crate::lock::{Place, Tenure};
use crate::mutation;
use crate::storage::{connection, guarded, schema, tally};

/// Runs `work` in one transaction and commits what it changed. On any error it is rolled back.
pub(super) fn in_transaction<T>(
    place: &Place,
    tenure: &Tenure<'_>,
    work: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    let (path, connection) = (place.db_path.as_path(), tenure.connection());
    if mutation::off("one-transaction") {
        return work(connection);
    }
    let failed = |action| Error::sqlite(path, action);
    if !tenure.has_token() {
        connection::prepare_for_writing(connection, path)?;
    }
    let transaction = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
        .map_err(failed("beginning a transaction"))?;
    schema::create_additions(connection, path)?;
    let counted = tally::right_under(connection, path)?;
    if counted.is_none() {
        tally::distrust(connection, path)?;
    }
    let before = connection.total_changes();
    let value = work(connection)?;
    if connection.total_changes() == before {
        // SQLite looks whether it has the right file when it begins to write, which it did not.
        if tenure.has_token() && guarded::has_moved(connection) {
            return Err(Error::LockLost { path: place.lock_path() });
        }
        // Nothing to commit, and nothing to remember: asked again, the work answers the same.
        return Ok(value);
    }
    if let Some(before) = counted {
        tally::vouch(connection, path, before)?;
    }
    tenure.confirm()?;
    transaction.commit().map_err(|error| {
        if connection::may_have_committed(&error) && !mutation::off("lost-replies") {
            // As after a lost lock: run again, and the batches themselves tell whether they are there.
            return Error::LockLost { path: place.lock_path() };
        }
        failed("committing")(error)
    })?;
    Ok(value)
}

/// Was a transaction of this `tenure` refused by the disk, which may take a smaller one? A tenure that was lost is refused
/// as well: that one is run again, with everything.
pub(super) fn is_refused_by_disk(error: &Error, tenure: &Tenure<'_>) -> bool {
    let Error::Sqlite { source, .. } = error else { return false };
    connection::is_refused_by_disk(source) && tenure.renew().is_ok()
}
