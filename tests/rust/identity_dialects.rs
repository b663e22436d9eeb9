//! Schedule strings found in the wild are recognised as what they are.
//!
//! The strings are not part of the repository: `TIRASTORE_REAL_SCHEDULES` names the file, or it lies beside
//! the repository in `shared/data`.

#![expect(clippy::print_stdout, reason = "a skipped test says why")]

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use tirastore::identity::dialect::{Dialect, dialect_of};

#[test]
fn real_strings_are_recognised() {
    let path = env::var_os("TIRASTORE_REAL_SCHEDULES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/real_schedules.tsv"),
        PathBuf::from,
    );
    let Ok(table) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not there; set TIRASTORE_REAL_SCHEDULES", path.display());
        return;
    };
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for written in table.lines().skip(1).filter(|line| !line.is_empty()) {
        match dialect_of(written) {
            None | Some(Dialect::Tiralib) => panic!("{written:?} is of none of the other dialects"),
            Some(dialect) => *seen.entry(dialect.name()).or_default() += 1,
        }
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert!(seen.values().sum::<usize>() > 1000, "{seen:?}");
}
