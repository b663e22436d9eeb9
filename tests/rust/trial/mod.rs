//! A client of a prepared store to which something happens at one of its file-system calls, and what must be true
//! when the next client comes.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::faultfs::{Action, FaultFs, Op, Options, Rule};
use crate::fleet::{Client, Fleet};

/// What a client may take beside waiting for a silent holder.
const A_SECOND: Duration = Duration::from_secs(1);
/// A client that need not wait for anybody, on a busy machine: a tenth of the takeover time.
const AT_ONCE: Duration = Duration::from_secs(3);
/// Records of every store but one that is to be created.
const BASE: u64 = 30;
/// Records of a batch: several pages.
const BATCH: u64 = 40;
/// The host that clients from elsewhere pretend to be on, so that nobody can prove them dead.
const ELSEWHERE: &str = "elsewhere";

/// What the client does, and to what kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// Creates the store.
    Create,
    Record,
    Batch,
    Overwrite,
    /// Looks up; without the lock where that is possible.
    Lookup,
    /// Records into a store with the hot journal of a writer that is provably dead.
    Recover,
    /// Looks up in such a store.
    RecoverToLook,
    /// Records into a store with the hot journal of a silent writer on another node.
    Fence,
    /// Seals a store that was open to originals.
    Seal,
    Unseal,
}

impl Scene {
    fn words(self) -> Vec<String> {
        let words = match self {
            Self::Create => "create".to_owned(),
            Self::Record | Self::Recover | Self::Fence => "record victim 0 2".to_owned(),
            Self::Batch => format!("record victim 0 {BATCH} {BATCH}"),
            Self::Overwrite => "overwrite base 0 2".to_owned(),
            Self::Lookup | Self::RecoverToLook => "lookup base 0 3".to_owned(),
            Self::Seal => "seal".to_owned(),
            Self::Unseal => "unseal".to_owned(),
        };
        words.split(' ').map(str::to_owned).collect()
    }

    /// Records that are there or not together.
    fn batch(self) -> u64 {
        if self == Self::Batch { BATCH } else { 1 }
    }
}

/// A scene, prepared to be played many times.
pub struct Stage {
    pub scene: Scene,
    /// The client pretends to be on another node than who comes next.
    pub elsewhere: bool,
    /// The client believes its file system to be coherent, and keeps its connection.
    pub coherent: bool,
    /// Mechanisms that all clients are to do without.
    pub without: &'static str,
    template: TempDir,
}

impl Stage {
    pub fn of(scene: Scene) -> Self {
        Self::prepare(scene, false, true, "")
    }

    pub fn prepare(scene: Scene, elsewhere: bool, coherent: bool, without: &'static str) -> Self {
        let template = tempfile::tempdir().expect("temporary directory");
        let stage = Self { scene, elsewhere, coherent, without, template };
        if scene == Scene::Create {
            return stage;
        }
        let protocol = if scene == Scene::Seal { "hardlink" } else { "auto" };
        let takeover = stage.takeover().as_secs().to_string();
        let fleet = Fleet::new(&[("CLIENT_STALE", takeover.as_str()), ("CLIENT_PROTOCOL", protocol)]);
        fleet.run(&["record", "base", "0", &BASE.to_string(), "10"]);
        if matches!(scene, Scene::Recover | Scene::RecoverToLook | Scene::Fence) {
            kill_in_the_middle_of_a_commit(&fleet, scene == Scene::Fence);
        }
        copy(&fleet.store(), stage.template.path());
        stage
    }

    /// After which time a holder is given up of whom nothing is known: long where that must not be needed.
    fn takeover(&self) -> Duration {
        Duration::from_secs(if self.waits() { 1 } else { 30 })
    }

    fn waits(&self) -> bool {
        self.elsewhere || self.scene == Scene::Fence
    }

    /// How long the next client may take.
    pub fn limit(&self) -> Duration {
        if self.waits() { self.takeover() + A_SECOND } else { AT_ONCE }
    }

    /// How many to play at once: clients that wait need no processor.
    pub fn at_once(&self) -> usize {
        if self.waits() { 12 } else { 4 }
    }

    /// A store of its own, seen through a mount of its own.
    pub fn begin(&self) -> Trial<'_> {
        let takeover = self.takeover().as_secs().to_string();
        // Long enough for whoever must wait, and short where that would be wrong.
        let patience = if self.waits() { "12" } else { "4" };
        let environment = [
            ("CLIENT_STALE", takeover.as_str()),
            ("CLIENT_TIMEOUT", patience),
            ("CLIENT_WITHOUT", self.without),
        ];
        let fleet = Fleet::new(&environment);
        copy(self.template.path(), &fleet.store());
        let node = FaultFs::mount(&fleet.store(), Options { threads: 2, ..Options::default() });
        Trial { stage: self, node: node.expect("mounted"), fleet }
    }

    /// How many requests of the kinds `ops` the scene takes if nothing happens.
    pub fn count(&self, ops: &[Op]) -> u64 {
        let trial = self.begin();
        let calls = trial.node.count(Rule::on(ops).by_others());
        let mut client = trial.start(&[]);
        assert!(client.wait().success(), "{:?}: {:?}", self.scene, client.lines());
        calls.matched()
    }
}

