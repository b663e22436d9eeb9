//! Two nodes that answer names, missing names, attributes, listings and pages from caches for seconds, without any locks
//! of the file system: they record and look up by turns and at once, and nothing acknowledged is lost.
//!
//! A connection that is kept loses rows there, under the same lock.

mod faultfs;
mod fleet;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use faultfs::{Cache, FaultFs, Locks, Op, Options, Rule, must_skip};
use fleet::{Client, Figures, Fleet, in_parallel, report, seed};

const NODES: usize = 2;

/// How much of what.
#[derive(Clone, Copy)]
struct Stale {
    cache: Cache,
    /// Each: one node records, the other one looks it up and records.
    turns: usize,
    /// Clients of each node at once, and how much each of them does.
    clients: u64,
    each: u64,
    without: &'static str,
}

/// What was seen where nothing is broken.
struct Done {
    figures: Figures,
    tenures: u64,
    reads: u64,
}

fn node(fleet: &Fleet, cache: Cache) -> FaultFs {
    let options = Options { cache, locks: Locks::Refused, ..Options::default() };
    FaultFs::mount(&fleet.store(), options).expect("mounted")
}

impl Stale {
    fn run(self, seed: u64) -> Result<Done, String> {
        let fleet = Fleet::with_oracle(&[("CLIENT_STALE", "30"), ("CLIENT_COUNTS", "1")]);
        let nodes: Vec<_> = (0..NODES).map(|_| node(&fleet, self.cache)).collect();
        for node in &nodes {
            let judged = tirastore::filesystem::coherence(&node.path().join("s.db"));
            assert!(!judged.coherent, "{}", judged.reason);
        }
        let start = |number: usize, words: &[&str]| {
            let name = format!("node{number}");
            // Only what the store's users do is to be broken.
            let without = if words == ["create"] { "" } else { self.without };
            let environment = [("CLIENT_NODE", name.as_str()), ("CLIENT_WITHOUT", without)];
            fleet.start_on(nodes[number].path(), &environment, words)
        };
        // Both at once, before either has seen anything of it.
        ended(vec![start(0, &["create"]), start(1, &["create"])])?;
        let file = File::open(nodes[0].path().join("s.db")).expect("opened");
        assert!(file.try_lock().is_err(), "there are no locks of the file system");
        drop(file);
        for turn in 0..self.turns {
            let (one, other) = (turn % NODES, (turn + 1) % NODES);
            let prefix = format!("turn{turn}");
            ended(vec![start(one, &["record", &prefix, "0", "5"])])?;
            let lines = ended(vec![start(other, &["lookup", &prefix, "0", "5"])])?;
            if lines.iter().filter(|line| line.starts_with("hit ")).count() != 5 {
                return Err(format!("node {other} does not see what node {one} has recorded: {lines:?}"));
            }
            ended(vec![start(other, &["record", &format!("{prefix}b"), "0", "5"])])?;
        }
        let clients = (0..self.clients * NODES as u64).map(|number| {
            let (prefix, seed) = (format!("p{number}"), seed.wrapping_add(number).to_string());
            let each = self.each.to_string();
            let words: &[&str] = if number < NODES as u64 {
                &["record", &prefix, "0", &each]
            } else {
                &["work", &prefix, &seed, &each]
            };
            start(usize::try_from(number).unwrap_or(0) % NODES, words)
        });
        let outcome = ended(clients.collect());
        let lines = fleet.lines();
        let promised: BTreeSet<&str> = lines.iter().filter_map(|line| line.strip_prefix("ack ")).collect();
        // What a node that has just come sees.
        let fresh = node(&fleet, self.cache);
        let found = ended(vec![fleet.start_on(fresh.path(), &[], &["check"])]).unwrap_or_default();
        let present: BTreeSet<&str> = found.iter().filter_map(|line| line.strip_prefix("ok ")).collect();
        let (missing, of) = (promised.difference(&present).count(), promised.len());
        let verified = fleet.verify();
        if let Err(failed) = outcome {
            return Err(format!("{failed}; then {:?}", verified.err()));
        }
        if missing > 0 {
            return Err(format!(
                "{missing} of {of} records not there for a fresh node; then: {:?}",
                verified.err()
            ));
        }
        let counts: Vec<Vec<u64>> =
            lines.iter().filter_map(|line| line.strip_prefix("counts ")).map(numbers).collect();
        let sum = |column: usize| counts.iter().filter_map(|counts| counts.get(column)).sum::<u64>();
        let figures = verified?;
        if sum(1) + sum(2) > 0 {
            return Err(format!("{} reads without the lock", sum(1) + sum(2)));
        }
        Ok(Done { figures, tenures: sum(0), reads: sum(3) })
    }

