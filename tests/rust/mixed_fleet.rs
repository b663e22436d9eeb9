//! Clients of the original beside ours on one store that is not sealed, some of which are killed: they exclude each
//! other and lose nothing. Then the store is sealed under their load.
//!
//! What no test of ours can promise, as it cannot be cured from our side, is in `docs/design.md`: an original whose clock
//! is wrong, or that is suspended for longer than its own timeout, and two that break one lock at the same moment.

mod fleet;

use std::thread;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use fleet::{Client, Figures, Fleet, in_parallel, report, seed};

/// Seconds after which an original breaks a lock, by the wall clock. Ours watch a silent holder for longer: two that
/// break at the same moment are the original's danger.
const ORIGINAL_STALE: &str = "1";
const STALE: &str = "1.5";
/// Clients of one store; the first is the original.
const CLIENTS: usize = 4;

fn start(fleet: &Fleet, original: bool, prefix: &str) -> Client {
    let many = "1000000000";
    if original {
        let environment = [("CLIENT_STALE", ORIGINAL_STALE), ("CLIENT_PAUSE", "2"), ("CLIENT_TIMEOUT", "3")];
        fleet.start_with(&environment, &["original", prefix, "0", many])
    } else {
        // Originals do not ask for room: without a pause they would wait for luck.
        fleet.start_with(&[("CLIENT_PAUSE", "5")], &["record", prefix, "0", many, "2"])
    }
}

fn new_fleet(protocol: &str, without: &str) -> Fleet {
    let fleet = Fleet::with_oracle(&[("CLIENT_STALE", STALE), ("CLIENT_WITHOUT", without)]);
    let mut creator = fleet.start_with(&[("CLIENT_PROTOCOL", protocol)], &["create"]);
    assert!(creator.wait().success(), "{:?}", creator.lines());
    fleet
}

/// Waits until several records have been acknowledged.
fn wait_for_progress(clients: &[Client]) -> Result<(), String> {
    let written = || clients.iter().map(Client::written).sum::<u64>();
    let (before, began) = (written(), Instant::now());
    while written() < before + 100 {
        if began.elapsed() > Duration::from_secs(30) {
            return Err("nobody gets on".to_owned());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn kill_some(seed: u64, rounds: usize, without: &str) -> Result<Figures, String> {
    let mut chance = StdRng::seed_from_u64(seed);
    let fleet = new_fleet("hardlink", without);
    let mut clients: Vec<_> =
        (0..CLIENTS).map(|number| start(&fleet, number == 0, &format!("first{number}"))).collect();
    for round in 0..rounds {
        // A dead holder keeps everybody waiting: the next kill comes when they are at work again.
        wait_for_progress(&clients)?;
        thread::sleep(Duration::from_micros(chance.random_range(0..50_000)));
        let victim = chance.random_range(0..CLIENTS);
        let original = victim == 0;
        if !clients[victim].kill() && !original {
            let last = clients[victim].lines().pop();
            return Err(format!("{} overlaps; a client ended by itself: {last:?}", fleet.count("overlap")));
        }
        clients[victim] = start(&fleet, original, &format!("p{round}"));
    }
    // Whoever is left gets on.
    wait_for_progress(&clients)?;
    for client in &mut clients {
        client.kill();
    }
    fleet.verify()
}

fn rounds(stores: usize, rounds: usize) {
    let (seed, began) = (seed(), Instant::now());
    let outcomes =
        in_parallel(stores, (0..stores).collect(), |store| kill_some(seed + store as u64, rounds, ""));
    let broken: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    let promised: usize = outcomes.iter().flatten().map(|figures| figures.promised).sum();
    report(&format!(
        "mixed fleet, seed {seed}: {} kills, {promised} records acknowledged, {} of {stores} stores broken, {:.0?}",
        stores * rounds,
        broken.len(),
        began.elapsed()
    ));
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn originals_and_ours_that_are_killed_lose_nothing() {
    rounds(4, 15);
}

#[test]
fn a_lock_that_ours_take_from_the_living_lets_two_in() {
    let broken = kill_some(seed(), 15, "proof-of-death").expect_err("this test cannot see the promise fail");
    report(&format!("mixed fleet without proofs of death: {broken}"));
}

#[test]
#[ignore = "minutes: make reliability"]
fn originals_and_ours_that_are_killed_a_thousand_times_lose_nothing() {
    rounds(8, 125);
}

/// Seals a store while originals and ours record: originals time out, none enters afterwards, and ours go on.
fn seal_under_load(without: &str) -> Result<Figures, String> {
    let fleet = new_fleet("hardlink", "");
    let mut originals: Vec<_> =
        (0..2).map(|number| start(&fleet, true, &format!("original{number}"))).collect();
    let mut ours: Vec<_> = (0..2).map(|number| start(&fleet, false, &format!("ours{number}"))).collect();
    for client in originals.iter_mut().chain(&mut ours) {
        if !client.wait_for("ack ") {
            return Err(format!("it ended: {:?}", client.lines()));
        }
    }
    let mut admin = fleet.start_with(&[("CLIENT_WITHOUT", without)], &["seal"]);
    if !admin.wait().success() {
        return Err(format!("it was not sealed: {:?}", admin.lines()));
    }
    let sealed = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    let before: Vec<_> = ours.iter().map(|client| client.lines().len()).collect();
    for original in &mut originals {
        let status = original.wait();
        let lines = original.lines();
        let timed_out =
            lines.last().is_some_and(|line| line.starts_with("error") && line.contains("timed out"));
        if status.success() || !timed_out {
            return Err(format!("an original after the sealing: {:?}", lines.last()));
        }
        let entered = |line: &String| line.strip_prefix("entered ")?.parse().ok().map(Duration::from_nanos);
        let last = lines.iter().filter_map(entered).max().unwrap_or_default();
        if last >= sealed {
            return Err("an original entered a sealed store".to_owned());
        }
    }
    for (client, before) in ours.iter_mut().zip(before) {
        if !client.kill() || client.lines().len() <= before {
            return Err(format!("ours did not go on: {:?}", client.lines().last()));
        }
    }
    fleet.verify()
}

fn seals(times: usize) {
    let began = Instant::now();
    let outcomes = in_parallel(4, (0..times).collect(), |_| seal_under_load(""));
    let broken: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    let promised: usize = outcomes.iter().flatten().map(|figures| figures.promised).sum();
    report(&format!(
        "sealed under load {times} times, {promised} records acknowledged, {} broken, {:.0?}",
        broken.len(),
        began.elapsed()
    ));
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_store_is_sealed_while_originals_record() {
    seals(2);
}

#[test]
fn a_store_that_is_sealed_beside_the_holder_of_its_old_lock_has_two_inside() {
    // An original has to be inside just then.
    let broken = (0..20).find_map(|_| seal_under_load("seal-after-the-holder").err());
    report(&format!("sealed under load without seal-after-the-holder: {broken:?}"));
    assert!(broken.is_some(), "the promise is kept without it: this test cannot see it fail");
}

#[test]
#[ignore = "a minute: make reliability"]
fn a_store_is_sealed_while_originals_record_forty_times() {
    seals(40);
}
