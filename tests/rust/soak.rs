//! Workers that are killed at random moments, again and again: no acknowledged record is lost, nobody meets anybody
//! inside, and nothing is left behind.

mod fleet;

use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use fleet::{Figures, Fleet, report, seed};

/// How many of what.
#[derive(Clone, Copy)]
struct Soak {
    processes: usize,
    kills: usize,
    /// Nodes that they are on. A dead process of another node is replaced after its silence, and fenced off.
    nodes: u64,
    without: &'static str,
}

/// What was seen where nothing is broken.
#[derive(Debug)]
struct Done {
    figures: Figures,
    dead: usize,
    silent: usize,
}

impl Soak {
    fn run(self, seed: u64) -> Result<Done, String> {
        let mut chance = StdRng::seed_from_u64(seed);
        // Beside one node nobody is ever silent: whoever died is proved dead.
        let takeover = if self.nodes == 1 { "30" } else { "0.5" };
        // Somebody has to live long enough to watch a silent holder.
        let longest_pause = if self.nodes == 1 { 20_000 } else { 150_000 };
        let fleet = Fleet::with_oracle(&[("CLIENT_STALE", takeover), ("CLIENT_WITHOUT", self.without)]);
        fleet.run(&["create"]);
        let mut number = 0;
        let mut start = |chance: &mut StdRng| {
            number += 1;
            let node = format!("node{}", chance.random_range(0..self.nodes));
            let seed = chance.random::<u32>().to_string();
            let slow = if chance.random() { "500" } else { "0" };
            fleet.start_with(
                &[("CLIENT_NODE", &node), ("CLIENT_SLOW", slow)],
                &["work", &format!("p{number}"), &seed, "1000000"],
            )
        };
        let mut clients: Vec<_> = (0..self.processes).map(|_| start(&mut chance)).collect();
        let mut kills = 0;
        let deadline =
            Instant::now() + Duration::from_millis(400) * u32::try_from(self.kills + 100).unwrap_or(0);
        while kills < self.kills {
            // Of all ages: some die while they open the store.
            thread::sleep(Duration::from_micros(chance.random_range(0..longest_pause)));
            let victim = chance.random_range(0..clients.len());
            if !clients[victim].kill() {
                let overlaps = fleet.count("overlap");
                let last = clients[victim].lines().pop();
                return Err(format!("{overlaps} overlaps; a client ended by itself: {last:?}"));
            }
            kills += 1;
            clients[victim] = start(&mut chance);
            if Instant::now() > deadline {
                return Err(format!("only {kills} kills in all the time"));
            }
        }
        for client in &mut clients {
            client.kill();
        }
        // What the dead of a node left, a client of the node sweeps.
        for node in 0..self.nodes {
            let node = format!("node{node}");
            let mut sweeper = fleet.start_with(&[("CLIENT_NODE", &node)], &["recover"]);
            if !sweeper.wait().success() {
                return Err(format!("the client after the dead: {:?}", sweeper.lines()));
            }
        }
        let (dead, silent) = (fleet.count("ended-holder-replaced"), fleet.count("silent-holder-replaced"));
        fleet.verify().map(|figures| Done { figures, dead, silent })
    }

    fn reports(self) {
        let (seed, began) = (seed(), Instant::now());
        let Self { processes, kills, nodes, .. } = self;
        let what = format!("soak with seed {seed}: {kills} kills of {processes} processes on {nodes} nodes");
        match self.run(seed) {
            Ok(Done { figures: Figures { promised, present }, dead, silent }) => report(&format!(
                "{what}, {dead} holders replaced as dead and {silent} as silent, {promised} records acknowledged, \
                 0 lost, {present} present, 0 overlaps, {:.0?}",
                began.elapsed()
            )),
            Err(broken) => panic!("reliability: {what}: {broken}"),
        }
    }
}

const SMALL: Soak = Soak { processes: 8, kills: 100, nodes: 1, without: "" };

#[test]
fn workers_of_one_node_that_are_killed_lose_nothing() {
    SMALL.reports();
}

#[test]
fn workers_of_several_nodes_that_are_killed_lose_nothing() {
    Soak { kills: 60, nodes: 8, ..SMALL }.reports();
}

#[test]
fn a_soak_sees_a_lock_that_lets_two_in() {
    let broken =
        Soak { without: "proof-of-death", ..SMALL }.run(seed()).expect_err("the living are replaced");
    report(&format!("soak without proofs of death: {broken}"));
}

#[test]
fn a_soak_sees_transactions_that_nobody_rolls_back() {
    let soak = Soak { kills: 3000, without: "roll-back,keep-foreign-journal", ..SMALL };
    let broken = soak.run(seed()).expect_err("half-written pages stay");
    report(&format!("soak without recovery: {broken}"));
}

#[test]
#[ignore = "minutes: make reliability"]
fn two_thousand_kills_on_one_node_lose_nothing() {
    Soak { processes: 16, kills: 2000, ..SMALL }.reports();
}

#[test]
#[ignore = "minutes: make reliability"]
fn two_thousand_kills_on_several_nodes_lose_nothing() {
    Soak { processes: 16, kills: 2000, nodes: 16, ..SMALL }.reports();
}
