//! Visits every state that can be reached, breadth first, with stateright: of each it remembers a fingerprint of 64
//! bits, so that 20 million states take 2 GB. (The chance that two of them share one is 1 in 100,000.)

use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model, Path};

use crate::state::{Phase, State};
use crate::steps::{Action, Protocol};

pub struct Explored {
    pub states: usize,
    /// How many steps it took to the state that is farthest away; with one thread, by the shortest way.
    pub depth: usize,
    pub took: Duration,
    pub violation: Option<Violation>,
    /// What should be reachable and is not.
    pub never: Vec<&'static str>,
}

/// A property that does not hold, and steps that lead there.
pub struct Violation {
    pub property: &'static str,
    pub steps: Vec<String>,
}

/// Visits all states, or stops soon after it has found a violation.
pub fn explore(protocol: &Protocol, threads: usize) -> Explored {
    explore_to(protocol, threads, None)
}

/// The violation that takes the fewest steps. One thread: with more the search is only nearly breadth first.
pub fn shortest_violation(protocol: &Protocol) -> Option<Violation> {
    let mut shortest = explore(protocol, 1).violation?;
    // A search does not stop at the first violation; it goes on for a while and keeps the last.
    while let Some(shorter) = explore_to(protocol, 1, Some(shortest.steps.len())).violation {
        shortest = shorter;
    }
    Some(shortest)
}

fn explore_to(protocol: &Protocol, threads: usize, fewer_steps_than: Option<usize>) -> Explored {
    let started = Instant::now();
    let mut checker = protocol.clone().checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    if let Some(steps) = fewer_steps_than {
        // Stateright counts states: a way of n steps visits n + 1, and one at the limit is not looked at.
        checker = checker.target_max_depth(steps + 1);
    }
    let checker = checker.spawn_bfs().join();
    let mut discoveries = checker.discoveries();
    let properties = checker.model().properties();
    let (always, sometimes): (Vec<_>, Vec<_>) =
        properties.iter().partition(|property| property.expectation == Expectation::Always);
    let violations = always.iter().filter_map(|property| {
        let path = discoveries.remove(property.name)?;
        Some(Violation { property: property.name, steps: described(path) })
    });
    Explored {
        violation: violations.min_by_key(|violation| violation.steps.len()),
        never: sometimes
            .iter()
            .map(|property| property.name)
            .filter(|name| !discoveries.contains_key(name))
            .collect(),
        states: checker.unique_state_count(),
        depth: checker.max_depth() - 1,
        took: started.elapsed(),
    }
}

/// Each step with the name of the token after it.
fn described(path: Path<State, Action>) -> Vec<String> {
    let path = path.into_vec();
    let steps = path.iter().zip(&path[1..]);
    steps
        .filter_map(|((before, action), (after, _))| {
            Some(format!("{}: {}", after.disk.token, describe(before, (*action)?)))
        })
        .collect()
}

fn describe(before: &State, action: Action) -> String {
    // The name of a step without its contents.
    let name = |at: String| at.split(" {").next().unwrap_or_default().replace('(', " ").replace(')', "");
    match action {
        Action::Proceed(number) => match before.processes[usize::from(number)].phase {
            Phase::InTenure(tenure) => format!("{number} {}", name(format!("{:?}", tenure.at))),
            _ => format!("{number} Acquiring"),
        },
        Action::Read => format!("reader {}", name(format!("{:?}", before.reader.at))),
        misfortune => format!("{misfortune:?}"),
    }
}
