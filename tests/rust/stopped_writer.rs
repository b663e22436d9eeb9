//! A process that is stopped for longer than the takeover time, at every step of a commit or of a takeover, and goes on
//! after others have written, or dies there: nothing that anybody was promised is lost, and nothing is damaged.

mod fleet;

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tirastore::lock::Uninterrupted;
use tirastore::measurement::{Measurement, Outcome};
use tirastore::store::Options;
use tirastore::{Store, mutation};

use fleet::reader::Reader;
use fleet::{Client, Fleet, in_parallel, report, seed};

/// The shortest that there is.
const TAKEOVER: &str = "0.5";
/// A stop that others certainly use to take over.
const LONG_STOP: Duration = Duration::from_millis(800);
/// Stopped processes wait; they need no processor.
const AT_ONCE: usize = 12;

/// What is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// A batch.
    Commit,
    /// The takeover from a process that is stopped within its commit, with the fence that this needs.
    Takeover,
}

/// What becomes of the stopped process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It goes on after others have written.
    GoesOn,
    /// It is killed where it was stopped.
    Dies,
}

/// What came of one stop.
enum Stop {
    /// All was over before that step.
    Past,
    At(String, Result<(), String>),
}

/// A file change in the middle of the commit of [`Scene::Commit`].
const WITHIN_THE_COMMIT: &str = "30";

impl Scene {
    /// Stops a process at its `step`-th step; another takes over and records.
    fn stop_at(self, step: &str, fate: Fate, without: &str) -> Stop {
        let fleet = Fleet::new(&[("CLIENT_STALE", TAKEOVER), ("CLIENT_WITHOUT", without)]);
        fleet.run(&["create"]);
        let mut bystander = Bystander::of(fleet.db());
        bystander.record(without);
        let (mut first, mut victim) = match self {
            Self::Commit => (None, fleet.start(&["stop", "victim", "12", step])),
            Self::Takeover => {
                let mut first = fleet.start(&["stop", "first", "12", WITHIN_THE_COMMIT]);
                assert!(first.wait_until_stopped(), "it ended: {:?}", first.lines());
                let victim = fleet.start_with(&[("CLIENT_STOP_AT", step)], &["record", "victim", "0", "2"]);
                (Some(first), victim)
            }
        };
        if !victim.wait_until_stopped() {
            let last = victim.lines().pop().unwrap_or_default();
            assert!(last.starts_with("ack "), "it ended otherwise: {:?}", victim.lines());
            return Stop::Past;
        }
        let place = victim.lines().pop().unwrap_or_default();
        if fate == Fate::Dies {
            victim.kill();
        }
        let mut verdict = good_end(&mut fleet.start(&["record", "taker", "0", "5"]));
        bystander.record(without);
        let victim = Some(&mut victim).filter(|_| fate == Fate::GoesOn);
        for stopped in [victim, first.as_mut()].into_iter().flatten() {
            stopped.signal(Signal::SIGCONT);
            verdict = verdict.and_then(|()| good_end(stopped));
        }
        bystander.record(without);
        let whole = fleet.verify();
        Stop::At(place, verdict.and_then(|()| bystander.verify()).and_then(|()| whole.map(|_| ())))
    }

    /// Stops at the steps that `steps` gives until one is past the end. Answers how many there were, and what broke.
    fn sweep(self, steps: impl Iterator<Item = usize>, fate: Fate, without: &str) -> (usize, Vec<String>) {
        let steps: Vec<_> = steps.collect();
        let (mut count, mut broken) = (0, Vec::new());
        for some in steps.chunks(AT_ONCE * 2) {
            let outcomes = in_parallel(AT_ONCE, some.to_vec(), |step| {
                (step, self.stop_at(&step.to_string(), fate, without))
            });
            let past = outcomes.iter().any(|(_, outcome)| matches!(outcome, Stop::Past));
            for (step, outcome) in outcomes {
                if let Stop::At(place, verdict) = outcome {
                    count += 1;
                    broken.extend(verdict.err().map(|why| format!("step {step}, {place}: {why}")));
                }
            }
            if past {
                break;
            }
        }
        (count, broken)
    }

    fn sweep_reports(self, steps: impl Iterator<Item = usize>, fate: Fate) {
        let began = Instant::now();
        let (count, broken) = self.sweep(steps, fate, "");
        let scene = match self {
            Self::Commit => "commit",
            Self::Takeover => "takeover",
        };
        let end = if fate == Fate::Dies { "kills" } else { "stops" };
        report(&format!(
            "{count} {end} within a {scene} with seed {}, {} broken, {:.0?}",
            seed(),
            broken.len(),
            began.elapsed()
        ));
        assert!(broken.is_empty(), "{broken:#?}");
        assert!(count > 0, "it never stopped");
    }

