//! Records are handed over, and the file system refuses what that takes: they are in the store once, in their order, or
//! still in the hands of who has them; and each mechanism that this rests on is needed (`src/mutation.rs`).

mod faultfs;
mod handing;

use std::fs;
use std::sync::Arc;

use nix::errno::Errno;
use tempfile::TempDir;

use faultfs::{Action, FaultFs, Op, Options, Rule, must_skip};
use handing::{
    SOURCE, buffer, hand_over, measurement, open, overwrite, put, require, rests_on, schedule, time, waiting,
};
use tirastore::Store;
use tirastore::lock::Uninterrupted;
use tirastore::measurement::{IfExists, Outcome};

const REFUSED: Action = Action::Error(Errno::EIO);

/// A store on a file system that can be told to refuse.
struct Scene {
    node: FaultFs,
    store: Arc<Store>,
    _backing: TempDir,
}

impl Scene {
    fn new() -> Self {
        let backing = tempfile::tempdir().expect("temporary directory");
        let node = FaultFs::mount(backing.path(), Options::default()).expect("mounted");
        let store = open(node.path());
        Self { node, store, _backing: backing }
    }
}

fn is_kept(name: &str) -> bool {
    name.starts_with("keep_")
}

#[test]
fn what_could_not_be_handed_over_waits_and_comes_in_once_though_its_file_is_there() {
    if must_skip() {
        return;
    }
    rests_on("applied", || {
        let Scene { node, store, .. } = &Scene::new();
        let buffer = buffer(store);
        put(&buffer, 1, 1.0, IfExists::Append);
        put(&buffer, 2, 2.0, IfExists::Append);
        let sync = node.inject(Rule::on(&[Op::Fsyncdir]).always(), REFUSED);
        let removal = node.inject(Rule::on(&[Op::Unlink]).named(is_kept).always(), REFUSED);
        let refused = buffer.post(&Uninterrupted);
        require(refused.is_err() && buffer.pending() == 2, "it says that they are safe")?;
        assert!(sync.fired() > 0 && removal.fired() > 0, "nothing was refused");
        sync.remove();
        removal.remove();
        assert_eq!(waiting(node.path()).len(), 1, "whoever comes next finds it");
        drop(open(node.path()));
        require(time(store, 1) == Some(1.0), "it was not applied")?;
        buffer.flush(&Uninterrupted).expect("written");
        require(buffer.pending() == 0, "they wait for ever")?;
        let runs = store.runs(SOURCE, &schedule(1), &Uninterrupted).expect("read");
        require(runs.len() == 1, "they came in twice")
    });
}

#[test]
fn what_could_not_be_handed_over_is_flushed_or_handed_over_later() {
    if must_skip() {
        return;
    }
    for op in [Op::Create, Op::Write, Op::Fsync, Op::Rename, Op::Fsyncdir] {
        let Scene { node, store, .. } = &Scene::new();
        let buffer = buffer(store);
        put(&buffer, 1, 1.0, IfExists::Append);
        let refusal = node.inject(Rule::on(&[op]), REFUSED);
        assert!(buffer.post(&Uninterrupted).is_err(), "{op:?}");
        assert_eq!((refusal.fired(), buffer.pending()), (1, 1), "{op:?}");
        put(&buffer, 2, 2.0, IfExists::Append);
        if op == Op::Write {
            assert_eq!(buffer.flush(&Uninterrupted).expect("written"), 2);
        } else {
            buffer.post(&Uninterrupted).expect("handed over");
        }
        drop(open(node.path()));
        for number in [1, 2] {
            let runs = store.runs(SOURCE, &schedule(number), &Uninterrupted).expect("read");
            assert_eq!(runs.len(), 1, "{op:?}");
        }
        assert!(waiting(node.path()).is_empty(), "{op:?}");
    }
}

#[test]
fn what_cannot_be_read_now_comes_in_before_what_its_process_handed_over_later() {
    if must_skip() {
        return;
    }
    for is_asked in [false, true] {
        rests_on("wait-for-the-older", || in_their_order(is_asked));
    }
}

/// Of two batches of one process the older one cannot be read once. `is_asked`: the other one is a post, for which its
/// process waits.
fn in_their_order(is_asked: bool) -> Result<(), String> {
    let Scene { node, store, .. } = &Scene::new();
    let buffer = buffer(store);
    hand_over(&buffer, 1, 1.0);
    let first = waiting(node.path())[0].file_name().expect("a name").to_owned();
    hand_over(&buffer, 1, 2.0);
    for file in waiting(node.path()).iter().filter(|file| is_asked && !file.ends_with(&first)) {
        let name = file.to_string_lossy().replace("/keep_", "/batch_");
        fs::rename(file, name).expect("renamed");
    }
    let refusal = node.inject(Rule::on(&[Op::Open]).when(move |call| call.name == first), REFUSED);
    overwrite(store, 2, 1.0);
    assert_eq!(refusal.fired(), 1);
    overwrite(store, 2, 2.0);
    require(waiting(node.path()).is_empty(), "they were not applied")?;
    require(time(store, 1) == Some(2.0), "the older one came in last")
}

#[test]
fn what_there_is_no_room_for_keeps_no_other_record_out() {
    if must_skip() {
        return;
    }
    rests_on("alone-where-there-is-no-room", || {
        let Scene { node, store, .. } = &Scene::new();
        overwrite(store, 1, 1.0);
        let buffer = buffer(store);
        let mut large = measurement(2, 2.0);
        large.outcome = Outcome::of(true, Some(vec![2.0; 200_000]));
        buffer.record(&large, IfExists::Keep, &Uninterrupted).expect("taken");
        buffer.post(&Uninterrupted).expect("handed over");
        let most = store.db_path().metadata().expect("there").len() + (64 << 10);
        let full = node.inject(
            Rule::on(&[Op::Write]).when(move |call| call.offset > most).always(),
            Action::Error(Errno::ENOSPC),
        );
        let recorded = store.record(&measurement(1, 3.0), true, &Uninterrupted);
        assert!(full.fired() > 0, "there was room");
        require(recorded.is_ok() && time(store, 1) == Some(3.0), &format!("{recorded:?}"))?;
        full.remove();
        overwrite(store, 1, 4.0);
        require(time(store, 2) == Some(2.0), "it is lost")
    });
}
