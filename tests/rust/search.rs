//! A search answers for what its records are, and ends when it is told to. The mechanism is switched off once, to show
//! that the test can fail.

use std::cell::Cell;
use std::path::Path;

use arrow_array::cast::AsArray;
use rusqlite::Connection;
use tirastore::columns::{Constant, Field, Filter, Found, Query, Test};
use tirastore::identity::{key, program};
use tirastore::lock::{Interrupt, Uninterrupted};
use tirastore::measurement::{Measurement, Outcome};
use tirastore::mutation;
use tirastore::store::Options;
use tirastore::{Error, Store};

const SOURCE: &str = "void p() {}";

fn store_in(directory: &Path, count: u32) -> Store {
    let store = Store::open(Options::new(directory.join("s.db")), &Uninterrupted).expect("opened");
    let measurements: Vec<_> = (0..count)
        .map(|number| Measurement {
            program_name: "p".to_owned(),
            program_source_code: SOURCE.to_owned(),
            schedule: schedule(number),
            outcome: Outcome::of(true, Some(vec![1.0 + f64::from(number)])),
        })
        .collect();
    store.record_batch(&measurements, "measurements", false, &Uninterrupted).expect("recorded");
    store
}

fn schedule(number: u32) -> String {
    format!("U(L0,{number},comps=['c'])")
}

fn key_of(number: u32) -> String {
    key::make_key(program::hash(SOURCE).as_str(), &schedule(number)).to_string()
}

fn whole() -> Query {
    Query::new(Filter::default(), Field::default_columns())
}

#[test]
fn a_search_does_not_answer_for_another_schedule() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = store_in(directory.path(), 8);
    Connection::open(store.db_path())
        .expect("opened")
        .execute_batch("UPDATE records SET schedule = 'R(L1,comps=[''c''])' WHERE schedule LIKE 'U(L0,7,%'")
        .expect("changed");
    let search = || -> Found { store.search(&whole(), &Uninterrupted).expect("searched") };
    let found = search();
    assert_eq!((found.rows(), found.damaged.len()), (7, 1));
    assert_eq!(found.damaged[0].key, key_of(7));
    let without = mutation::without("search-checks-keys", search);
    assert_eq!((without.rows(), without.damaged.len()), (8, 0), "answered without the mechanism");
}

#[test]
fn many_records_are_told_in_the_order_in_which_they_were_recorded() {
    const COUNT: u32 = 20_000;
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = store_in(directory.path(), COUNT);
    Connection::open(store.db_path())
        .expect("opened")
        .execute_batch("UPDATE records SET result_json = 'lost' WHERE rowid % 1000 = 7")
        .expect("changed");
    let damaged = |number: &u32| (number + 1) % 1000 == 7;
    let keys = |numbers: &mut dyn Iterator<Item = u32>| -> Vec<String> { numbers.map(key_of).collect() };
    let all = |query: Query| {
        let found = store.search(&query, &Uninterrupted).expect("searched");
        let texts = found.batches.iter().flat_map(|batch| {
            let column = batch.column(0).as_string::<i32>();
            column.iter().flatten().map(str::to_owned).collect::<Vec<_>>()
        });
        (texts.collect::<Vec<_>>(), found.damaged)
    };
    let query = |filter| Query::new(filter, vec![Field::Key]);
    let (found, left_out) = all(query(Filter::default()));
    assert_eq!(found, keys(&mut (0..COUNT).filter(|number| !damaged(number))));
    let left_out: Vec<_> = left_out.into_iter().map(|row| row.key).collect();
    assert_eq!(left_out, keys(&mut (0..COUNT).filter(damaged)));
    let late = Test::new("min_time", ">", &Constant::Number(15_000.0)).expect("a test");
    let (found, _) = all(query(Filter::any_of(vec![vec![late]])));
    assert_eq!(found, keys(&mut (15_000..COUNT).filter(|number| !damaged(number))));
    let (found, left_out) = all(query(Filter::default()).page(0, Some(12_345)));
    assert_eq!(found, keys(&mut (0..COUNT).filter(|number| !damaged(number)).take(12_345)));
    assert_eq!(left_out.len(), 13, "none behind the last record that was asked for");
}

#[test]
fn a_search_ends_when_it_is_told_to() {
    struct After(Cell<u32>);
    impl Interrupt for After {
        fn pending(&self) -> bool {
            self.0.set(self.0.get().saturating_sub(1));
            self.0.get() == 0
        }
    }
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = store_in(directory.path(), 10_000);
    match store.search(&whole(), &After(Cell::new(2))) {
        Err(Error::Interrupted) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(store.search(&whole(), &Uninterrupted).expect("searched").rows(), 10_000);
}

#[test]
fn parts_of_a_scan_are_the_whole() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = store_in(directory.path(), 1000);
    let slow = Test::new("min_time", ">", &Constant::Number(500.0)).expect("a test");
    let query = Query::new(Filter::any_of(vec![vec![slow]]), vec![Field::Key]);
    let (mut rows, mut parts, mut next) = (0, 0, None);
    loop {
        let scanned = store.scan(&query, next, 64, &Uninterrupted).expect("scanned");
        rows += scanned.found.rows();
        parts += 1;
        next = scanned.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!((rows, parts), (500, 16));
}
