//! The file system refuses each of a client's changes and syncs in turn, once and from then on: the client succeeds or
//! says what the system said, nothing is damaged, the lock is free or to be had, and the caller who still has the data
//! can record them when the file system is well again.

mod faultfs;
mod fleet;
mod trial;

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use faultfs::{Action, Op, Rule, must_skip};
use fleet::{in_parallel, report, seed};
use trial::{Scene, Stage};

/// A client that is late on a busy machine is in time when it is asked again; one that waits for nothing never is.
const LATE: usize = 3;
/// Longer than any client is willing to wait, its lock timeout and the takeover time included.
const BOUND: Duration = Duration::from_secs(60);

/// What needs room or a working disk.
const REFUSED: &[Op] = &[Op::Write, Op::Truncate, Op::Fsync, Op::Fsyncdir, Op::Rename, Op::Create, Op::Mkdir];
const ERRORS: [Errno; 3] = [Errno::ENOSPC, Errno::EDQUOT, Errno::EIO];
/// One in so many calls, where there is little time.
const FEW: usize = 4;

/// One way in which requests are refused.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    error: Errno,
    /// Also all that come after.
    persistent: bool,
    /// The client itself tries again when all is well, not another one.
    again: bool,
}

impl Refusal {
    fn all() -> Vec<Self> {
        let flags = [(false, false), (false, true), (true, false), (true, true)];
        let all = flags.map(|(persistent, again)| ERRORS.map(|error| Self { error, persistent, again }));
        all.concat()
    }

    /// Does the client say what the system said?
    fn is_named_in(self, line: &str) -> bool {
        line.contains(&io::Error::from(self.error).to_string())
    }
}

/// What came of one refusal.
enum Outcome {
    /// The client had ended before that call.
    Past,
    /// The client did not fail.
    Survived(Duration),
    Told(Duration),
    Broken(String),
}

/// Refuses the client's `k`-th call of the kinds `ops`.
/// Answers also how many next clients were too late before one was in time.
fn refuse_at(stage: &Stage, ops: &[Op], k: u64, refusal: Refusal) -> (Outcome, usize) {
    let mut late = Duration::ZERO;
    for times in 0..LATE {
        match refuse_once(stage, ops, k, refusal) {
            Outcome::Told(took) | Outcome::Survived(took) if took > stage.limit() => late = took,
            outcome => return (outcome, times),
        }
    }
    (Outcome::Broken(format!("the next client was in after {late:.1?}")), LATE)
}

fn refuse_once(stage: &Stage, ops: &[Op], k: u64, refusal: Refusal) -> Outcome {
    let trial = stage.begin();
    let rule = Rule::on(ops).by_others().nth(k);
    let rule = if refusal.persistent { rule.always() } else { rule };
    let hits = trial.node.inject(rule, Action::Error(refusal.error));
    let go = trial.fleet.store().with_file_name("go");
    let go_path = go.to_string_lossy();
    let environment: &[_] = if refusal.again { &[("CLIENT_GO", &*go_path)] } else { &[] };
    let began = Instant::now();
    let mut client = trial.start(environment);
    if refusal.again {
        client.wait_for("refused ");
        hits.remove();
        fs::write(&go, "").expect("written");
    }
    let status = client.wait();
    let took = began.elapsed();
    hits.remove();
    let lines = client.lines();
    if hits.fired() == 0 && status.success() {
        return Outcome::Past;
    }
    let complaints: Vec<_> =
        lines.iter().filter(|line| line.starts_with("refused ") || line.starts_with("error ")).collect();
    let ended_well = match status.code() {
        Some(0) => true,
        Some(1) => !refusal.again && complaints.len() == 1,
        _ => false,
    };
    if !ended_well || took > BOUND {
        return Outcome::Broken(format!("it ended with {status} after {took:.1?}: {lines:?}"));
    }
    if let Some(unclear) = complaints.iter().find(|line| !refusal.is_named_in(line)) {
        return Outcome::Broken(format!("that is not the system's error: {unclear}"));
    }
    match trial.verify(k.is_multiple_of(2)) {
        Ok(took) if complaints.is_empty() => Outcome::Survived(took),
        Ok(took) => Outcome::Told(took),
        Err(why) => Outcome::Broken(format!("{why}; the client said {lines:?}")),
    }
}

#[derive(Default)]
struct Sweep {
    refusals: usize,
    survived: usize,
    broken: Vec<String>,
    slowest: Duration,
    late: usize,
}