    /// A stop at the point `step` breaks the promise without `mechanism`, and not with it.
    fn rests_on_step(self, mechanism: &str, step: &str, fate: Fate) {
        let at = |without| match self.stop_at(step, fate, without) {
            Stop::At(_, verdict) => verdict,
            Stop::Past => panic!("it never came to {step}"),
        };
        at("").expect("kept");
        let without = at(mechanism);
        report(&format!("without {mechanism}, stopped at {step}: {without:?}"));
        assert!(without.is_err(), "the promise is kept without {mechanism}: this test cannot see it fail");
    }

    /// Stops at some of `steps` break the promise without `mechanism`.
    fn rests_on(self, mechanism: &str, steps: impl Iterator<Item = usize>, fate: Fate) {
        let (count, broken) = self.sweep(steps, fate, mechanism);
        report(&format!("without {mechanism}: {} of {count} stops broken", broken.len()));
        assert!(!broken.is_empty(), "the promise is kept without {mechanism}: this test cannot see it fail");
    }
}

fn good_end(client: &mut Client) -> Result<(), String> {
    let good = client.wait().success();
    // A batch that was stopped is answered as if nothing had been: all of it was written, and once.
    let once = client.lines().iter().all(|line| !line.starts_with("wrote ") || line == "wrote 12");
    if good && once { Ok(()) } else { Err(format!("a client ended with {:?}", client.lines())) }
}

/// A process that has the store open all the while: this one.
struct Bystander {
    store: Store,
    db: PathBuf,
    recorded: u32,
    failed: Option<String>,
}

impl Bystander {
    fn of(db: PathBuf) -> Self {
        Self { store: Self::open(&db), db, recorded: 0, failed: None }
    }

    fn open(db: &std::path::Path) -> Store {
        let options = Options {
            allow_cpu_mismatch: true,
            lock_timeout: Duration::from_secs(20),
            stale_lock_timeout: Duration::from_millis(500),
            ..Options::new(db)
        };
        Store::open(options, &Uninterrupted).expect("opened")
    }

    fn record(&mut self, without: &str) {
        let schedule = format!("P(L{},comps=['bystander'])", self.recorded);
        let measurement = Measurement {
            program_name: "bystander".to_owned(),
            program_source_code: "void bystander() {}".to_owned(),
            schedule,
            outcome: Outcome::of(true, Some(vec![f64::from(self.recorded)])),
        };
        let recorded = mutation::without(without, || self.store.record(&measurement, false, &Uninterrupted));
        match recorded {
            Ok(true) => self.recorded += 1,
            other => self.failed = Some(format!("the bystander's record ended with {other:?}")),
        }
    }

    fn verify(self) -> Result<(), String> {
        let found = Self::open(&self.db)
            .program_records("void bystander() {}", &Uninterrupted)
            .map_err(|error| error.to_string())?;
        match self.failed {
            None if found.len() == self.recorded as usize => Ok(()),
            None => Err(format!("{} of {} records of the bystander", found.len(), self.recorded)),
            Some(failed) => Err(failed),
        }
    }
}

/// Every `apart`-th step, from another one in each run.
fn some_steps(apart: usize) -> impl Iterator<Item = usize> {
    let first = StdRng::seed_from_u64(seed()).random_range(0..apart);
    (first..10_000).step_by(apart)
}

#[test]
fn a_commit_may_be_stopped_or_killed_at_some_of_its_steps() {
    Scene::Commit.sweep_reports(some_steps(4), Fate::GoesOn);
    Scene::Commit.sweep_reports(some_steps(4), Fate::Dies);
}

#[test]
#[ignore = "a minute: make reliability"]
fn a_commit_may_be_stopped_or_killed_at_each_of_its_steps() {
    Scene::Commit.sweep_reports(0..10_000, Fate::GoesOn);
    Scene::Commit.sweep_reports(0..10_000, Fate::Dies);
}

#[test]
fn a_taker_may_be_stopped_or_killed_at_some_of_its_steps() {
    Scene::Takeover.sweep_reports(some_steps(12), Fate::GoesOn);
    Scene::Takeover.sweep_reports(some_steps(12), Fate::Dies);
}

#[test]
#[ignore = "a minute: make reliability"]
fn a_taker_may_be_stopped_or_killed_at_each_of_its_steps() {
    Scene::Takeover.sweep_reports(0..10_000, Fate::GoesOn);
    Scene::Takeover.sweep_reports(0..10_000, Fate::Dies);
}

#[test]
fn without_a_fence_a_stopped_writer_damages_what_others_wrote() {
    Scene::Commit.rests_on("must-fence", (15..60).step_by(4), Fate::GoesOn);
}

#[test]
fn a_writer_that_has_not_said_that_it_writes_is_not_shut_out() {
    Scene::Commit.rests_on("show-before-writing", (13..60).step_by(4), Fate::GoesOn);
}

#[test]
fn without_a_note_of_what_was_applied_a_batch_is_answered_wrongly() {
    Scene::Commit.rests_on("applied", (44..1000).step_by(2), Fate::GoesOn);
}

