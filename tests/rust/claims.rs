//! A claim has one owner, nobody measures for nothing, and nothing of a dead owner stays in the way.

mod faultfs;
mod fleet;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use tirastore::claims::{Awaited, Claim};
use tirastore::lock::Uninterrupted;
use tirastore::measurement::Outcome;
use tirastore::store::{Candidate, ClaimOptions, Options, Protocol};
use tirastore::{Error, Store, mutation};

use faultfs::{Action, FaultFs, Op, Rule, must_skip};
use fleet::{Fleet, in_parallel, report};

const LEASE: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(600);

/// `promise` holds, and does not hold without `mechanism`.
fn rests_on(mechanism: &str, promise: impl Fn(&str) -> Result<(), String>) {
    promise("").expect("kept");
    let Err(broken) = promise(mechanism) else {
        panic!("the promise is kept without {mechanism}: this test cannot see it fail");
    };
    report(&format!("without {mechanism}: {broken}"));
}

fn require(condition: bool, broken: &str) -> Result<(), String> {
    condition.then_some(()).ok_or_else(|| broken.to_owned())
}

fn open(path: &Path, protocol: Protocol) -> Store {
    let options = Options { allow_cpu_mismatch: true, protocol, ..Options::new(path) };
    Store::open(options, &Uninterrupted).expect("opened")
}

fn pair(number: u32) -> Candidate {
    ("p".to_owned(), "void p() {}".to_owned(), format!("P(L{number},comps=['c'])"))
}

fn claim(store: &Store, lease: Duration) -> Option<Claim> {
    let options = ClaimOptions { lease, refresh: false, retry_failed: true };
    store.claim(&[pair(0)], &options, 1, &Uninterrupted).expect("asked").pop()
}

fn outcome(time: f64) -> Outcome {
    Outcome::of(true, Some(vec![time]))
}

