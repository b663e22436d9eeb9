//! Counts are right whoever wrote, and read from a few rows where only this library did.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use rusqlite::Connection;
use tirastore::Store;
use tirastore::identity::{key, program};
use tirastore::lock::Uninterrupted;
use tirastore::measurement::{Measurement, Outcome};
use tirastore::mutation;
use tirastore::storage::records::{NewRecord, Recorder};
use tirastore::storage::summary::Summary;
use tirastore::store::Options;

const SOURCE: &str = "void p() {}";

fn open(directory: &Path) -> Store {
    let options = Options {
        cpu_model: Some("TestCPU".to_owned()),
        slurm_cpus: Some("4".to_owned()),
        ..Options::new(directory.join("s.db"))
    };
    Store::open(options, &Uninterrupted).expect("opened")
}

fn stats(store: &Store) -> Summary {
    store.stats(&Uninterrupted).expect("counted")
}

fn schedule(number: usize) -> String {
    format!("P(L{number},comps=['c'])")
}

fn record(store: &Store, number: usize, times: Option<&[f64]>, overwrite: bool) {
    let measurement = Measurement {
        program_name: "p".to_owned(),
        program_source_code: SOURCE.to_owned(),
        schedule: schedule(number),
        outcome: Outcome::of(times.is_some(), times.map(<[f64]>::to_vec)),
    };
    store.record(&measurement, overwrite, &Uninterrupted).expect("recorded");
}

/// Does the table say that it is right?
fn vouches(store: &Store) -> bool {
    let header = fs::read(store.db_path()).expect("readable");
    let counter = u32::from_be_bytes([header[24], header[25], header[26], header[27]]);
    let said: Option<u32> = Connection::open(store.db_path())
        .and_then(|file| {
            file.query_row("SELECT max(records) FROM tally WHERE verdict = -1", [], |row| row.get(0))
        })
        .expect("readable");
    said == Some(counter)
}

