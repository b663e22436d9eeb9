//! Records that are handed over for good come into the store once, whatever becomes of their process and of who applies
//! them; and each mechanism that this rests on is needed (`src/mutation.rs`).

mod handing;

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use handing::{buffer, hand_over, open, overwrite, put, require, rests_on, time, waiting};
use tirastore::lock::{Uninterrupted, lock_path};
use tirastore::measurement::IfExists;
use tirastore::mutation;
use tirastore::storage::records::Page;
use tirastore::store::{Buffer, HandedOver};
use tirastore::{Store, machine};

#[test]
fn records_are_applied_once_though_their_file_outlives_whoever_applied_them() {
    rests_on("keep-once", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = open(directory.path());
        hand_over(&buffer(&store), 1, 1.0);
        let [file] = waiting(directory.path()).try_into().map_err(|_| "not one file")?;
        let contents = fs::read(&file).expect("readable");
        overwrite(&store, 2, 2.0);
        require(time(&store, 1) == Some(1.0), "it was not applied")?;
        require(!file.exists(), "its file is still there")?;
        overwrite(&store, 1, 3.0);
        // As if the first holder had died between its release and the removal.
        fs::write(&file, contents).expect("put back");
        overwrite(&store, 2, 4.0);
        require(time(&store, 1) == Some(3.0), "it was applied again, over what was recorded since")?;
        require(!file.exists(), "its file stays for ever")
    });
}

#[test]
fn records_outlive_their_process_without_being_swept() {
    rests_on("outlive-the-process", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = open(directory.path());
        hand_over(&buffer(&store), 1, 1.0);
        let [file] = waiting(directory.path()).try_into().map_err(|_| "not one file")?;
        // As if of a process that has ended: no process id is so large.
        let mine = format!("_{}_{}_", machine::hostname(), std::process::id());
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        let of_the_dead = name.replace(&mine, &format!("_{}_{}_", machine::hostname(), i32::MAX));
        assert_ne!(name, of_the_dead);
        fs::rename(&file, file.with_file_name(of_the_dead)).expect("renamed");
        let reader = open(directory.path());
        require(time(&reader, 1) == Some(1.0), "the record is lost")
    });
}

#[test]
fn records_of_one_process_are_applied_in_their_order() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = open(directory.path());
    let buffer = buffer(&store);
    for number in 0..12 {
        hand_over(&buffer, 1, f64::from(number));
    }
    assert_eq!(waiting(directory.path()).len(), 12);
    assert_eq!(time(&open(directory.path()), 1), Some(11.0));
    assert_eq!(waiting(directory.path()), [] as [PathBuf; 0]);
}

#[test]
fn what_is_deleted_after_records_were_handed_over_stays_deleted() {
    rests_on("handed-over-first", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = open(directory.path());
        overwrite(&store, 1, 1.0);
        let [key] = keys(&store).try_into().map_err(|_| "not one record")?;
        hand_over(&buffer(&store), 1, 2.0);
        assert!(store.delete(&key, &Uninterrupted).expect("deleted"));
        require(waiting(directory.path()).is_empty(), "it was not applied")?;
        overwrite(&store, 2, 2.0);
        require(time(&store, 1).is_none(), "it is there again")
    });
}

fn keys(store: &Store) -> Vec<String> {
    store.keys(Page { limit: 9, offset: 0, after: None }, &Uninterrupted).expect("read")
}

#[test]
fn a_file_that_is_not_whole_is_left_alone() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = open(directory.path());
    hand_over(&buffer(&store), 1, 1.0);
    let [file] = waiting(directory.path()).try_into().expect("one file");
    let contents = fs::read(&file).expect("readable");
    fs::write(&file, &contents[..contents.len() / 2]).expect("cut");
    overwrite(&store, 2, 2.0);
    assert_eq!(time(&store, 1), None);
    assert!(file.exists());
    fs::write(&file, &contents).expect("mended");
    overwrite(&store, 2, 3.0);
    assert_eq!(time(&store, 1), Some(1.0));
}

#[test]
fn what_cannot_be_read_keeps_nothing_out_and_is_named() {
    rests_on("count-what-is-applied", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = open(directory.path());
        let lock = lock_path(&directory.path().join("s.db"));
        // The first, and more than one tenure takes.
        let bad = File::create(lock.join("keep_node_1_0-0.1.new")).expect("created");
        bad.set_len(40 << 20).expect("room for nothing");
        hand_over(&buffer(&store), 1, 1.0);
        overwrite(&store, 2, 2.0);
        require(time(&store, 1) == Some(1.0), "the bad file keeps the others out")?;
        drop(open(directory.path()));
        let notices = tirastore::notices::take();
        require(notices.iter().any(|notice| notice.contains("keep_node_1_0-0.1.new")), "nobody hears of it")?;
        let refused = store.unseal(&Uninterrupted).expect_err("its records would be gone");
        require(refused.to_string().contains("keep_node_1_0-0.1.new"), &refused.to_string())
    });
}

thread_local! {
    /// What this thread hands over when a tenure of its own is about to end.
    static LATE: RefCell<Option<Arc<Buffer>>> = const { RefCell::new(None) };
}

fn hand_over_late(point: &'static str) {
    if point == "leave"
        && let Some(buffer) = LATE.take()
    {
        // Refused where the directory is about to go away: this thread is inside, and cannot flush.
        let handed_over = buffer.post(&Uninterrupted);
        assert!(matches!(handed_over, Ok(HandedOver::Safe(1) | HandedOver::Later)), "{handed_over:?}");
    }
}

#[test]
fn unsealing_loses_nothing_that_is_handed_over_after_its_last_look() {
    mutation::watch(hand_over_late);
    rests_on("look-for-unsealing", || {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = open(directory.path());
        let buffer = Arc::new(buffer(&store));
        put(&buffer, 1, 1.0, IfExists::Keep);
        LATE.set(Some(Arc::clone(&buffer)));
        assert!(store.unseal(&Uninterrupted).expect("unsealed"));
        assert!(LATE.take().is_none(), "there was no such moment");
        buffer.flush(&Uninterrupted).expect("written");
        require(time(&store, 1) == Some(1.0), "it is lost")
    });
}

#[test]
fn what_an_unsealing_that_died_has_announced_stops_nobody() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = open(directory.path());
    let lock = lock_path(&directory.path().join("s.db"));
    let token = waiting_token(&lock);
    let generation = token.split('.').nth(2).expect("a generation");
    File::create(lock.join(format!("u.{generation}"))).expect("created");
    hand_over(&buffer(&store), 1, 1.0);
    assert!(store.unseal(&Uninterrupted).expect("unsealed"));
    assert_eq!(time(&store, 1), Some(1.0));
}

fn waiting_token(lock: &std::path::Path) -> String {
    let names = fs::read_dir(lock).expect("sealed").map(|entry| entry.expect("readable").file_name());
    let mut tokens = names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("f."));
    tokens.next().expect("a free token")
}
