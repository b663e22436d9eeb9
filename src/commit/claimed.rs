//! A record that ends the claim under which it was measured: both in one transaction.

use std::path::Path;

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::lock::Owner;
use crate::mutation;
use crate::storage::claims::{self, StoredClaim};

/// Ends the claim `id` on `key` in the running transaction.
///
/// # Errors
///
/// [`Error::ClaimLost`] where another one has the pair: nothing of its record may be written then.
pub(super) fn end(connection: &Connection, path: &Path, key: &str, id: &str) -> Result<()> {
    if claims::remove(connection, path, key, id)? || mutation::off("complete-checks-owner") {
        return Ok(());
    }
    Err(lost(connection, path, key))
}

/// Why a claim on `key` is not in the store any more.
pub(crate) fn lost(connection: &Connection, path: &Path, key: &str) -> Error {
    let why = match claims::get(connection, path, key, "") {
        Err(error) => return error,
        Ok(None) => "its lease was over, and others have ended what they made of it".to_owned(),
        Ok(Some(claim)) => format!("its lease was over, and {} has taken the pair over", owner_of(&claim)),
    };
    Error::ClaimLost { key: key.to_owned(), why }
}

/// Who has made `claim`, for people.
pub(crate) fn owner_of(claim: &StoredClaim) -> String {
    let process = Owner::read(&claim.owner).map(|owner| owner.process).unwrap_or_default();
    format!("{process} (user {})", claim.username)
}