#[test]
fn without_removing_the_copies_of_others_a_stopped_taker_puts_its_own_in_place() {
    Scene::Takeover.rests_on_step("revoke", "database-swap:0", Fate::GoesOn);
}

#[test]
fn without_a_look_at_the_fence_number_a_bystander_records_into_a_file_that_nobody_reads() {
    Scene::Takeover.rests_on("fence-number", 0..3, Fate::GoesOn);
}

#[test]
fn without_recovery_the_pages_of_a_dead_writer_stay() {
    Scene::Commit.rests_on("roll-back,keep-foreign-journal", (15..60).step_by(4), Fate::Dies);
}

#[test]
fn with_the_journal_replaced_before_the_database_a_dead_taker_takes_the_way_back_along() {
    // After the journal and before the database.
    Scene::Takeover.rests_on_step("database-first", "database-swap:1", Fate::Dies);
}

/// A writer dies within its commit, and who takes over from it is stopped at its `step`-th step: does a reader without
/// the lock see what was never committed?
fn peek_beside_a_taker(step: usize, without: &str) -> Result<(), String> {
    let fleet = Fleet::new(&[("CLIENT_STALE", "30"), ("CLIENT_WITHOUT", without)]);
    fleet.run(&["create"]);
    let reader = Reader::beside_a_dead_writer(&fleet, WITHIN_THE_COMMIT);
    let mut taker =
        fleet.start_with(&[("CLIENT_STOP_AT", &step.to_string())], &["record", "taker", "0", "1"]);
    taker.wait_until_stopped();
    match reader.look() {
        // The taker is inside: the reader may have to wait for it.
        Err(tirastore::Error::LockTimeout { .. }) => Ok(()),
        Err(error) => Err(format!("step {step}: {error}")),
        Ok(found) if found.iter().all(Option::is_none) => Ok(()),
        Ok(found) => {
            let count = found.iter().flatten().count();
            Err(format!("step {step}: {count} records were seen that were never committed"))
        }
    }
}

#[test]
fn readers_beside_a_taker_see_nothing_that_was_never_committed() {
    let peek = |without: &str| {
        let outcomes = in_parallel(AT_ONCE, (0..24).collect(), |step| peek_beside_a_taker(step, without));
        let broken: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        report(&format!("24 looks beside a taker, without {without:?}: {} broken", broken.len()));
        broken
    };
    assert_eq!(peek(""), [""; 0]);
    let without = "inherit-half-written";
    assert!(!peek(without).is_empty(), "the promise is kept without {without}: this test cannot see it fail");
}

/// Two processes in each of several stores record all the time, and are stopped in turn at random moments.
fn stop_pairs(pairs: usize, rounds: usize) {
    let (seed, began) = (seed(), Instant::now());
    let outcomes = in_parallel(pairs, (0..pairs).collect(), |pair| {
        let mut chance = StdRng::seed_from_u64(seed + pair as u64);
        let fleet = Fleet::new(&[("CLIENT_STALE", TAKEOVER)]);
        fleet.run(&["create"]);
        let mut clients = ["a", "b"].map(|name| fleet.start(&["record", name, "0", "100000000", "3"]));
        for client in &mut clients {
            assert!(client.wait_for("ack "), "it ended: {:?}", client.lines());
        }
        for round in 0..rounds {
            let stopped = &mut clients[round % 2];
            // It is at work again: one that was stopped in each of its tries would give a batch up.
            let (written, began) = (stopped.written(), Instant::now());
            while stopped.written() == written {
                if stopped.has_ended() || began.elapsed() > Duration::from_secs(60) {
                    return Err(format!("a client does not go on: {:?}", stopped.lines().pop()));
                }
                thread::sleep(Duration::from_millis(2));
            }
            thread::sleep(Duration::from_micros(chance.random_range(0..30_000)));
            stopped.signal(Signal::SIGSTOP);
            thread::sleep(LONG_STOP);
            stopped.signal(Signal::SIGCONT);
        }
        for client in &mut clients {
            if !client.kill() {
                return Err(format!("a client ended by itself: {:?}", client.lines().pop()));
            }
        }
        fleet.verify()
    });
    let what = format!("seed {seed}: {} stops of {pairs} pairs for {LONG_STOP:?}", rounds * pairs);
    let broken: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    let promised: usize = outcomes.iter().flatten().map(|figures| figures.promised).sum();
    report(&format!(
        "{what}, {promised} records acknowledged, {} broken, {:.0?}",
        broken.len(),
        began.elapsed()
    ));
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn both_of_a_pair_may_be_stopped_at_random_moments() {
    stop_pairs(4, 5);
}

#[test]
#[ignore = "minutes: make reliability"]
fn both_of_eight_pairs_may_be_stopped_at_random_moments_fifty_times() {
    stop_pairs(8, 50);
}
