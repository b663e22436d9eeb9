//! The power fails at a random moment of a workload: of what nobody had synced, each write is kept, lost or torn. Every
//! record that was acknowledged before is there, whole, and the store goes on.

mod faultfs;
mod fleet;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::{Connection, OpenFlags};

use faultfs::{Durability, Event, FaultFs, Log, Options, Trace, Tree, must_skip};
use fleet::{Fleet, in_parallel, report, seed};

/// Crash images that are opened at the same time.
const WORKERS: usize = 3;

#[derive(Clone, Copy)]
struct Cuts {
    protocol: &'static str,
    without: &'static str,
    promises: Durability,
    /// Of the workload.
    rounds: u64,
    images: usize,
}

/// What happened to a store up to its last moment, on clients that mark in the log what was acknowledged.
fn workload(cuts: Cuts, seed: u64) -> Trace {
    let environment =
        [("CLIENT_PROTOCOL", cuts.protocol), ("CLIENT_WITHOUT", cuts.without), ("CLIENT_STALE", "0.5")];
    let fleet = Fleet::new(&environment);
    fleet.run(&["create"]);
    let log = Log::of(&fleet.store()).expect("read");
    let node = FaultFs::mount(&fleet.store(), Options { log: Some(log.clone()), ..Options::default() })
        .expect("mounted");
    let marks = node.path().to_string_lossy().into_owned();
    let start = |words: &[&str]| fleet.start_on(node.path(), &[("CLIENT_MARKS", marks.as_str())], words);
    for round in 0..cuts.rounds {
        let (singles, batches, work) = (format!("s{round}"), format!("b{round}"), format!("w{round}"));
        let seed = seed.wrapping_add(round).to_string();
        let mut clients = vec![
            start(&["record", &singles, "0", "15"]),
            start(&["record", &batches, "0", "120", "40"]),
            start(&["work", &work, &seed, "12"]),
        ];
        for client in &mut clients {
            assert!(client.wait().success(), "{:?}", client.lines());
        }
        let mut overwriting = start(&["overwrite", &singles, "0", "5"]);
        assert!(overwriting.wait().success(), "{:?}", overwriting.lines());
    }
    // One that dies in the middle: its journal may be hot, its token is held.
    let mut dying = start(&["record", "dying", "0", "100000", "30"]);
    assert!(dying.wait_for("ack dying 60"), "{:?}", dying.lines());
    dying.signal(Signal::SIGKILL);
    dying.wait();
    log.trace()
}

impl Cuts {
    fn run(self, seed: u64) -> Result<Found, String> {
        let trace = workload(self, seed);
        let mut chance = StdRng::seed_from_u64(seed);
        let points: Vec<usize> = trace
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| !matches!(entry.event, Event::Mark(_)))
            .map(|(position, _)| position)
            .collect();
        let acknowledged: Vec<usize> = trace
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| matches!(entry.event, Event::Mark(_)))
            .map(|(position, _)| position + 1)
            .collect();
        let cuts: Vec<(usize, u64)> = (0..self.images)
            .map(|number| {
                // Half of them just after an acknowledgement, when what it rests on is youngest.
                let among = if number % 2 == 0 { &points } else { &acknowledged };
                (among[chance.random_range(0..among.len())], chance.random())
            })
            .collect();
        let found = in_parallel(WORKERS, cuts, |(cut, seed)| {
            self.open(&trace, cut, seed)
                .map_err(|broken| format!("cut {cut} of {}, image {seed}: {broken}", trace.entries.len()))
        });
        let mut all = Found { events: trace.entries.len(), ..Found::default() };
        let (mut broken, mut first) = (0, None);
        for one in found {
            match one {
                Ok(one) => {
                    all.acknowledged += one.acknowledged;
                    all.held += one.held;
                    all.hot += one.hot;
                }
                Err(why) => {
                    broken += 1;
                    first.get_or_insert(why);
                }
            }
        }
        first.map_or(Ok(all), |first| Err(format!("{broken} of {} images; {first}", self.images)))
    }

    /// Opens what a power cut left, as the next client does.
    fn open(self, trace: &Trace, cut: usize, seed: u64) -> Result<Found, String> {
        let image = trace.power_cut(cut, seed, self.promises);
        let promised: BTreeSet<&str> = trace.marks(cut).into_iter().collect();
        let hot = image
            .content("s.db-journal")
            .is_some_and(|journal| journal.first().is_some_and(|&byte| byte != 0));
        let held = tokens(&image).iter().any(|token| token.starts_with("h."));
        let directory = tempfile::tempdir().expect("temporary directory");
        image.write(directory.path()).expect("written");
        // The power failed on another node, or on this one: then its processes are known to have ended.
        let node = if seed.is_multiple_of(2) { "elsewhere" } else { "" };
        let found = client(directory.path(), node, &["check"])?;
        let present: BTreeSet<&str> = found.iter().filter_map(|line| line.strip_prefix("ok ")).collect();
        let damaged = found.iter().filter(|line| line.starts_with("bad ")).count();
        let lost: Vec<_> = promised.difference(&present).collect();
        if damaged > 0 || !lost.is_empty() {
            let (few, of) = (lost.iter().take(3).collect::<Vec<_>>(), promised.len());
            return Err(format!(
                "{} of {of} acknowledged records lost ({few:?}), {damaged} damaged",
                lost.len()
            ));
        }
        client(directory.path(), node, &["record", "after", "0", "2"])?;
        let verdict = integrity(&directory.path().join("s.db")).map_err(|error| error.to_string())?;
        if verdict != "ok" {
            return Err(format!("integrity: {verdict}"));
        }
        Ok(Found { events: 0, acknowledged: promised.len(), held: usize::from(held), hot: usize::from(hot) })
    }

    fn reports(self) {
        if must_skip() {
            return;
        }
        let (seed, began) = (seed(), Instant::now());
        let Self { protocol, promises, images, .. } = self;
        let what = format!("power cuts ({protocol}, {promises:?}) with seed {seed}: {images} images");
        match self.run(seed) {
            Ok(Found { events, acknowledged, held, hot }) => report(&format!(
                "{what} of {events} events, {held} with a held token, {hot} with a hot journal, {acknowledged} \
                 acknowledged records in them, 0 lost, 0 damaged, integrity ok, {:.0?}",
                began.elapsed()
            )),
            Err(broken) => panic!("reliability: {what}: {broken}"),
        }
    }
}

