//! Columns of rows that anybody may have written: SQLite holds bytes or numbers where a table says TEXT.

use rusqlite::types::ValueRef;
use rusqlite::{Result, Row};

/// The text in column `index`; what is none is shown as far as it can be.
pub(super) fn text(row: &Row<'_>, index: usize) -> Result<String> {
    Ok(match row.get_ref(index)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
    })
}

/// Does column `index` hold text in UTF-8?
pub(super) fn is_text(row: &Row<'_>, index: usize) -> Result<bool> {
    Ok(matches!(row.get_ref(index)?, ValueRef::Text(bytes) if std::str::from_utf8(bytes).is_ok()))
}

/// The first column, counted from `from`, that does not hold text in UTF-8.
pub(super) fn first_without_text(row: &Row<'_>, from: usize) -> Result<Option<usize>> {
    for index in from..row.as_ref().column_count() {
        if !is_text(row, index)? {
            return Ok(Some(index - from));
        }
    }
    Ok(None)
}
