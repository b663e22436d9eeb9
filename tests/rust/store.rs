//! The store without Python: what is recorded is found, listed, counted, exported and copied.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use tirastore::identity::dialect::Dialect;
use tirastore::identity::{key, program};
use tirastore::lock::Uninterrupted;
use tirastore::measurement::{Measurement, Outcome};
use tirastore::storage::export::Format;
use tirastore::storage::records::{NewRecord, Page};
use tirastore::storage::sharing::Sharing;
use tirastore::store::Options;
use tirastore::{Error, Store};

fn options(directory: &Path) -> Options {
    Options {
        cpu_model: Some("TestCPU".to_owned()),
        slurm_cpus: Some("4".to_owned()),
        ..Options::new(directory.join("s.db"))
    }
}

fn open(options: Options) -> Store {
    Store::open(options, &Uninterrupted).expect("opened")
}

fn measurement(name: &str, source: &str, schedule: &str, times: Option<&[f64]>) -> Measurement {
    Measurement {
        program_name: name.to_owned(),
        program_source_code: source.to_owned(),
        schedule: schedule.to_owned(),
        outcome: Outcome::of(times.is_some(), times.map(<[f64]>::to_vec)),
    }
}

const P: &str = "P(L0,comps=['c'])";
const R: &str = "R(L0,comps=['c'])";

#[test]
fn what_was_recorded_is_found_in_every_spelling() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = open(options(directory.path()));
    let first = measurement("p", "void p() {}", P, Some(&[0.25, 0.5]));
    assert!(store.record(&first, false, &Uninterrupted).expect("recorded"));
    assert!(!store.record(&first, false, &Uninterrupted).expect("there already"));
    let found = store.lookup("void  p( ) { } // same", "P(L0, comps=[\"c\"])", &Uninterrupted).expect("read");
    assert_eq!(found.expect("found").outcome, first.outcome);
    assert!(store.lookup("void p() {}", R, &Uninterrupted).expect("read").is_none());
    let pairs = [("void p() {}", R), ("void p() {}", P)];
    assert_eq!(store.contains_many(&pairs, &Uninterrupted).expect("read"), [false, true]);
    let rows = store.lookup_many(&pairs, &Uninterrupted).expect("read");
    assert_eq!(rows.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
    assert!(store.contains("void p() {}", P, &Uninterrupted).expect("read"));
}

#[test]
fn a_batch_is_checked_before_any_of_it_is_written() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = open(options(directory.path()));
    let good = measurement("p", "void p() {}", P, Some(&[1.0]));
    let bad = measurement("p", "void p() {}", "X(L0)", None);
    let error =
        store.record_batch(&[good.clone(), bad], "items", false, &Uninterrupted).expect_err("refused");
    assert!(
        error.to_string().starts_with("items[1]: Invalid schedule string: Unknown transformation"),
        "{error}"
    );
    assert_eq!(store.program_count(&Uninterrupted).expect("counted"), 0);
    let other = measurement("q", "void q() {}", P, None);
    assert_eq!(
        store.record_batch(&[good.clone(), other, good], "items", false, &Uninterrupted).expect("recorded"),
        2
    );
    assert_eq!(store.glance(std::time::Duration::from_secs(5), &Uninterrupted).expect("read"), Some((2, 2)));
}

#[test]
fn other_dialects_are_recorded_only_where_the_store_was_opened_for_them() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let theirs = measurement("p", "void p() {}", "{comp01}:P(L1)U(L3,64)", Some(&[1.0]));
    let error = open(options(directory.path())).record(&theirs, false, &Uninterrupted).expect_err("refused");
    assert!(error.to_string().contains("\"percomp\""), "{error}");
    let both =
        Options { dialects: vec![Dialect::Tiralib, Dialect::PerComputation], ..options(directory.path()) };
    let store = open(both);
    assert!(store.record(&theirs, false, &Uninterrupted).expect("recorded"));
    let found = store.lookup("void p() {}", &theirs.schedule, &Uninterrupted).expect("read").expect("found");
    assert_eq!(found.record.schedule, theirs.schedule);
}

#[test]
fn records_are_listed_put_and_deleted_by_key() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = open(options(directory.path()));
    for schedule in ["", P, R] {
        store
            .record(&measurement("p", "void p() {}", schedule, Some(&[1.0])), false, &Uninterrupted)
            .expect("recorded");
    }
    let keys = store.keys(Page::default(), &Uninterrupted).expect("listed");
    let hash = program::hash("void p() {}");
    assert_eq!(keys, ["", P, R].map(|schedule| key::make_key(hash.as_str(), schedule).as_str().to_owned()));
    let page = Page { limit: 5, offset: 0, after: Some(&keys[0]) };
    assert_eq!(store.keys(page, &Uninterrupted).expect("listed"), keys[1..]);
    assert!(store.delete(&keys[0], &Uninterrupted).expect("deleted"));
    assert!(!store.contains_key(&keys[0], &Uninterrupted).expect("read"));
    let row = NewRecord {
        key: &keys[0],
        program_hash: hash.as_str(),
        schedule: "",
        result_json: "{\"is_legal\":false}",
    };
    assert_eq!(store.put(&[row], None, false, &Uninterrupted).expect("put"), 1);
    let row = store.get(&keys[0], &Uninterrupted).expect("read").expect("found");
    assert_eq!((row.program_name.as_str(), row.source_code.as_str()), ("p", "void p() {}"));
    assert_eq!(store.program_records("void p() {}", &Uninterrupted).expect("read").len(), 3);
}