    fn reports(self) {
        if must_skip() {
            return;
        }
        let (seed, began) = (seed(), Instant::now());
        let what = format!("stale caches ({:?}) with seed {seed}: {} turns", self.cache, self.turns);
        match self.run(seed) {
            Ok(Done { figures: Figures { promised, present }, tenures, reads }) => report(&format!(
                "{what}, then {} clients at once, {tenures} tenures, {reads} reads, 0 of them without the lock, \
                 0 overlaps, {promised} records acknowledged, 0 lost, {present} present, {:.0?}",
                self.clients * NODES as u64,
                began.elapsed()
            )),
            Err(broken) => panic!("reliability: {what}: {broken}"),
        }
    }
}

fn numbers(counts: &str) -> Vec<u64> {
    counts.split(' ').filter_map(|count| count.parse().ok()).collect()
}

/// What all of them said, once they have ended well.
fn ended(clients: Vec<Client>) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    for mut client in clients {
        let status = client.wait();
        lines.extend(client.lines());
        if !status.success() {
            return Err(format!(
                "a client failed: {:?}",
                client.lines().into_iter().find(|line| line.starts_with("error"))
            ));
        }
    }
    Ok(lines)
}

const SECOND: Duration = Duration::from_secs(1);
const SMALL: Stale = Stale { cache: Cache::Reopened(SECOND), turns: 3, clients: 2, each: 12, without: "" };

#[test]
fn nodes_with_caches_lose_nothing() {
    SMALL.reports();
}

#[test]
fn nodes_whose_pages_outlive_a_reopening_lose_nothing() {
    Stale { cache: Cache::Cached(SECOND), ..SMALL }.reports();
}

/// One node records, another one, and the first one again in the same process. The rows fit into pages that are there:
/// had the file grown, SQLite would have seen that what it has read does not fit together.
fn record_between(without: &str) -> Result<Figures, String> {
    let fleet = Fleet::with_oracle(&[("CLIENT_STALE", "30")]);
    let nodes: Vec<_> = (0..NODES).map(|_| node(&fleet, Cache::Reopened(3 * SECOND))).collect();
    ended(vec![fleet.start_on(nodes[0].path(), &[], &["create"])])?;
    between_two_of_one_process(&fleet, [nodes[0].path(), nodes[1].path()], without, || ())
}

/// The second node records, then the first one, and then the same process of the second. `look` is called after its first
/// record.
fn between_two_of_one_process(
    fleet: &Fleet,
    [one, other]: [&Path; 2],
    without: &str,
    look: impl FnOnce(),
) -> Result<Figures, String> {
    let environment = [("CLIENT_WITHOUT", without), ("CLIENT_NODE", "other"), ("CLIENT_PAUSE", "1500")];
    let mut living = fleet.start_on(other, &environment, &["record", "living", "0", "2"]);
    if !living.wait_for("ack living 0") {
        return Err(format!("it has ended: {:?}", living.lines()));
    }
    look();
    ended(vec![fleet.start_on(one, &[], &["record", "between", "0", "1"])])?;
    if living.lines().len() > 1 {
        return Err("too late".to_owned());
    }
    ended(vec![living])?;
    fleet.verify()
}

#[test]
fn connections_that_are_kept_lose_rows_where_nodes_have_caches() {
    if must_skip() {
        return;
    }
    record_between("").expect("nothing is lost");
    let broken = record_between("coherence").expect_err("kept connections lose rows");
    assert!(broken.starts_with("1 of 3 acknowledged records lost"), "{broken}");
    report(&format!("stale caches with a connection that is kept: {broken}"));
}

#[test]
fn files_that_are_opened_without_asking_anew_lose_rows_where_nodes_have_caches() {
    if must_skip() {
        return;
    }
    let broken = Stale { cache: Cache::Cached(SECOND), without: "fresh-look", ..SMALL }
        .run(seed())
        .err()
        .expect("old pages and sizes");
    report(&format!("stale caches with files opened without asking anew: {broken}"));
}

#[test]
fn nodes_whose_client_keeps_copies_of_files_lose_nothing() {
    Stale { cache: Cache::Copied(SECOND), ..SMALL }.reports();
}

/// One node looks into the database without the lock, the other one records, and the first one records what fits into
/// pages that are there.
fn record_beside_copies(without: &str) -> Result<Figures, String> {
    let fleet = Fleet::with_oracle(&[("CLIENT_STALE", "30")]);
    let nodes: Vec<_> = (0..NODES).map(|_| node(&fleet, Cache::Copied(30 * SECOND))).collect();
    ended(vec![fleet.start_on(nodes[0].path(), &[], &["create"])])?;
    ended(vec![fleet.start_on(nodes[0].path(), &[], &["record", "before", "0", "1"])])?;
    between_two_of_one_process(&fleet, [nodes[0].path(), nodes[1].path()], without, || {
        fs::read(nodes[1].path().join("s.db")).expect("read");
    })
}

