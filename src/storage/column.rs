//! Columns of rows that anybody may have written: SQLite holds bytes or numbers where a table says TEXT.

use rusqlite::types::ValueRef;
use rusqlite::{Result, Row};

/// The text in column `index`; what is none is shown as far as it can be.
pub(super) fn text(row: &Row<'_>, index: usize) -> Result<String> {
    read(row, index).map(|(text, _)| text)
}

/// The same, and whether the column holds text in UTF-8.
pub(super) fn read(row: &Row<'_>, index: usize) -> Result<(String, bool)> {
    let value = row.get_ref(index)?;
    let shown = match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => return Ok((text.to_owned(), matches!(value, ValueRef::Text(_)))),
            Err(_) => String::from_utf8_lossy(bytes).into_owned(),
        },
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
    };
    Ok((shown, false))
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