/// One play of a scene.
pub struct Trial<'a> {
    stage: &'a Stage,
    // Before the directory that it shows.
    pub node: FaultFs,
    pub fleet: Fleet,
}

impl Trial<'_> {
    /// Starts the client.
    pub fn start(&self, environment: &[(&str, &str)]) -> Client {
        let words = self.stage.scene.words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut without = self.stage.without.to_owned();
        if self.stage.coherent {
            without += ",coherence";
        }
        let mut environment = environment.to_vec();
        environment.push(("CLIENT_WITHOUT", &without));
        if self.stage.elsewhere {
            environment.push(("CLIENT_NODE", ELSEWHERE));
        }
        self.fleet.start_on(self.node.path(), &environment, &words)
    }

    /// What is broken once the client has ended, or how long the next one took, which is not checked here.
    /// `reads_first`: the next one is a reader.
    pub fn verify(&self, reads_first: bool) -> Result<Duration, String> {
        let may_be_missing = self.stage.scene == Scene::Create;
        let words: &[_] = if reads_first && !may_be_missing {
            &["lookup", "base", "0", "1"]
        } else {
            &["record", "next", "0", "1"]
        };
        let began = Instant::now();
        let mut next = self.fleet.start(words);
        let status = next.wait();
        let took = began.elapsed();
        let good = ["hit base 0", "ack next 0"];
        if !status.success() || !next.lines().iter().any(|line| good.contains(&line.as_str())) {
            return Err(format!("the next client, {words:?}: {status}, {:?} after {took:.1?}", next.lines()));
        }
        self.fleet.verify()?;
        self.check_what_is_there()?;
        match fs::read(self.fleet.store().join("s.db-journal")) {
            Ok(journal) if journal.first().is_some_and(|first| *first != 0) => {
                Err("the journal is hot".to_owned())
            }
            _ => Ok(took),
        }
    }

    /// The records that were there before are; those of the client and of a writer before it by whole batches.
    fn check_what_is_there(&self) -> Result<(), String> {
        let lines = self.fleet.lines();
        let of = |prefix: &str| -> BTreeSet<u64> {
            let number = |line: &String| line.strip_prefix(prefix)?.parse().ok();
            lines.iter().filter_map(number).collect()
        };
        let base = if self.stage.scene == Scene::Create { 0 } else { BASE };
        if of("ok base ") != (0..base).collect() {
            return Err(format!("of {base} earlier records {} are there", of("ok base ").len()));
        }
        let dead = of("ok dead ").len() as u64;
        if dead != 0 && dead != BATCH {
            return Err(format!("{dead} records of a dead writer's batch of {BATCH}"));
        }
        let (acknowledged, there) = (of("ack victim ").len() as u64, of("ok victim ").len() as u64);
        let batch = self.stage.scene.batch();
        if there != acknowledged && there != acknowledged + batch {
            return Err(format!("{there} records of batches of {batch}, {acknowledged} acknowledged"));
        }
        Ok(())
    }
}

/// A writer ends within the writes of its commit, so that its journal is hot and the database half-written.
fn kill_in_the_middle_of_a_commit(fleet: &Fleet, elsewhere: bool) {
    let node = FaultFs::mount(&fleet.store(), Options::default()).expect("mounted");
    let copied = tempfile::tempdir().expect("temporary directory");
    copy(&fleet.store(), copied.path());
    let batch = BATCH.to_string();
    let words = ["record", "dead", "0", batch.as_str(), batch.as_str()];
    let environment: &[_] = if elsewhere { &[("CLIENT_NODE", ELSEWHERE)] } else { &[] };
    let pages = || Rule::on(&[Op::Write]).named(|name| name == "s.db").by_others();
    let writes = {
        let beside = FaultFs::mount(copied.path(), Options::default()).expect("mounted");
        let writes = beside.count(pages());
        let mut client = fleet.start_on(beside.path(), environment, &words);
        assert!(client.wait().success(), "{:?}", client.lines());
        writes.matched()
    };
    let hits = node.inject(pages().nth(writes / 2), Action::Kill { before: true });
    fleet.start_on(node.path(), environment, &words).wait();
    assert_eq!(hits.fired(), 1, "killed at one of {writes} writes");
    let journal = fs::read(fleet.store().join("s.db-journal")).expect("a journal");
    assert!(journal.first().is_some_and(|first| *first != 0), "the journal is hot");
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("listed").flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("known").is_dir() {
            fs::create_dir(&target).expect("created");
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("copied");
        }
    }
}
