//! One holder commits what others wait to record: once, and acknowledged only when it is there to stay.

mod fleet;

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tirastore::lock::{Interrupt, Uninterrupted};
use tirastore::measurement::{Measurement, Outcome};
use tirastore::store::Options;
use tirastore::{Store, mutation};

use fleet::{Client, Fleet, report};

const PATIENCE: Duration = Duration::from_secs(20);

/// Files beside the token whose names end so.
fn batches(fleet: &Fleet, end: &str) -> Vec<PathBuf> {
    let lock = fleet.store().join("s.db.lock");
    let entries = fs::read_dir(lock).expect("a sealed store").flatten().map(|entry| entry.path());
    entries
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("batch_") && name.contains(end)
        })
        .collect()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Transactions that were committed in all, as the database's header counts them.
fn commits(fleet: &Fleet) -> u32 {
    let header = fs::read(fleet.db()).expect("read");
    u32::from_be_bytes(header[24..28].try_into().expect("four bytes"))
}

/// A client that has committed one record, has posted another one, and is stopped, so that others commit that.
fn stopped_poster(fleet: &Fleet, without: &str) -> Client {
    stopped_poster_of(fleet, without, "record")
}

/// The same for another command than `record`.
fn stopped_poster_of(fleet: &Fleet, without: &str, command: &str) -> Client {
    let environment = [("CLIENT_WITHOUT", without), ("CLIENT_PAUSE", "700")];
    let mut poster = fleet.start_with(&environment, &[command, "poster", "0", "2"]);
    assert!(poster.wait_for("ack poster 0"), "{:?}", poster.lines());
    let mut holder = fleet.start(&["hold", "1.2"]);
    assert!(holder.wait_for("holding"), "{:?}", holder.lines());
    wait_until("a post", || {
        batches(fleet, ".new").iter().any(|post| post.metadata().is_ok_and(|file| file.len() > 0))
    });
    poster.signal(Signal::SIGSTOP);
    assert!(holder.wait().success());
    poster
}

fn resume(poster: &mut Client) {
    poster.signal(Signal::SIGCONT);
    assert!(poster.wait().success(), "{:?}", poster.lines());
}

/// As an owner hears of its answer: from a process of its node, and as from another one.
const WAYS: [&str; 2] = ["", "bells"];

#[test]
fn whoever_comes_in_commits_for_a_process_that_waits() {
    for without in WAYS {
        let fleet = Fleet::new(&[("CLIENT_STALE", "30")]);
        fleet.run(&["create"]);
        let mut poster = stopped_poster(&fleet, without);
        let before = commits(&fleet);
        fleet.run(&["record", "combiner", "0", "1"]);
        assert_eq!(commits(&fleet), before + 1, "one transaction for both");
        assert_eq!(batches(&fleet, ".ok.1").len(), usize::from(without == "bells"));
        assert!(batches(&fleet, ".new").is_empty());
        resume(&mut poster);
        assert_eq!(commits(&fleet), before + 1, "it only fetched its answer");
        assert_eq!(fleet.verify().expect("nothing is broken").promised, 3);
    }
}

#[test]
fn many_processes_need_few_transactions() {
    let transactions = |without| {
        let fleet = Fleet::with_oracle(&[
            ("CLIENT_STALE", "30"),
            ("CLIENT_WITHOUT", without),
            ("CLIENT_SLOW", "100"),
        ]);
        fleet.run(&["create"]);
        let before = commits(&fleet);
        let mut clients: Vec<_> =
            (0..12).map(|number| fleet.start(&["record", &format!("p{number}"), "0", "20"])).collect();
        for client in &mut clients {
            assert!(client.wait().success(), "{:?}", client.lines());
        }
        assert_eq!(fleet.verify().expect("nothing is broken").promised, 240);
        assert_eq!(fleet.lines().iter().filter(|line| line.starts_with("known")).count(), 0);
        commits(&fleet) - before
    };
    let (combined, alone) = (transactions(""), transactions("combine"));
    report(&format!("240 records of 12 processes: {combined} transactions combined, {alone} alone"));
    assert!(alone >= 240, "this test cannot see that nothing is combined");
    assert!(combined < 160, "{combined}");
}