/// What was found where nothing is broken.
#[derive(Debug, Default)]
struct Found {
    events: usize,
    acknowledged: usize,
    held: usize,
    hot: usize,
}

fn tokens(image: &Tree) -> Vec<String> {
    let paths = image.paths();
    let names = paths.keys().filter(|path| path.starts_with("s.db.lock")).filter_map(|path| path.file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with(['f', 'h']))
        .collect()
}

fn integrity(db: &Path) -> rusqlite::Result<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags_and_vfs(db, flags, c"unix-none")?;
    connection.query_row("PRAGMA integrity_check(3)", [], |row| row.get(0))
}

/// Runs a client to its end.
fn client(directory: &Path, node: &str, words: &[&str]) -> Result<Vec<String>, String> {
    let mut command = Command::new("timeout");
    command.arg("60").arg(env!("CARGO_BIN_EXE_client")).arg(directory.join("s.db")).args(words);
    command.env("CLIENT_STALE", "0.5");
    if !node.is_empty() {
        command.env("CLIENT_NODE", node);
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if output.status.success() {
        Ok(lines)
    } else {
        Err(format!("{words:?}: {} {:?}", output.status, lines.last()))
    }
}

const POSIX: Durability = Durability { fsync_covers_name: false, one_journal: false };
const EXT4: Durability = Durability { fsync_covers_name: true, one_journal: true };
const SMALL: Cuts = Cuts { protocol: "token", without: "", promises: POSIX, rounds: 1, images: 25 };

#[test]
fn a_power_cut_takes_nothing_from_a_sealed_store() {
    SMALL.reports();
    // With connections that are kept: the one mount is as coherent as a local file system.
    Cuts { promises: EXT4, without: "coherence", ..SMALL }.reports();
}

#[test]
fn a_power_cut_takes_nothing_from_a_store_open_to_originals() {
    Cuts { protocol: "hardlink", ..SMALL }.reports();
    Cuts { protocol: "hardlink", promises: EXT4, ..SMALL }.reports();
}

#[test]
fn a_journal_that_was_removed_without_a_sync_comes_back_and_takes_acknowledged_records() {
    if must_skip() {
        return;
    }
    let unsynced = Cuts { protocol: "hardlink", without: "synced-journal-end", images: 60, ..SMALL };
    let broken = unsynced.run(seed()).expect_err("the journal comes back");
    assert!(broken.contains("acknowledged records lost"), "{broken}");
    report(&format!("power cuts with synchronous=FULL: {broken}"));
}

#[test]
#[ignore = "minutes: make reliability"]
fn a_thousand_power_cuts_take_nothing() {
    for protocol in ["token", "hardlink"] {
        for promises in [POSIX, EXT4] {
            let without = if promises == POSIX { "" } else { "coherence" };
            Cuts { protocol, without, promises, rounds: 2, images: 250 }.reports();
        }
    }
}
