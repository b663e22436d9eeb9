//! What a lookup and a record ask of the file system: on a cluster each of these is a message to a server that all
//! share.

mod faultfs;
mod fleet;

use std::collections::BTreeMap;

use tirastore::lock::Uninterrupted;
use tirastore::measurement::{Measurement, Outcome};
use tirastore::store::Options;
use tirastore::{Store, mutation};

use faultfs::{FaultFs, Op, must_skip};
use fleet::Fleet;

const SOURCE: &str = "void requests() {}";
/// What a metadata server answers; the rest is content.
const METADATA: [Op; 14] = [
    Op::Lookup,
    Op::Getattr,
    Op::Setattr,
    Op::Truncate,
    Op::Mknod,
    Op::Mkdir,
    Op::Unlink,
    Op::Rename,
    Op::Link,
    Op::Open,
    Op::Create,
    Op::Opendir,
    Op::Readdir,
    Op::Fsyncdir,
];

fn open(node: &FaultFs, memory: usize) -> Store {
    let options = Options {
        allow_cpu_mismatch: true,
        memory_cache_bytes: memory,
        ..Options::new(node.path().join("s.db"))
    };
    // As Lustre with its locks: every node sees at once what another one has written.
    mutation::without("coherence", || Store::open(options, &Uninterrupted)).expect("opened")
}

fn schedule(number: usize) -> String {
    format!("P(L{number},comps=['c'])")
}

fn record(store: &Store, number: usize) {
    let measurement = Measurement {
        program_name: "requests".to_owned(),
        program_source_code: SOURCE.to_owned(),
        schedule: schedule(number),
        outcome: Outcome::of(true, Some(vec![0.5])),
    };
    assert!(store.record(&measurement, false, &Uninterrupted).expect("recorded"));
}

fn finds(store: &Store, number: usize) -> bool {
    store.lookup(SOURCE, &schedule(number), &Uninterrupted).expect("read").is_some()
}

/// What `call` asks of the metadata server.
fn asked(node: &FaultFs, call: impl FnOnce()) -> BTreeMap<Op, u64> {
    node.counters().reset();
    call();
    METADATA.iter().map(|op| (*op, node.counters().total(*op))).filter(|(_, count)| *count > 0).collect()
}

/// A mounted store with some records that one client has, and the client.
fn quiet_store(memory: usize) -> (Fleet, FaultFs, Store) {
    let fleet = Fleet::new(&[]);
    let node = FaultFs::mount(&fleet.store(), faultfs::Options::default()).expect("mounted");
    let store = open(&node, memory);
    for number in 0..20 {
        record(&store, number);
    }
    // The first looks for the token, the second sees it again.
    assert!(finds(&store, 0) && finds(&store, 1));
    (fleet, node, store)
}

/// By path, name by name: the lock directory and what stands in it.
const ONE_LOOK: u64 = 2;

#[test]
fn a_lookup_looks_at_the_token_once_and_opens_and_changes_nothing() {
    if must_skip() {
        return;
    }
    let (_fleet, node, store) = quiet_store(0);
    for (number, is_there) in [(2, true), (3, true), (99, false)] {
        let asked = asked(&node, || assert_eq!(finds(&store, number), is_there));
        assert_eq!(asked.get(&Op::Lookup), Some(&ONE_LOOK), "{asked:?}");
        assert!(node.counters().total(Op::Read) > 0);
        // The attributes of both, and of the directory above.
        assert!(asked.keys().all(|op| [Op::Lookup, Op::Getattr].contains(op)), "{asked:?}");
    }
}

#[test]
fn a_lookup_from_memory_asks_for_nothing_else() {
    if must_skip() {
        return;
    }
    let (_fleet, node, store) = quiet_store(1 << 20);
    let asked = asked(&node, || assert!(finds(&store, 0)));
    assert_eq!(asked.get(&Op::Lookup), Some(&ONE_LOOK), "{asked:?}");
    assert_eq!(node.counters().total(Op::Read), 0);
}

#[test]
fn a_record_takes_and_returns_the_token_and_creates_nothing() {
    if must_skip() {
        return;
    }
    let (_fleet, node, store) = quiet_store(0);
    record(&store, 30);
    let asked = asked(&node, || record(&store, 31));
    // Taken, said that it is written, returned.
    assert_eq!(asked.get(&Op::Rename), Some(&3), "{asked:?}");
    let others = [Op::Lookup, Op::Getattr, Op::Readdir];
    assert!(asked.keys().all(|op| *op == Op::Rename || others.contains(op)), "{asked:?}");
}