/// A combiner commits a post, and dies before it can say so. Is its owner told that it was recorded, and not that it was
/// there already?
fn die_before_the_answer(without: &str) -> Result<(), String> {
    let fleet = Fleet::new(&[("CLIENT_STALE", "30")]);
    fleet.run(&["create"]);
    let mut poster = stopped_poster(&fleet, without);
    // The renames of its tenure: to take the token, to say that it writes, to release it.
    let stop = [("CLIENT_STOP_AT", "token-changed:2")];
    let mut combiner = fleet.start_with(&stop, &["record", "combiner", "0", "1"]);
    assert!(combiner.wait_until_stopped(), "it ended: {:?}", combiner.lines());
    combiner.kill();
    assert_eq!(batches(&fleet, ".ok.").len(), 0);
    resume(&mut poster);
    let told: Vec<_> = poster.lines().into_iter().filter(|line| line.starts_with("known")).collect();
    fleet.verify()?;
    if told.is_empty() { Ok(()) } else { Err(format!("the poster was told {told:?}")) }
}

#[test]
fn a_batch_whose_combiner_died_before_the_answer_is_applied_once() {
    die_before_the_answer("").expect("kept");
    let broken = die_before_the_answer("applied").expect_err("this test cannot see the promise fail");
    report(&format!("combiner dies before its answer, nothing noted: {broken}"));
}

/// A combiner commits an appended run, and dies before it can say so. Its owner tries again: how many runs are there?
fn appended_runs(without: &str) -> usize {
    let fleet = Fleet::new(&[("CLIENT_STALE", "30")]);
    fleet.run(&["create"]);
    fleet.run(&["record", "poster", "0", "2"]);
    let mut poster = stopped_poster_of(&fleet, without, "append");
    let stop = [("CLIENT_STOP_AT", "token-changed:2")];
    let mut combiner = fleet.start_with(&stop, &["record", "combiner", "0", "1"]);
    assert!(combiner.wait_until_stopped(), "it ended: {:?}", combiner.lines());
    combiner.kill();
    resume(&mut poster);
    let options = Options { allow_cpu_mismatch: true, ..Options::new(fleet.db()) };
    let store = Store::open(options, &Uninterrupted).expect("opened");
    let runs = store.runs("void client() {}", "P(L1,comps=['poster'])", &Uninterrupted).expect("read");
    assert_eq!(runs.iter().filter(|run| run.is_current).count(), 1);
    runs.len()
}

#[test]
fn a_run_is_appended_once_although_its_combiner_died_before_the_answer() {
    assert_eq!(appended_runs(""), 2);
    assert_eq!(appended_runs("applied"), 3, "this test cannot see that a run is appended twice");
}

/// A combiner is stopped in the middle of its commit, taken over and shut out; it goes on, and dies as soon as it has
/// told the poster anything. What the poster is told must be there.
fn answer_after_a_takeover(without: &str, posters: &str) -> Result<(), String> {
    let fleet = Fleet::new(&[("CLIENT_STALE", "0.5")]);
    fleet.run(&["create"]);
    fleet.run(&["record", "base", "0", "20"]);
    let mut poster = stopped_poster(&fleet, posters);
    let post = batches(&fleet, ".new");
    assert_eq!(post.len(), 1, "{post:?}");
    let slow = [("CLIENT_STOP_AT", "file-change:6"), ("CLIENT_SLOW", "20000"), ("CLIENT_WITHOUT", without)];
    let mut combiner = fleet.start_with(&slow, &["record", "combiner", "0", "1"]);
    assert!(combiner.wait_until_stopped(), "it ended: {:?}", combiner.lines());
    // One that commits for nobody else.
    let mut taker = fleet.start_with(&[("CLIENT_WITHOUT", "combine")], &["record", "taker", "0", "1"]);
    assert!(taker.wait().success(), "{:?}", taker.lines());
    combiner.signal(Signal::SIGCONT);
    wait_until("an answer", || !post[0].exists());
    combiner.kill();
    resume(&mut poster);
    fleet.verify().map(|_| ())
}

#[test]
fn nothing_is_acknowledged_before_the_release() {
    for way in WAYS {
        answer_after_a_takeover("", way).expect("kept");
        // The lease, too: with it a holder that was stopped writes nothing any more, and never gets to an answer.
        let without = "acknowledge-after-release,renewal";
        let broken = answer_after_a_takeover(without, way)
            .expect_err(&format!("{way}: this test cannot see the promise fail"));
        report(&format!("answers before the release: {broken}"));
    }
}

