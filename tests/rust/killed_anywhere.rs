//! A client is killed at each of its file-system calls: the next one is in within the takeover time and a second, all
//! that was acknowledged is there, batches are whole or absent, and nothing is left behind.

mod faultfs;
mod fleet;
mod trial;

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use faultfs::{Action, Op, Rule, must_skip};
use fleet::{in_parallel, report, seed};
use trial::{Scene, Stage};

/// A client that is late on a busy machine is in time when it is asked again; one that waits for nothing never is.
const LATE: usize = 3;

const EVERYTHING: &[Op] = &[
    Op::Lookup,
    Op::Getattr,
    Op::Setattr,
    Op::Truncate,
    Op::Readlink,
    Op::Mknod,
    Op::Mkdir,
    Op::Unlink,
    Op::Rmdir,
    Op::Symlink,
    Op::Rename,
    Op::Link,
    Op::Open,
    Op::Create,
    Op::Read,
    Op::Write,
    Op::Fsync,
    Op::Opendir,
    Op::Readdir,
    Op::Fsyncdir,
    Op::Statfs,
];

/// What came of one death.
enum Death {
    /// The client had ended before that call.
    Past,
    /// How long the next client took, and how many were too late before one was in time.
    At(Result<(Duration, usize), String>),
}

/// Kills the client at its `k`-th call of the kinds `ops`.
fn kill_at(stage: &Stage, ops: &[Op], k: u64, before: bool) -> Death {
    let mut late = Duration::ZERO;
    for times in 0..LATE {
        let trial = stage.begin();
        let hits = trial.node.inject(Rule::on(ops).by_others().nth(k), Action::Kill { before });
        let mut victim = trial.start(&[]);
        let status = victim.wait();
        if hits.fired() == 0 && status.success() {
            return Death::Past;
        }
        if status.signal() != Some(Signal::SIGKILL as i32) {
            return Death::At(Err(format!("it ended with {status}: {:?}", victim.lines())));
        }
        match trial.verify(k.is_multiple_of(2)) {
            Ok(took) if took > stage.limit() => late = took,
            verdict => return Death::At(verdict.map(|took| (took, times))),
        }
    }
    Death::At(Err(format!("the next client was in after {late:.1?}")))
}

#[derive(Default)]
struct Sweep {
    deaths: usize,
    broken: Vec<String>,
    slowest: Duration,
    late: usize,
}

/// Kills at one of each `step` calls of the kinds `ops`, which ones depends on the seed.
fn sweep(stage: &Stage, ops: &[Op], both_sides: bool, step: usize) -> Sweep {
    // Who waits makes some calls more or less.
    let calls = stage.count(ops) + 2;
    let sides: &[bool] = if both_sides { &[true, false] } else { &[true] };
    let first = 1 + seed() % step as u64;
    let points: Vec<_> =
        (first..=calls).step_by(step).flat_map(|k| sides.iter().map(move |before| (k, *before))).collect();
    let outcomes =
        in_parallel(stage.at_once(), points, |(k, before)| (k, before, kill_at(stage, ops, k, before)));
    let mut sweep = Sweep::default();
    for (k, before, outcome) in outcomes {
        let Death::At(verdict) = outcome else { continue };
        sweep.deaths += 1;
        match verdict {
            Ok((took, late)) => {
                sweep.slowest = sweep.slowest.max(took);
                sweep.late += late;
            }
            Err(why) => {
                let side = if before { "before" } else { "after" };
                sweep.broken.push(format!("{:?}, {side} call {k}: {why}", stage.scene));
            }
        }
    }
    sweep
}

