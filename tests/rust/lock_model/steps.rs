//! What every process, the reader and misfortune may do next.

use stateright::{Model, Property};

use crate::disk::{Disk, MAX_FILES, MAX_PROCESSES, MAX_RECORDS_EACH, Records, Token};
use crate::mutations::Mutation;
use crate::properties;
use crate::state::{At, Connection, Phase, Process, Reader, ReaderAt, State};
use crate::{fence, tenure};

/// How many processes there are, what they do, and how much befalls them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    pub processes: u8,
    /// Records that each process stores, one after the other.
    pub records: u8,
    pub takeovers: u8,
    pub crashes: u8,
    /// Reads that one lock-free reader completes.
    pub reads: u8,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { processes, records, takeovers, crashes, reads } = self;
        write!(
            f,
            "{processes} processes of {records} records, {takeovers} takeovers, {crashes} crashes, {reads} reads"
        )
    }
}

/// The protocol as it stands, or without one of its mechanisms.
#[derive(Clone, Debug)]
pub struct Protocol {
    pub size: Size,
    pub without: Option<Mutation>,
}

/// Who acts, and what befalls them. What somebody does next follows from where they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    Proceed(u8),
    /// The taker renames exactly the name it saw, so that looking and renaming are one step. It may come at any
    /// time: a holder that is alive but silent for long enough looks the same as a dead one.
    TakeOver {
        taker: u8,
        holder_provably_dead: bool,
    },
    /// The file system refuses to copy or to rename, as in a sticky directory or on a full disk. After a second
    /// full takeover time no stale writer is left, and the database is recovered in place.
    FenceRefused(u8),
    /// Only without "recovery before release".
    GiveUp(u8),
    Crash(u8),
    Read,
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let Size { processes: number, records, takeovers, crashes, reads } = self.size;
        assert!(number <= MAX_PROCESSES && takeovers < MAX_FILES);
        assert!((1..=MAX_RECORDS_EACH).contains(&records));
        // Everybody has used the store before.
        let connection = Some(Connection { database: 0, fence: 0 });
        let waiting = Process { phase: Phase::Waiting, stored: 0, connection, gave_up: false };
        let absent = Process { phase: Phase::Served, connection: None, ..waiting };
        let mut processes = [absent; MAX_PROCESSES as usize];
        processes[..usize::from(number)].fill(waiting);
        let disk = Disk::new();
        let at = ReaderAt::KnowingName { name: disk.token };
        vec![State {
            disk,
            processes,
            reader: Reader { at, connection, reads_left: reads },
            promised: Records::default(),
            takeovers_left: takeovers,
            crashes_left: crashes,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, process) in (0..self.size.processes).zip(&state.processes) {
            match process.phase {
                Phase::Waiting => match state.disk.token {
                    Token::Free { .. } => actions.push(Action::Proceed(number)),
                    Token::Held(name) if name.holder != number && state.takeovers_left > 0 => {
                        actions.push(Action::TakeOver { taker: number, holder_provably_dead: false });
                        if state.processes[usize::from(name.holder)].phase == Phase::Dead {
                            actions.push(Action::TakeOver { taker: number, holder_provably_dead: true });
                        }
                    }
                    Token::Held(_) => {}
                },
                Phase::InTenure(tenure) => {
                    actions.push(Action::Proceed(number));
                    if fence::can_be_replaced_by_waiting(state, number, &tenure) {
                        actions.push(Action::FenceRefused(number));
                    }
                    if self.is_without(Mutation::ReleaseBeforeRecovery)
                        && tenure.at == At::RenewingWithW
                        && !process.gave_up
                    {
                        actions.push(Action::GiveUp(number));
                    }
                    if state.crashes_left > 0 {
                        actions.push(Action::Crash(number));
                    }
                }
                Phase::Served | Phase::Dead => {}
            }
        }
        if state.reader.reads_left > 0 {
            actions.push(Action::Read);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        match action {
            Action::Proceed(number) => match next.processes[usize::from(number)].phase {
                Phase::Waiting => self.acquire(&mut next, number),
                Phase::InTenure(tenure) => self.proceed(&mut next, number, tenure),
                Phase::Served | Phase::Dead => return None,
            },
            Action::TakeOver { taker, holder_provably_dead } => {
                self.take_over(&mut next, taker, holder_provably_dead);
            }
            Action::FenceRefused(number) => self.recover_in_place(&mut next, number),
            Action::GiveUp(number) => {
                next.processes[usize::from(number)].gave_up = true;
                tenure::release(&mut next, number);
            }
            Action::Crash(number) => {
                next.crashes_left -= 1;
                let process = &mut next.processes[usize::from(number)];
                (process.phase, process.connection) = (Phase::Dead, None);
            }
            Action::Read => self.read(&mut next),
        }
        // A reader's rejected attempt may lead back to where it began.
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}

impl Protocol {
    pub fn is_without(&self, mechanism: Mutation) -> bool {
        self.without == Some(mechanism)
    }

    /// The fence number tells whether a kept connection still leads to the file at the path.
    pub fn is_current(&self, connection: Connection, fence: u8) -> bool {
        connection.fence == fence || self.is_without(Mutation::NoFenceNumber)
    }
}
