//! Where the lock of a database stands. The original's rule, byte for byte: both must meet at one name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Lock path of the database at `db_path`: its last suffix replaced by `.db.lock`, as Python's
/// `Path.with_suffix` does it. `a.db` and `a.sqlite` share one lock; `a` has `a.db.lock`.
///
/// `db_path` must have its symbolic links resolved, so that every path to one file gives one lock.
#[must_use]
pub fn lock_path(db_path: &Path) -> PathBuf {
    let name = db_path.file_name().map(OsStr::as_bytes).unwrap_or_default();
    let stem = match name.iter().rposition(|&byte| byte == b'.') {
        // A leading dot begins a hidden name and a trailing one ends a name: neither begins a suffix.
        Some(dot) if dot > 0 && dot + 1 < name.len() => &name[..dot],
        _ => name,
    };
    let mut lock_name = stem.to_vec();
    lock_name.extend_from_slice(b".db.lock");
    db_path.with_file_name(OsStr::from_bytes(&lock_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_stands_where_the_original_puts_it() {
        // (database, lock): made with Path(db).with_suffix(".db.lock") of Python 3.11.
        for (db, lock) in [
            ("/s/store.db", "/s/store.db.lock"),
            ("/s/store.sqlite", "/s/store.db.lock"),
            ("/s/store", "/s/store.db.lock"),
            ("/s/a.b.c", "/s/a.b.db.lock"),
            ("/s/.hidden", "/s/.hidden.db.lock"),
            ("/s/.hidden.db", "/s/.hidden.db.lock"),
            ("/s/dot.", "/s/dot..db.lock"),
        ] {
            assert_eq!(lock_path(Path::new(db)), Path::new(lock), "{db}");
        }
    }
}