/// `step` 1 is all of it: before and after each call.
fn sweep_reports<const N: usize>(
    scenes: [Scene; N],
    stage: impl Fn(Scene) -> Stage,
    ops: &[Op],
    step: usize,
) {
    if must_skip() {
        return;
    }
    let (mut deaths, mut broken) = (0, Vec::new());
    for scene in scenes {
        let began = Instant::now();
        let stage = stage(scene);
        let sweep = sweep(&stage, ops, step == 1, step);
        report(&format!(
            "{scene:?}{}{} with seed {}: {} kills, {} broken, the next client in after at most {:.2?} of {:.0?}, {} \
             asked again as they were late, {:.0?}",
            if stage.elsewhere { " elsewhere" } else { "" },
            if stage.coherent { "" } else { " with old caches" },
            seed(),
            sweep.deaths,
            sweep.broken.len(),
            sweep.slowest,
            stage.limit(),
            sweep.late,
            began.elapsed()
        ));
        deaths += sweep.deaths;
        broken.extend(sweep.broken);
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(deaths > 0, "nobody was killed");
}

const RENAMES: &[Op] = &[Op::Rename];
/// One in so many calls, where there is little time.
const FEW: usize = 5;

#[test]
fn whoever_records_may_be_killed_at_any_change() {
    let scenes = [Scene::Create, Scene::Record, Scene::Batch, Scene::Overwrite];
    sweep_reports(scenes, Stage::of, Op::CRASH_POINTS, FEW);
}

#[test]
fn whoever_looks_up_may_be_killed_at_any_call() {
    sweep_reports([Scene::Lookup], Stage::of, EVERYTHING, FEW);
    let in_a_tenure = |scene| Stage::prepare(scene, false, false, "");
    sweep_reports([Scene::Lookup], in_a_tenure, EVERYTHING, FEW);
}

#[test]
fn whoever_recovers_may_be_killed_at_any_change() {
    sweep_reports([Scene::Recover, Scene::RecoverToLook], Stage::of, Op::CRASH_POINTS, FEW);
}

#[test]
fn whoever_fences_may_be_killed_at_any_change() {
    sweep_reports([Scene::Fence], Stage::of, Op::CRASH_POINTS, FEW);
}

#[test]
fn whoever_records_elsewhere_may_be_killed_at_any_change() {
    let elsewhere = |scene| Stage::prepare(scene, true, true, "");
    sweep_reports([Scene::Batch], elsewhere, Op::CRASH_POINTS, FEW);
}

#[test]
fn whoever_seals_or_unseals_may_be_killed_at_any_change() {
    sweep_reports([Scene::Seal, Scene::Unseal], Stage::of, Op::CRASH_POINTS, FEW);
}

#[test]
#[ignore = "minutes: make reliability"]
fn everybody_may_be_killed_before_and_after_each_change() {
    use Scene::{Batch, Create, Fence, Lookup, Overwrite, Record, Recover, RecoverToLook, Seal, Unseal};
    let all = [Create, Record, Batch, Overwrite, Recover, RecoverToLook, Fence, Seal, Unseal];
    sweep_reports(all, Stage::of, Op::CRASH_POINTS, 1);
    let with_old_caches = |scene| Stage::prepare(scene, false, false, "");
    sweep_reports([Record, Batch, Lookup, Recover, Fence], with_old_caches, Op::CRASH_POINTS, FEW);
    let elsewhere = |scene| Stage::prepare(scene, true, true, "");
    sweep_reports([Record, Batch, Overwrite, Recover, Fence], elsewhere, Op::CRASH_POINTS, FEW);
}

#[test]
#[ignore = "minutes: make reliability"]
fn everybody_may_be_killed_at_each_call() {
    sweep_reports([Scene::Record, Scene::Lookup], Stage::of, EVERYTHING, 1);
    sweep_reports([Scene::Batch, Scene::Recover, Scene::Fence], Stage::of, EVERYTHING, FEW);
    sweep_reports([Scene::Lookup], |scene| Stage::prepare(scene, false, false, ""), EVERYTHING, 1);
}

/// A death at some call of the kinds `ops` breaks the promise without what `stage` lacks.
fn rests_on(stage: &Stage, ops: &[Op], step: usize) {
    if must_skip() {
        return;
    }
    let Sweep { deaths, broken, .. } = sweep(stage, ops, true, step);
    let mechanism = stage.without;
    report(&format!("without {mechanism}: {} of {deaths} kills broken: {:?}", broken.len(), broken.first()));
    assert!(!broken.is_empty(), "the promise is kept without {mechanism}: this test cannot see it fail");
}

#[test]
fn without_one_transaction_a_batch_is_torn() {
    rests_on(&Stage::prepare(Scene::Batch, false, true, "one-transaction"), Op::CRASH_POINTS, 200);
}

#[test]
fn without_rolling_back_what_a_dead_writer_left_stays() {
    rests_on(&Stage::prepare(Scene::Batch, false, true, "roll-back"), Op::CRASH_POINTS, 8);
}

#[test]
fn without_a_proof_of_death_the_next_one_waits() {
    rests_on(&Stage::prepare(Scene::Record, false, true, "notice-death"), RENAMES, 2);
}

#[test]
fn without_watching_the_silent_keep_the_store_for_ever() {
    rests_on(&Stage::prepare(Scene::Record, true, true, "give-up-the-silent"), RENAMES, 4);
}

#[test]
fn with_the_journal_replaced_before_the_database_a_dead_taker_loses_the_way_back() {
    rests_on(&Stage::prepare(Scene::Fence, false, true, "database-first"), RENAMES, 1);
}

#[test]
fn without_removing_the_copies_of_others_those_of_a_dead_taker_stay() {
    rests_on(&Stage::prepare(Scene::Fence, false, true, "revoke"), RENAMES, 1);
}

#[test]
fn without_sweeping_what_the_dead_made_stays() {
    rests_on(&Stage::prepare(Scene::Create, false, true, "sweep"), RENAMES, 1);
}