#[test]
fn a_source_is_known_by_each_of_its_names_and_stats_count_it_once() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = open(options(directory.path()));
    for name in ["p", "alias", "p"] {
        store
            .record(&measurement(name, "void p() {}", P, Some(&[1.0])), true, &Uninterrupted)
            .expect("recorded");
    }
    for name in ["p", "alias"] {
        let programs = store.programs_named(name, &Uninterrupted).expect("read");
        assert_eq!(programs.iter().map(|program| program.program_name.as_str()).collect::<Vec<_>>(), ["p"]);
    }
    assert_eq!(store.programs(&Uninterrupted).expect("read").len(), 1);
    let stats = store.stats(&Uninterrupted).expect("counted");
    assert_eq!(
        (stats.total_records, stats.legal_records, stats.damaged_records, stats.total_programs),
        (1, 1, 0, 1)
    );
    assert_eq!(stats.cpu_model.as_deref(), Some("TestCPU"));
}

#[test]
fn exports_and_backups_hold_everything_and_are_never_half_written() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = open(options(directory.path()));
    for (name, source) in [("a", "void a1() {}"), ("a", "void a2() {}"), ("a_v1", "void clash() {}")] {
        store.record(&measurement(name, source, P, Some(&[1.0])), false, &Uninterrupted).expect("recorded");
    }
    let json = directory.path().join("all.json");
    let exported = store.export(&json, Format::Json, &Uninterrupted).expect("exported");
    assert_eq!(
        (exported.path.as_path(), exported.damaged),
        (json.canonicalize().expect("there").as_path(), 0)
    );
    let all: Value = serde_json::from_slice(&fs::read(&json).expect("readable")).expect("JSON");
    let names: Vec<_> = all.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(names, ["a_v1", "a_v2", "a_v3"], "no program is lost");
    let lines = directory.path().join("all.jsonl");
    store.export(&lines, Format::JsonLines, &Uninterrupted).expect("exported");
    assert_eq!(fs::read_to_string(&lines).expect("readable").lines().count(), 3);
    let backup = store.backup(None, &Uninterrupted).expect("backed up");
    let copy = open(Options { db_path: backup, ..options(directory.path()) });
    assert_eq!(copy.count(&Uninterrupted).expect("counted"), 3);
    fs::write(&json, "old").expect("written");
    let nowhere = directory.path().join("missing/all.json");
    assert!(store.export(&nowhere, Format::Json, &Uninterrupted).is_err());
    assert_eq!(fs::read_to_string(&json).expect("readable"), "old");
    assert!(matches!(
        store.export(store.db_path(), Format::Json, &Uninterrupted),
        Err(Error::InvalidArgument(_))
    ));
}

#[test]
fn the_journal_of_a_database_that_is_gone_is_not_rolled_back_into_a_new_one() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let journal = directory.path().join("s.db-journal");
    // As hot as a journal can look.
    fs::write(&journal, [&b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"[..], &[1; 504]].concat()).expect("written");
    let store = open(options(directory.path()));
    assert!(!journal.exists());
    let target = directory.path().join("backup.db");
    fs::write(directory.path().join("backup.db-journal"), [0xd9; 512]).expect("written");
    assert!(matches!(store.backup(Some(&target), &Uninterrupted), Err(Error::InvalidArgument(_))));
    assert!(!target.exists());
}

#[test]
fn modes_are_what_sharing_says_whatever_the_umask() {
    for (sharing, file, directory_mode) in
        [(Sharing::NewOnly, 0o666, 0o777), (Sharing::Private, 0o600, 0o700)]
    {
        let directory = tempfile::tempdir().expect("temporary directory");
        let db_path = directory.path().join("new/deep/s.db");
        let store = open(Options { db_path: db_path.clone(), sharing, ..options(directory.path()) });
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o7777;
        assert_eq!(mode(store.db_path()), file);
        assert_eq!(mode(db_path.parent().expect("a parent")), directory_mode);
        // A project directory hands its group down.
        let project = directory.path().join("project");
        fs::create_dir(&project).expect("created");
        fs::set_permissions(&project, fs::Permissions::from_mode(0o2775)).expect("set");
        open(Options { db_path: project.join("sub/s.db"), sharing, ..options(directory.path()) });
        assert_eq!(mode(&project.join("sub")), 0o2000 | directory_mode);
    }
}

#[test]
fn what_may_not_be_written_says_why() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let missing = Store::open(Options { read_only: true, ..options(directory.path()) }, &Uninterrupted);
    assert!(matches!(missing, Err(Error::Missing { .. })));
    open(options(directory.path()));
    let elsewhere = open(Options { cpu_model: Some("OtherCPU".to_owned()), ..options(directory.path()) });
    assert!(elsewhere.cpu_mismatch().is_some_and(|lines| lines.contains("'TestCPU'")));
    let measurement = measurement("p", "void p() {}", P, Some(&[1.0]));
    assert!(matches!(elsewhere.record(&measurement, false, &Uninterrupted), Err(Error::CpuMismatch)));
    let reader = open(Options { read_only: true, ..options(directory.path()) });
    assert!(matches!(reader.record(&measurement, false, &Uninterrupted), Err(Error::ReadOnly { .. })));
    reader.close();
    assert!(matches!(reader.count(&Uninterrupted), Err(Error::Closed { .. })));
}