#[test]
fn files_of_which_the_client_keeps_copies_lose_rows_unless_it_is_told_to_drop_them() {
    if must_skip() {
        return;
    }
    record_beside_copies("").expect("nothing is lost");
    let broken = record_beside_copies("forget-copies").expect_err("old pages");
    assert!(broken.starts_with("1 of 4 acknowledged records lost"), "{broken}");
    report(&format!("stale caches with copies that the client keeps: {broken}"));
}

/// A node remembers a listing that was read while the token was renamed: it has both names.
fn enter_beside_an_old_listing(without: &str) -> Result<Figures, String> {
    let fleet = Fleet::new(&[("CLIENT_STALE", "0.5")]);
    let node = node(&fleet, Cache::Cached(2 * SECOND));
    fleet.run(&["create"]);
    let list = |directory: &Path| -> Vec<String> {
        let entries = fs::read_dir(directory.join("s.db.lock")).expect("listed").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("f.")).collect()
    };
    let other = fleet.store().join("s.db.lock").join(format!("{}0", list(&fleet.store())[0]));
    File::create_new(&other).expect("created");
    assert_eq!(list(node.path()).len(), 2);
    fs::remove_file(other).expect("removed");
    assert_eq!(list(node.path()).len(), 2, "it is remembered");
    ended(vec![fleet.start_on(node.path(), &[("CLIENT_WITHOUT", without)], &["record", "p", "0", "1"])])?;
    fleet.verify()
}

#[test]
fn an_old_listing_is_not_taken_for_a_damaged_lock() {
    if must_skip() {
        return;
    }
    enter_beside_an_old_listing("").expect("it waits");
    let broken = enter_beside_an_old_listing("outwait-old-listings").expect_err("two tokens");
    assert!(broken.contains("it has 2 tokens"), "{broken}");
}

#[test]
fn a_store_is_never_empty_for_others_to_see_while_it_is_made() {
    if must_skip() {
        return;
    }
    for (without, seen) in [("", 0), ("show-no-empty-database", 1)] {
        let fleet = Fleet::new(&[("CLIENT_WITHOUT", without)]);
        let node = node(&fleet, Cache::Copied(SECOND));
        let created = node.count(Rule::on(&[Op::Create]).named(|name| name == "s.db"));
        ended(vec![fleet.start_on(node.path(), &[], &["create"])]).expect("created");
        assert_eq!(created.matched(), seen, "without {without:?}");
    }
}

/// A node saw an empty file where another one has made a store since, and recorded.
fn open_what_was_empty(without: &str) -> Result<Figures, String> {
    let fleet = Fleet::new(&[("CLIENT_STALE", "30")]);
    let nodes: Vec<_> = (0..NODES).map(|_| node(&fleet, Cache::Copied(3 * SECOND))).collect();
    let seen = nodes[1].path().join("s.db");
    File::create_new(fleet.db()).expect("created");
    assert_eq!(fs::metadata(&seen).expect("seen").len(), 0);
    fs::remove_file(fleet.db()).expect("removed");
    ended(vec![fleet.start_on(nodes[0].path(), &[], &["record", "first", "0", "1"])])?;
    assert_eq!(fs::metadata(&seen).expect("seen").len(), 0, "it is remembered");
    let environment = [("CLIENT_WITHOUT", without), ("CLIENT_NODE", "other")];
    let second = ended(vec![fleet.start_on(nodes[1].path(), &environment, &["record", "second", "0", "1"])]);
    ended(vec![fleet.start_on(nodes[0].path(), &[], &["record", "third", "0", "1"])])?;
    fleet.verify().and_then(|figures| second.map(|_| figures))
}

#[test]
fn a_file_that_was_empty_a_moment_ago_is_not_made_a_store_of_again() {
    if must_skip() {
        return;
    }
    open_what_was_empty("").expect("nothing is lost");
    for without in ["empty-now", "outwait-old-names"] {
        let broken = open_what_was_empty(without).expect_err("an old memory");
        report(&format!("stale caches with a file that was empty, without {without}: {broken}"));
    }
}

#[test]
#[ignore = "minutes: make reliability"]
fn nodes_with_long_caches_lose_nothing() {
    let caches = [
        Cache::Reopened(SECOND),
        Cache::Reopened(3 * SECOND),
        Cache::Cached(SECOND),
        Cache::Cached(3 * SECOND),
        Cache::Copied(SECOND),
        Cache::Copied(3 * SECOND),
    ];
    let full = Stale { turns: 20, clients: 3, each: 200, ..SMALL };
    in_parallel(1, caches.into(), |cache| Stale { cache, ..full }.reports());
}
