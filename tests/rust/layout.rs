//! The layout shows the architecture, and dependencies point one way.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("readable directory") {
        let path = entry.expect("readable entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn room(name: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name);
    let files = sources(&root);
    assert!(!files.is_empty(), "src/{name} has no files: this test looks at nothing");
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).expect("readable"))).collect()
}

#[test]
fn no_room_uses_one_that_is_built_on_it() {
    for (name, forbidden) in [
        (
            "identity",
            &["crate::lock", "crate::storage", "crate::reads", "crate::store", "crate::python", "rusqlite"][..],
        ),
        (
            "storage",
            &["crate::lock", "crate::commit", "crate::reads", "crate::store", "crate::python", "pyo3"],
        ),
        ("lock", &["crate::commit", "crate::reads", "crate::store", "crate::python", "pyo3"]),
        ("claims", &["crate::store", "crate::python", "pyo3"]),
        ("commit", &["crate::claims", "crate::reads", "crate::store", "crate::python", "pyo3"]),
        ("reads", &["crate::claims", "crate::commit", "crate::store", "crate::python", "pyo3"]),
        ("store", &["crate::python", "pyo3"]),
    ] {
        for (path, text) in room(name) {
            for word in forbidden {
                // crate::storage begins like crate::store.
                let used =
                    text.match_indices(word).any(|(at, _)| !text[at + word.len()..].starts_with("age"));
                assert!(!used, "{} uses {word}", path.display());
            }
        }
    }
}

#[test]
fn sql_is_known_to_the_storage_alone() {
    for name in ["identity", "lock", "commit", "reads", "claims", "store", "python"] {
        for (path, text) in room(name) {
            for statement in ["SELECT ", "INSERT ", "UPDATE ", "DELETE FROM", "PRAGMA "] {
                assert!(!text.contains(statement), "{} holds SQL", path.display());
            }
        }
    }
}
