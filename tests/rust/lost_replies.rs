//! A file system that loses replies: a rename, link or unlink in twenty is done, and its caller is told that it failed
//! or that the name was not there. Nobody meets anybody inside, nobody is stuck, and nothing acknowledged is lost.

mod faultfs;
mod fleet;

use std::time::{Duration, Instant};

use nix::errno::Errno;

use faultfs::{Action, FaultFs, Op, Options, Rule, must_skip};
use fleet::{Figures, Fleet, report, seed};

/// Of all replies; half of the lost ones say EIO, half ENOENT.
const LOST: f64 = 0.05;
const NODES: usize = 3;

/// How many of what.
#[derive(Clone, Copy)]
struct Lossy {
    protocol: &'static str,
    /// A multiple of three. Two in three only take turns; the others record, and may be in one another's turns.
    processes: u64,
    /// Of those that only take turns, in all.
    acquisitions: u64,
    without: &'static str,
}

/// What was seen where nothing is broken.
struct Done {
    figures: Figures,
    entered: u64,
    lost: u64,
}

impl Lossy {
    fn run(self, seed: u64) -> Result<Done, String> {
        let fleet = Fleet::with_oracle(&[
            ("CLIENT_STALE", "10"),
            ("CLIENT_WITHOUT", self.without),
            ("CLIENT_PROTOCOL", self.protocol),
            ("CLIENT_COUNTS", "1"),
        ]);
        fleet.run(&["create"]);
        let nodes: Vec<_> = (0..NODES)
            .map(|_| FaultFs::mount(&fleet.store(), Options::default()).expect("mounted"))
            .collect();
        let mut hits = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            for (half, error) in [Errno::EIO, Errno::ENOENT].into_iter().enumerate() {
                let seed = seed.wrapping_add((2 * number + half) as u64);
                let rule = Rule::on(&[Op::Rename, Op::Link, Op::Unlink]).by_others();
                hits.push(node.inject(rule.sometimes(LOST / 2.0, seed), Action::LoseReply(error)));
            }
        }
        let each = (self.acquisitions * 3 / (self.processes * 2)).to_string();
        let few = (self.acquisitions / (self.processes * 2)).to_string();
        let mut clients: Vec<_> = (0..self.processes)
            .map(|number| {
                let (node, name) = (usize::try_from(number).unwrap_or(0) % NODES, format!("node{number}"));
                let environment = [("CLIENT_NODE", name.as_str())];
                let (prefix, seed) = (format!("p{number}"), seed.wrapping_add(number).to_string());
                let words: &[&str] = match number % 6 {
                    2 => &["record", &prefix, "0", &few],
                    5 => &["work", &prefix, &seed, &few],
                    _ => &["enter", &each],
                };
                fleet.start_on(nodes[node].path(), &environment, words)
            })
            .collect();
        let mut failed = Vec::new();
        let patience = Duration::from_secs(60)
            + Duration::from_millis(100) * u32::try_from(self.acquisitions).unwrap_or(0);
        for client in &mut clients {
            if !client.wait_within(patience).success() {
                failed.push(client.lines().into_iter().find(|line| line.starts_with("error")));
            }
        }
        let lost = hits.iter().map(faultfs::Hits::fired).sum();
        if !failed.is_empty() {
            return Err(format!("{} overlaps; clients that failed: {failed:?}", fleet.count("overlap")));
        }
        let entered = fleet.lines().iter().filter_map(|line| line.strip_prefix("counts ")).map(first).sum();
        fleet.verify().map(|figures| Done { figures, entered, lost })
    }

    fn reports(self) {
        if must_skip() {
            return;
        }
        let (seed, began) = (seed(), Instant::now());
        let Self { protocol, processes, acquisitions, .. } = self;
        let what = format!(
            "lost replies ({protocol}) with seed {seed}: {processes} processes on {NODES} nodes, {acquisitions} turns"
        );
        match self.run(seed) {
            Ok(Done { figures: Figures { promised, present }, entered, lost }) => {
                assert!(entered >= acquisitions, "{entered} tenures");
                report(&format!(
                    "{what}, {entered} tenures, {lost} replies lost, 0 overlaps, 0 stuck, {promised} records \
                     acknowledged, 0 lost, {present} present, {:.0?}",
                    began.elapsed()
                ));
            }
            Err(broken) => panic!("reliability: {what}: {broken}"),
        }
    }
}

fn first(counts: &str) -> u64 {
    counts.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0)
}

const SMALL: Lossy = Lossy { protocol: "token", processes: 6, acquisitions: 300, without: "" };

#[test]
fn lost_replies_of_the_token_lock_lose_nothing() {
    SMALL.reports();
}

#[test]
fn lost_replies_of_the_hard_link_lock_lose_nothing() {
    Lossy { protocol: "hardlink", ..SMALL }.reports();
}

#[test]
fn a_lock_that_believes_every_error_fails() {
    if must_skip() {
        return;
    }
    let broken =
        Lossy { without: "lost-replies", ..SMALL }.run(seed()).err().expect("errors that hide successes");
    report(&format!("lost replies, all believed: {broken}"));
}

#[test]
#[ignore = "minutes: make reliability"]
fn ten_thousand_turns_of_the_token_lock_lose_nothing() {
    Lossy { processes: 12, acquisitions: 10_000, ..SMALL }.reports();
}

#[test]
#[ignore = "minutes: make reliability"]
fn two_thousand_turns_of_the_hard_link_lock_lose_nothing() {
    Lossy { protocol: "hardlink", processes: 12, acquisitions: 2_000, ..SMALL }.reports();
}