/// Refuses one of each `step` calls of the kinds `ops`, in as many of the `ways` as `at_each` says; they come in turn.
fn sweep(stage: &Stage, ops: &[Op], ways: &[Refusal], step: usize, at_each: usize) -> Sweep {
    // Who is refused something may make some calls more.
    let calls = stage.count(ops) + 2;
    let first = seed() % step as u64;
    let points: Vec<_> = (1 + first..=calls)
        .step_by(step)
        .enumerate()
        .flat_map(|(number, k)| {
            let first = number * 5 + usize::try_from(seed() % 12).unwrap_or(0);
            // 5 and 12 have no common divisor. Of six ways, two apart, each error comes once and for good.
            let chosen = (0..at_each).map(move |nth| ways[(first + nth * 2) % ways.len()]);
            chosen.map(move |way| (k, way))
        })
        .collect();
    let outcomes = in_parallel(stage.at_once(), points, |(k, way)| (k, way, refuse_at(stage, ops, k, way)));
    let mut sweep = Sweep::default();
    for (k, way, (outcome, late)) in outcomes {
        sweep.late += late;
        match outcome {
            Outcome::Past => continue,
            Outcome::Survived(took) => {
                sweep.survived += 1;
                sweep.slowest = sweep.slowest.max(took);
            }
            Outcome::Told(took) => sweep.slowest = sweep.slowest.max(took),
            Outcome::Broken(why) => sweep.broken.push(format!("{:?}, call {k}, {way:?}: {why}", stage.scene)),
        }
        sweep.refusals += 1;
    }
    sweep
}

/// `step` 1 is all of it: each call is refused with each error, once and for good; who tries again comes in turn.
fn sweep_reports<const N: usize>(scenes: [Scene; N], stage: impl Fn(Scene) -> Stage, step: usize) {
    if must_skip() {
        return;
    }
    let (mut refusals, mut broken) = (0, Vec::new());
    for scene in scenes {
        let began = Instant::now();
        let stage = stage(scene);
        let at_each = if step == 1 { 6 } else { 1 };
        let sweep = sweep(&stage, REFUSED, &Refusal::all(), step, at_each);
        report(&format!(
            "{scene:?}{}{} with seed {}: {} refusals, {} survived, {} broken, the next client in after at most {:.2?} of \
             {:.0?}, {} asked again as they were late, {:.0?}",
            if stage.elsewhere { " elsewhere" } else { "" },
            if stage.coherent { "" } else { " with old caches" },
            seed(),
            sweep.refusals,
            sweep.survived,
            sweep.broken.len(),
            sweep.slowest,
            stage.limit(),
            sweep.late,
            began.elapsed()
        ));
        refusals += sweep.refusals;
        broken.extend(sweep.broken);
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(refusals > 0, "nothing was refused");
}

#[test]
fn whoever_records_or_looks_up_may_be_refused_anything() {
    sweep_reports([Scene::Create, Scene::Record, Scene::Batch, Scene::Overwrite], Stage::of, FEW);
    sweep_reports([Scene::Lookup], |scene| Stage::prepare(scene, false, false, ""), 2);
}

#[test]
fn whoever_recovers_may_be_refused_anything() {
    sweep_reports([Scene::Recover, Scene::RecoverToLook], Stage::of, FEW);
}

#[test]
fn whoever_fences_may_be_refused_anything() {
    sweep_reports([Scene::Fence], Stage::of, FEW);
}

#[test]
#[ignore = "minutes: make reliability"]
fn everybody_may_be_refused_each_change_once_and_for_good() {
    use Scene::{Batch, Create, Fence, Lookup, Overwrite, Record, Recover, RecoverToLook};
    sweep_reports([Create, Record, Batch, Overwrite, Recover, RecoverToLook, Fence], Stage::of, 1);
    let with_old_caches = |scene| Stage::prepare(scene, false, false, "");
    sweep_reports([Lookup], with_old_caches, 1);
    sweep_reports([Record, Batch, Recover, Fence], with_old_caches, FEW);
    sweep_reports([Record, Recover], |scene| Stage::prepare(scene, true, true, ""), FEW);
}

/// A refusal for good of some call of the kinds `ops` breaks the promise without what `stage` lacks; `again`: the client
/// itself tries again.
fn rests_on(stage: &Stage, ops: &[Op], again: bool, step: usize) {
    if must_skip() {
        return;
    }
    let Sweep { refusals, broken, .. } =
        sweep(stage, ops, &[Refusal { error: Errno::EIO, persistent: true, again }], step, 1);
    let mechanism = stage.without;
    report(&format!(
        "without {mechanism}: {} of {refusals} refusals broken: {:?}",
        broken.len(),
        broken.first()
    ));
    assert!(!broken.is_empty(), "the promise is kept without {mechanism}: this test cannot see it fail");
}

#[test]
fn without_the_files_own_error_a_caller_reads_that_there_was_one() {
    rests_on(&Stage::prepare(Scene::Record, false, true, "name-the-error"), &[Op::Fsync], true, 2);
}

#[test]
fn without_knowing_its_own_token_a_client_waits_for_itself() {
    rests_on(&Stage::prepare(Scene::Record, false, true, "know-own-token"), &[Op::Rename], true, 1);
}

#[test]
fn without_one_transaction_a_refused_batch_is_torn() {
    rests_on(&Stage::prepare(Scene::Batch, false, true, "one-transaction"), &[Op::Fsync], false, 40);
}