#[test]
fn files_that_are_no_posts_are_left_alone() {
    let fleet = Fleet::new(&[("CLIENT_STALE", "30")]);
    fleet.run(&["create"]);
    let lock = fleet.store().join("s.db.lock");
    let names = ["batch_elsewhere_1_00ff-0.1.new", "batch_elsewhere_1_x/y", "batch_.new", "batch_a_b_c.new"];
    for name in names.iter().filter(|name| !name.contains('/')) {
        fs::write(lock.join(name), b"tirastore-post 1 5 00\n{}").expect("written");
    }
    fs::create_dir(lock.join("batch_elsewhere_1_00ff-0.2.new")).expect("created");
    fleet.run(&["record", "p", "0", "3"]);
    assert_eq!(batches(&fleet, ".new").len(), 4, "nobody's to remove yet");
    for path in batches(&fleet, ".new") {
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    }
    assert_eq!(fleet.verify().expect("nothing is broken").promised, 3);
}

/// Asked whether it is interrupted, it records: as a signal handler does that interrupts a call.
struct Handler<'a> {
    store: &'a Store,
    done: Cell<bool>,
    without: &'a str,
}

impl Interrupt for Handler<'_> {
    fn pending(&self) -> bool {
        if !self.done.replace(true) {
            // The other thread of the process must be inside meanwhile: this call waits for it, too.
            mutation::without(self.without, || {
                assert!(self.store.record(&measurement(1), false, &Uninterrupted).expect("recorded"));
            });
        }
        false
    }
}

/// A call that records waits for another thread, and is interrupted by one that records. What does it answer?
fn recorded_within_a_record(without: &str) -> bool {
    let fleet = Fleet::new(&[("CLIENT_STALE", "30")]);
    let store = store(&fleet);
    let mut holder = fleet.start(&["hold", "0.6"]);
    assert!(holder.wait_for("holding"), "{:?}", holder.lines());
    let recorded = thread::scope(|scope| {
        let first = scope.spawn(|| store.record(&measurement(2), false, &Uninterrupted));
        thread::sleep(Duration::from_millis(100));
        let handler = Handler { store: &store, done: Cell::new(false), without };
        let recorded = mutation::without(without, || store.record(&measurement(0), false, &handler));
        assert!(first.join().expect("no panic").expect("recorded"));
        recorded.expect("recorded")
    });
    assert!(holder.wait().success());
    recorded && store.count(&Uninterrupted).expect("counted") == 3
}

#[test]
fn a_record_within_a_record_of_one_thread_loses_neither() {
    assert!(recorded_within_a_record(""));
}

fn store(fleet: &Fleet) -> Store {
    Store::open(Options { allow_cpu_mismatch: true, ..Options::new(fleet.db()) }, &Uninterrupted)
        .expect("opened")
}

fn measurement(number: usize) -> Measurement {
    Measurement {
        program_name: "threads".to_owned(),
        program_source_code: "void threads() {}".to_owned(),
        schedule: format!("P(L{number},comps=['c'])"),
        outcome: Outcome::of(true, Some(vec![1.0])),
    }
}

/// Transactions for 16 records of 16 threads that wait for another process.
fn transactions_of_threads(without: &str) -> u32 {
    let fleet = Fleet::new(&[("CLIENT_STALE", "30")]);
    let store = store(&fleet);
    let mut holder = fleet.start(&["hold", "0.5"]);
    assert!(holder.wait_for("holding"), "{:?}", holder.lines());
    let before = commits(&fleet);
    thread::scope(|scope| {
        for number in 0..16 {
            let store = &store;
            scope.spawn(move || {
                mutation::without(without, || {
                    assert!(store.record(&measurement(number), false, &Uninterrupted).expect("recorded"));
                });
            });
        }
    });
    assert!(holder.wait().success());
    assert_eq!(store.count(&Uninterrupted).expect("counted"), 16);
    commits(&fleet) - before
}

#[test]
fn threads_of_one_process_share_a_transaction() {
    let (shared, alone) = (transactions_of_threads(""), transactions_of_threads("combine"));
    report(&format!("16 records of 16 threads: {shared} transactions shared, {alone} alone"));
    assert_eq!(alone, 16, "this test cannot see that nothing is shared");
    assert!(shared <= 3, "{shared}");
}
