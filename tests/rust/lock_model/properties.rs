//! What must hold in every state, and what must happen in some: a model in which nothing happens is safe, too.

use stateright::Property;

use crate::disk::torn;
use crate::state::{Phase, ReaderAt, State};
use crate::steps::Protocol;

pub fn all(protocol: &Protocol) -> Vec<Property<Protocol>> {
    let mut properties = vec![
        Property::always("what is committed is never torn", |_, state: &State| !torn(state.disk.committed())),
        Property::always("nothing acknowledged or shown is ever lost", |_, state: &State| {
            state.disk.committed()[0].records().includes(state.promised)
        }),
        Property::always("nothing is applied twice", |_, state: &State| {
            !state.disk.committed()[0].applied_twice()
        }),
        Property::always("no accepted read is torn", |_, state: &State| match state.reader.at {
            ReaderAt::TakingNameAgain { since, pages } => since.name != state.disk.token || !torn(pages),
            _ => true,
        }),
        Property::always(
            "every accepted read shows what was promised before it began",
            |_, state: &State| match state.reader.at {
                ReaderAt::TakingNameAgain { since, pages } => {
                    since.name != state.disk.token || pages[0].records().includes(since.promised)
                }
                _ => true,
            },
        ),
        Property::sometimes(
            "everybody is served after the last takeover",
            |protocol: &Protocol, state: &State| {
                let everybody = &state.processes[..usize::from(protocol.size.processes)];
                state.takeovers_left == 0 && everybody.iter().all(|process| process.phase == Phase::Served)
            },
        ),
        Property::sometimes("a copy replaces the database", |_, state: &State| {
            state.disk.database > 0 && state.disk.journal == state.disk.database
        }),
        Property::sometimes("a refused fence raises the fence number", |_, state: &State| {
            state.disk.database == 0 && state.disk.token.fence() > 0
        }),
    ];
    if protocol.size.crashes > 0 {
        properties.push(Property::sometimes(
            "somebody dies and everybody else is served",
            |protocol: &Protocol, state: &State| {
                let everybody = &state.processes[..usize::from(protocol.size.processes)];
                let served = everybody.iter().filter(|process| process.phase == Phase::Served).count();
                let dead = everybody.iter().filter(|process| process.phase == Phase::Dead).count();
                dead == 1 && served + dead == everybody.len()
            },
        ));
    }
    if protocol.size.reads > 0 {
        properties
            .push(Property::sometimes("a read is accepted after the last takeover", |_, state: &State| {
                state.takeovers_left == 0 && state.reader.reads_left == 0
            }));
    }
    properties
}
