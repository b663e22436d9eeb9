//! The token lock cannot lose, tear or repeat a record: every order of steps is tried, up to a number of processes,
//! takeovers and crashes; and each mechanism of the protocol is needed, because without it some order does damage.
//!
//! In the model, each as one atomic step: the token's names, acquire, renew, release; takeover of a holder that is
//! dead, or merely slow and goes on later; database and journal, which a path leads to and which a process may have
//! open when the path no longer leads there; the fence (copy, validation, both renames into place, fence number) and
//! its refusal by the file system at each of its steps; the revoking of older copies; hot journals; a transaction over
//! two pages; retries under the same id; acknowledgement after the release; a crash at any point; a lock-free reader
//! with a kept connection.
//!
//! Not in the model: page caches (what is written is seen by all at once) and writes torn within a page or lost by a
//! power failure; how long anything takes: leases, the takeover time, the observer's clock (a takeover may come at any
//! time instead, and the second takeover time of a refused fence is taken at its word); replies that get lost (a
//! rename that was done and said it was not); tenures that give up alive and take their own token over; posts and group
//! commit; sealing and unsealing.
//!
//! `cargo test --test lock_model -- --nocapture` prints the numbers of states and the lengths of counterexamples.
#![expect(clippy::print_stderr, reason = "the numbers are for docs/reliability.md")]

#[path = "lock_model/disk.rs"]
mod disk;
#[path = "lock_model/exploration.rs"]
mod exploration;
#[path = "lock_model/fence.rs"]
mod fence;
#[path = "lock_model/mutations.rs"]
mod mutations;
#[path = "lock_model/properties.rs"]
mod properties;
#[path = "lock_model/reader.rs"]
mod reader;
#[path = "lock_model/state.rs"]
mod state;
#[path = "lock_model/steps.rs"]
mod steps;
#[path = "lock_model/tenure.rs"]
mod tenure;

use exploration::{explore, shortest_violation};
use mutations::Mutation;
use steps::{Protocol, Size};

const fn size(processes: u8, takeovers: u8, crashes: u8, reads: u8) -> Size {
    Size { processes, records: 1, takeovers, crashes, reads }
}

/// The protocol as it stands has no violation at this size, and everything that should be possible is.
fn assert_safe(size: Size, threads: usize) {
    let explored = explore(&Protocol { size, without: None }, threads);
    let took = explored.took.as_secs_f64();
    eprintln!(
        "reliability: model, {size}: {} states, up to {} steps deep, {took:.1} s",
        explored.states, explored.depth
    );
    if let Some(violation) = explored.violation {
        panic!("{size:?}: not so: {}\n{}", violation.property, violation.steps.join("\n"));
    }
    assert!(explored.never.is_empty(), "{size:?}: never: {:?}", explored.never);
}

/// The smallest size, of those that were tried, at which the protocol without this mechanism does damage.
fn smallest_size_that_tells(mutation: Mutation) -> Size {
    match mutation {
        Mutation::AcknowledgementBeforeRelease
        | Mutation::NoD
        | Mutation::NoCopyValidation
        | Mutation::NoAppliedIds
        | Mutation::JournalRenamedBeforeDatabase
        | Mutation::WritingBeforeRenewWithW => size(2, 1, 0, 0),
        Mutation::RecoveryBeforeRenewWithW => size(3, 2, 1, 0),
        Mutation::NoFenceNumber | Mutation::FenceNumberNotRaisedAfterRefusedFence => size(2, 1, 0, 1),
        Mutation::WNotInheritedAtTakeover | Mutation::ReleaseBeforeRecovery => size(2, 1, 1, 1),
        Mutation::NoRevoke => size(2, 2, 0, 0),
        Mutation::TakerKeepsItsConnection => size(3, 2, 0, 0),
    }
}

#[test]
fn no_order_of_steps_of_two_processes_and_a_reader_does_damage() {
    assert_safe(size(2, 2, 1, 1), 1);
}

#[test]
fn no_order_of_steps_of_three_processes_does_damage() {
    assert_safe(size(3, 1, 1, 0), 1);
}

/// A second record finds what the first has left: a kept connection, and its own fence number.
#[test]
fn no_order_of_steps_of_two_records_each_does_damage() {
    assert_safe(Size { records: 2, ..size(2, 2, 1, 0) }, 1);
}

#[test]
fn every_mechanism_is_needed() {
    assert_eq!(Mutation::ALL.len(), 13);
    let mut safe = Vec::new();
    for (index, mutation) in Mutation::ALL.into_iter().enumerate() {
        assert!(!Mutation::ALL[..index].contains(&mutation), "{mutation:?} stands twice, another is missing");
        let size = smallest_size_that_tells(mutation);
        let Some(violation) = shortest_violation(&Protocol { size, without: Some(mutation) }) else {
            panic!("{mutation:?} does no damage: the model cannot see it, or the mechanism is superfluous");
        };
        eprintln!(
            "reliability: model without a mechanism, {mutation:?}, {size}: not so after {} steps: {}",
            violation.steps.len(),
            violation.property
        );
        if !safe.contains(&size) {
            assert_safe(size, 1);
            safe.push(size);
        }
    }
}

#[test]
#[ignore = "half a million states; `cargo test --release -- --ignored` takes seconds"]
fn no_order_of_steps_of_three_processes_and_a_reader_does_damage() {
    assert_safe(size(3, 1, 1, 1), 2);
}

#[test]
#[ignore = "22 million states; `cargo test --release -- --ignored` takes a minute"]
fn two_takeovers_among_three_processes_and_a_reader_do_no_damage() {
    assert_safe(size(3, 2, 1, 1), 2);
}

#[test]
#[ignore = "20 million states; `cargo test --release -- --ignored` takes a minute"]
fn three_takeovers_among_three_processes_do_no_damage() {
    assert_safe(size(3, 3, 1, 0), 2);
}
#[test]
#[ignore = "15 million states; `cargo test --release -- --ignored` takes a minute"]
fn no_order_of_steps_of_two_records_each_and_a_reader_does_damage() {
    assert_safe(Size { records: 2, ..size(2, 2, 1, 1) }, 2);
}