/// What the records themselves say.
fn counted(store: &Store) -> Summary {
    let file = Connection::open(store.db_path()).expect("readable");
    let number = |condition: &str| {
        file.query_row(&format!("SELECT count(*) FROM records WHERE {condition}"), [], |row| row.get(0))
            .expect("counted")
    };
    let column = |name: &str| {
        let mut select =
            file.prepare(&format!("SELECT DISTINCT {name} FROM records ORDER BY 1")).expect("SQL");
        let names = select.query_map([], |row| row.get(0)).expect("read");
        names.collect::<rusqlite::Result<Vec<String>>>().expect("text")
    };
    Summary {
        total_records: number("true"),
        legal_records: number("result_json LIKE '%is_legal\":true%'"),
        illegal_records: number("result_json LIKE '%is_legal\":false%'"),
        statuses: [
            number("result_json LIKE '%times\":[%'"),
            number("result_json LIKE '%is_legal\":false%'"),
            0,
            number("result_json LIKE '%timeout%'"),
            0,
        ],
        damaged_records: number("result_json LIKE '%1e400%'"),
        total_programs: file
            .query_row("SELECT count(*) FROM programs", [], |row| row.get(0))
            .expect("counted"),
        source_projects: column("source_project"),
        users: column("username"),
        cpu_model: Some("TestCPU".to_owned()),
        slurm_cpus: Some("4".to_owned()),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Record { number: usize, is_legal: bool, overwrite: bool },
    Put { number: usize, user: usize, damaged: bool },
    Delete { number: usize },
    Project { number: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..6_usize;
    prop_oneof![
        (number.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(number, is_legal, overwrite)| Step::Record { number, is_legal, overwrite }),
        (number.clone(), 0..3_usize, any::<bool>()).prop_map(|(number, user, damaged)| Step::Put {
            number,
            user,
            damaged
        }),
        number.clone().prop_map(|number| Step::Delete { number }),
        number.prop_map(|number| Step::Project { number }),
    ]
}

fn take(store: &Store, step: &Step) {
    let hash = program::hash(SOURCE);
    match *step {
        Step::Record { number, is_legal, overwrite } => {
            record(store, number, is_legal.then_some(&[1.5, 2.5]), overwrite);
        }
        Step::Put { number, user, damaged } => {
            let schedule = schedule(number);
            let rest = match (damaged, user) {
                (true, _) => r#""execution_times":[1e400]"#,
                (false, 0) => r#""execution_times":null,"status":"timeout","details":{"bound":9}"#,
                (false, _) => r#""execution_times":[1.5]"#,
            };
            let key = key::make_key(hash.as_str(), &schedule);
            let row = NewRecord {
                key: key.as_str(),
                program_hash: hash.as_str(),
                schedule: &schedule,
                result_json: &format!(r#"{{"is_legal":true,{rest}}}"#),
            };
            let recorder = Recorder { username: format!("user{user}"), ..Recorder::default() };
            store.put(&[row], Some(&recorder), true, &Uninterrupted).expect("put");
        }
        Step::Delete { number } => {
            let key = key::make_key(hash.as_str(), &schedule(number));
            store.delete(key.as_str(), &Uninterrupted).expect("deleted");
        }
        Step::Project { number } => store.set_source_project(format!("project{}", number % 2)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn counts_are_those_of_the_records_after_any_writes(steps in prop::collection::vec(step(), 1..12)) {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = open(directory.path());
        // Its program, which Step::Put needs.
        record(&store, 7, None, false);
        for step in &steps {
            take(&store, step);
        }
        prop_assert_eq!(stats(&store), counted(&store));
        prop_assert_eq!(store.count(&Uninterrupted).expect("counted"), counted(&store).total_records);
        prop_assert!(vouches(&store), "only this library wrote");
    }
}

#[test]
fn counts_are_right_after_somebody_who_does_not_count() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = open(directory.path());
    (0..3).for_each(|number| record(&store, number, Some(&[1.0]), false));
    assert!(vouches(&store));
    let file = Connection::open(store.db_path()).expect("opened");
    file.execute("DELETE FROM records WHERE schedule = ?1", [schedule(1)]).expect("deleted");
    drop(file);
    assert_eq!(stats(&store), counted(&store));
    assert_eq!(store.count(&Uninterrupted).expect("counted"), 2);
    mutation::without("tally-knows-the-counter", || {
        assert_eq!(stats(&store).total_records, 3, "without a look at the counter the table is believed");
    });
    record(&store, 4, Some(&[1.0]), false);
    assert!(!vouches(&store), "one that counts cannot mend what another did");
    assert_eq!(stats(&store), counted(&store));
}

#[test]
fn a_copy_does_not_begin_where_its_original_was_right() {
    let counts = |without| {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = open(directory.path());
        assert!(store.unseal(&Uninterrupted).expect("unsealed"));
        let file = Connection::open(store.db_path()).expect("opened");
        // The file that was right under 1, as new ones are, and under which SQLite's copies begin.
        file.execute("UPDATE tally SET records = 1 WHERE verdict = -1", []).expect("updated");
        file.execute("INSERT INTO programs VALUES ('h', 'p', '')", []).expect("inserted");
        let values = "('k', 'h', '', '{}', '', '', '', '', '')";
        file.execute(&format!("INSERT INTO records VALUES {values}"), []).expect("inserted");
        drop(file);
        let backup = mutation::without(without, || store.backup(None, &Uninterrupted).expect("backup"));
        let options = Options { allow_cpu_mismatch: true, ..Options::new(backup) };
        let copy = Store::open(options, &Uninterrupted).expect("opened");
        (copy.count(&Uninterrupted).expect("counted"), store.count(&Uninterrupted).expect("counted"))
    };
    assert_eq!(counts(""), (1, 1));
    assert_eq!(counts("copies-are-not-vouched-for"), (0, 1), "this test cannot see it fail");
}

#[test]
fn sealing_a_sealed_store_mends_its_counts() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = open(directory.path());
    record(&store, 0, Some(&[1.0]), false);
    let file = Connection::open(store.db_path()).expect("opened");
    file.execute("DELETE FROM records", []).expect("deleted");
    drop(file);
    assert!(!vouches(&store));
    assert!(!store.seal(&Uninterrupted).expect("sealed before"));
    assert!(vouches(&store));
    assert_eq!(stats(&store), counted(&store));
}

#[test]
fn sealing_and_restoring_count_anew() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = open(directory.path());
    record(&store, 0, Some(&[1.0]), false);
    assert!(store.unseal(&Uninterrupted).expect("unsealed"));
    let file = Connection::open(store.db_path()).expect("opened");
    file.execute("UPDATE records SET username = 'another'", []).expect("updated");
    drop(file);
    assert!(!vouches(&store));
    assert!(store.seal(&Uninterrupted).expect("sealed"));
    assert!(vouches(&store));
    assert_eq!(stats(&store).users, ["another"]);
    let backup = store.backup(None, &Uninterrupted).expect("backup");
    record(&store, 1, None, false);
    store.restore(&backup, &Uninterrupted).expect("restored");
    assert!(vouches(&store));
    assert_eq!(stats(&store), counted(&store));
    assert_eq!(stats(&store).total_records, 1);
}