/// Asks every 10 ms until the pair is this caller's. How long that took.
fn take_over(store: &Store, patience: Duration) -> Option<(Claim, Duration)> {
    let began = Instant::now();
    while began.elapsed() < patience {
        if let Some(claim) = claim(store, LONG) {
            return Some((claim, began.elapsed()));
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}

#[test]
fn a_claim_that_is_not_renewed_is_given_up_after_its_lease() {
    for protocol in [Protocol::Token, Protocol::HardLink] {
        rests_on("claim-expiry-by-observation", |without| {
            let directory = tempfile::tempdir().expect("temporary directory");
            let store = open(&directory.path().join("s.db"), protocol);
            let silent = claim(&store, LEASE).ok_or("the pair is free")?;
            let taken = mutation::without(without, || take_over(&store, 5 * LEASE));
            let (_claim, took) = taken.ok_or("nobody else gets it")?;
            // The first look comes a moment after the claim was made.
            require(took >= LEASE.mul_f64(0.8), "it is given up before")?;
            let complete = store.complete(&silent, outcome(1.0), &Uninterrupted);
            require(matches!(complete, Err(Error::ClaimLost { .. })), "its owner is not told")
        });
    }
}

#[test]
fn a_claim_that_is_renewed_is_kept() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = open(&directory.path().join("s.db"), Protocol::Auto);
    let mine = claim(&store, LEASE).expect("free");
    let began = Instant::now();
    while began.elapsed() < 3 * LEASE {
        store.renew(&mine, &Uninterrupted).expect("mine");
        assert!(claim(&store, LONG).is_none());
        thread::sleep(LEASE / 8);
    }
    assert!(store.complete(&mine, outcome(1.0), &Uninterrupted).expect("mine"));
}

#[test]
fn a_pair_has_one_owner() {
    rests_on("respect-claims", |without| {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = open(&directory.path().join("s.db"), Protocol::Auto);
        let _mine = claim(&store, LONG).ok_or("the pair is free")?;
        let second = mutation::without(without, || claim(&store, LONG));
        require(second.is_none(), "two have it")
    });
}

#[test]
fn whoever_was_overtaken_records_nothing() {
    rests_on("complete-checks-owner", |without| {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = open(&directory.path().join("s.db"), Protocol::Auto);
        let silent = claim(&store, LEASE).ok_or("the pair is free")?;
        let (mine, _) = take_over(&store, 5 * LEASE).ok_or("it is never given up")?;
        let late = mutation::without(without, || store.complete(&silent, outcome(1.0), &Uninterrupted));
        require(matches!(late, Err(Error::ClaimLost { .. })), "it is not told")?;
        require(store.count(&Uninterrupted).expect("counted") == 0, "it has recorded")?;
        require(store.complete(&mine, outcome(2.0), &Uninterrupted).expect("mine"), "the new owner has not")
    });
}

#[test]
fn several_who_find_one_claim_given_up_have_one_winner() {
    let fleet = Fleet::new(&[("CLIENT_STALE", "30")]);
    let (pairs, takers) = (20, 6);
    fleet.run(&["claim", "dead", "0", &pairs.to_string(), "600"]);
    let mut clients: Vec<_> = (0..takers)
        .map(|_| fleet.start(&["measure", "dead", "0", &pairs.to_string(), "600", "0.002"]))
        .collect();
    for client in &mut clients {
        assert!(client.wait().success(), "{:?}", client.lines());
    }
    for number in 0..pairs {
        // Once by the dead, once by one of the others.
        assert_eq!(fleet.count(&format!("claimed dead {number}")), 2, "{number}");
        assert_eq!(fleet.count(&format!("ack dead {number}")), 1, "{number}");
    }
    fleet.verify().expect("nothing is broken");
}

#[test]
fn the_claims_of_the_dead_of_this_node_are_free_at_once() {
    rests_on("notice-death", |without| {
        let fleet = Fleet::new(&[("CLIENT_STALE", "30"), ("CLIENT_WITHOUT", without)]);
        fleet.run(&["claim", "dead", "0", "1", "600"]);
        fleet.run(&["claim", "dead", "0", "1", "600"]);
        require(fleet.count("claimed dead 0") == 2, "the next one does not get it")
    });
}

/// Jobs of another node look once each, and end long before the lease of a dead owner is over.
fn short_jobs(fleet: &Fleet, lease: Duration, between: Duration, node: &[(&str, &str)]) -> Option<Duration> {
    let (began, patience) = (Instant::now(), 4 * lease);
    let words = ["claim", "dead", "0", "1", &lease.as_secs_f64().to_string()];
    while began.elapsed() < patience {
        let mut job = fleet.start_with(node, &words);
        assert!(job.wait().success(), "{:?}", job.lines());
        if job.lines() == ["claimed dead 0"] {
            return Some(began.elapsed());
        }
        thread::sleep(between);
    }
    None
}

#[test]
fn jobs_that_are_shorter_than_a_lease_outwait_it_together() {
    rests_on("stored-looks", |without| {
        let fleet = Fleet::new(&[("CLIENT_STALE", "30"), ("CLIENT_WITHOUT", without)]);
        let (lease, between) = (Duration::from_secs(1), Duration::from_millis(100));
        let mut dead = fleet.start_with(&[("CLIENT_NODE", "a")], &["claim", "dead", "0", "1", "1"]);
        assert!(dead.wait().success());
        // A clock that has nothing to do with that of the owner's node.
        let node = [("CLIENT_NODE", "b"), ("CLIENT_CLOCK_SKEW", "-3600")];
        let took = short_jobs(&fleet, lease, between, &node).ok_or("they never get it")?;
        require(took >= lease, "it is given up before")?;
        // A poll, and as much again as a busy machine takes for a job.
        require(took < 2 * lease, &format!("they get it after {took:?}"))
    });
}

#[test]
fn clocks_of_two_nodes_are_never_compared() {
    rests_on("own-clock-only", |without| {
        let fleet = Fleet::new(&[("CLIENT_STALE", "30"), ("CLIENT_WITHOUT", without)]);
        let mut owner = fleet.start_with(&[("CLIENT_NODE", "a")], &["measure", "p", "0", "1", "600", "0.5"]);
        assert!(owner.wait_for("claimed"), "{:?}", owner.lines());
        let node = [("CLIENT_NODE", "b"), ("CLIENT_CLOCK_SKEW", "86400")];
        let mut other = fleet.start_with(&node, &["claim", "p", "0", "1", "600"]);
        assert!(other.wait().success());
        require(other.lines() == ["taken p 0"], "a clock that is ahead takes over")
    });
}

/// A worker is stopped when its completion is committed and not yet released, and is taken over.
fn completed_in_a_lost_tenure(without: &str) -> Result<(), String> {
    let fleet = Fleet::new(&[("CLIENT_STALE", "0.5")]);
    fleet.run(&["create"]);
    // Three renames each for the claim and for the completion: to take the token, to say that it writes, to release it.
    let stop = [("CLIENT_STOP_AT", "token-change:5"), ("CLIENT_WITHOUT", without)];
    let mut worker = fleet.start_with(&stop, &["measure", "victim", "0", "1", "600", "0"]);
    assert!(worker.wait_until_stopped(), "it ended: {:?}", worker.lines());
    require(worker.lines().iter().any(|line| line == "claimed victim 0"), "it stopped too early")?;
    fleet.run(&["record", "taker", "0", "1"]);
    worker.signal(Signal::SIGCONT);
    assert!(worker.wait().success(), "{:?}", worker.lines());
    require(
        worker.lines().iter().any(|line| line == "ack victim 0"),
        &format!("it was told {:?}", worker.lines().last()),
    )?;
    fleet.verify().map(|_| ())
}

#[test]
fn a_completion_whose_tenure_was_lost_counts_once() {
    rests_on("applied", completed_in_a_lost_tenure);
}

/// A claim is committed, and its maker hears nothing of it: no release gets through.
fn unheard_of(without: &str) -> Result<(), String> {
    let backing = tempfile::tempdir().expect("temporary directory");
    let node = FaultFs::mount(backing.path(), faultfs::Options::default()).expect("mounted");
    let store = open(&node.path().join("s.db"), Protocol::Auto);
    let releases = Rule::on(&[Op::Rename]).by(std::process::id()).when(|call| {
        let [from, to] =
            [Some(&call.name), call.target.as_ref()].map(|name| name.map(|name| name.to_string_lossy()));
        from.is_some_and(|name| name.starts_with("h.")) && to.is_some_and(|name| name.starts_with("f."))
    });
    let refused = node.inject(releases.always(), Action::Error(Errno::EIO));
    let options = ClaimOptions { lease: LONG, refresh: false, retry_failed: true };
    store.claim(&[pair(0)], &options, 1, &Uninterrupted).expect_err("it is not released");
    assert!(refused.fired() > 0);
    refused.remove();
    require(store.claims(&Uninterrupted).expect("listed").len() == 1, "it was not made")?;
    mutation::without(without, || require(claim(&store, LONG).is_some(), "its maker waits for itself"))
}

#[test]
fn a_claim_of_which_its_maker_heard_nothing_is_its_makers() {
    if !must_skip() {
        rests_on("know-own-claims", unheard_of);
    }
}

/// What stands in the store of a worker that was killed: its record, or its claim, never both and never neither.
fn check_after_death(fleet: &Fleet, claimed: bool) -> Result<(), String> {
    let store = open(&fleet.db(), Protocol::Auto);
    let claims = store.claims(&Uninterrupted).map_err(|error| error.to_string())?;
    let records = store.count(&Uninterrupted).map_err(|error| error.to_string())?;
    let whole = match (records, claims.len()) {
        (1, 0) | (0, 1) => true,
        // Before anything was promised.
        (0, 0) => !claimed,
        _ => false,
    };
    require(whole, &format!("{records} records and {} claims", claims.len()))?;
    drop(store);
    // The next one measures what is not recorded, at once, and nothing else.
    let next = fleet.run(&["measure", "victim", "0", "1", "600", "0"]);
    let measured = next.iter().any(|line| line == "ack victim 0");
    require(measured == (records == 0), &format!("the next one: {next:?}"))
}

/// Kills a worker that claims and completes one pair at one in `step` of its changes of files.
fn killed_anywhere(without: &str, step: usize) -> (usize, Vec<String>) {
    let switched_off = format!("{without},coherence");
    let environment = [("CLIENT_WITHOUT", switched_off.as_str())];
    let begin = || {
        let fleet = Fleet::new(&[("CLIENT_STALE", "30"), ("CLIENT_TIMEOUT", "10")]);
        fleet.run(&["create"]);
        let node = FaultFs::mount(&fleet.store(), faultfs::Options { threads: 2, ..Default::default() });
        (node.expect("mounted"), fleet)
    };
    let words = ["measure", "victim", "0", "1", "600", "0"];
    let calls = {
        let (node, fleet) = begin();
        let calls = node.count(Rule::on(Op::CRASH_POINTS).by_others());
        assert!(fleet.start_on(node.path(), &environment, &words).wait().success());
        calls.matched()
    };
    let points: Vec<_> = (1..=calls).step_by(step).flat_map(|k| [(k, true), (k, false)]).collect();
    let verdicts = in_parallel(4, points, |(k, before)| {
        let (node, fleet) = begin();
        let hits = node.inject(Rule::on(Op::CRASH_POINTS).by_others().nth(k), Action::Kill { before });
        let mut victim = fleet.start_on(node.path(), &environment, &words);
        victim.wait();
        let claimed = victim.lines().iter().any(|line| line == "claimed victim 0");
        let verdict = check_after_death(&fleet, claimed).and_then(|()| fleet.verify().map(|_| ()));
        (hits.fired() > 0, verdict.map_err(|why| format!("call {k}, before: {before}: {why}")))
    });
    let deaths = verdicts.iter().filter(|(died, _)| *died).count();
    (deaths, verdicts.into_iter().filter_map(|(_, verdict)| verdict.err()).collect())
}

#[test]
fn a_worker_may_be_killed_anywhere_and_leaves_its_claim_or_its_record() {
    if must_skip() {
        return;
    }
    let (deaths, broken) = killed_anywhere("", 3);
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(deaths > 5, "{deaths} deaths");
    let (deaths, broken) = killed_anywhere("one-transaction", 6);
    report(&format!("claims without one-transaction: {} of {deaths} kills broken", broken.len()));
    assert!(!broken.is_empty(), "the promise is kept without it: this test cannot see it fail");
}

#[test]
fn whoever_waits_is_answered_and_takes_no_lock() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let store = open(&directory.path().join("s.db"), Protocol::Auto);
    let mine = claim(&store, LONG).expect("free");
    let waiter = open(&directory.path().join("s.db"), Protocol::Auto);
    let (_, source, schedule) = pair(0);
    let entered = waiter.waits().count();
    let (awaited, late) = thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let awaited = waiter.wait_for(&source, &schedule, None, false, LONG, &Uninterrupted);
            (awaited.expect("waited"), Instant::now())
        });
        thread::sleep(Duration::from_millis(300));
        assert!(store.complete(&mine, outcome(1.0), &Uninterrupted).expect("mine"));
        let done = Instant::now();
        let (awaited, answered) = waiting.join().expect("no panic");
        (awaited, answered.saturating_duration_since(done))
    });
    assert_eq!(awaited, Awaited::Recorded);
    assert_eq!(waiter.waits().count(), entered, "tenures of the waiter");
    assert!(late < Duration::from_millis(500), "{late:?} after the record");
}
