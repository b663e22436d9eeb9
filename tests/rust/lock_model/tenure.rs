//! A tenure from acquiring or taking over the token to its release, and all that it does to the files.

use crate::disk::{Disk, Holding, MAX_PROCESSES, Token};
use crate::mutations::Mutation;
use crate::state::{At, Connection, Fence, Phase, Process, Recovery, State, Tenure, Transaction};
use crate::steps::Protocol;

impl Protocol {
    pub fn acquire(&self, state: &mut State, number: u8) {
        let Token::Free { fence, generation } = state.disk.token else { return };
        let name = Holding {
            fence,
            generation: generation + 1,
            heartbeat: 0,
            writing: false,
            distrusted: false,
            holder: number,
        };
        state.disk.token = Token::Held(name);
        let process = &mut state.processes[usize::from(number)];
        let kept = process.connection.take().filter(|kept| self.is_current(*kept, fence));
        let tenure = Tenure {
            name,
            record: next_record(number, process),
            database: 0,
            journal: 0,
            at: At::OpeningDatabase,
        };
        process.phase = Phase::InTenure(match kept {
            Some(kept) => Tenure { database: kept.database, at: At::OpeningJournal, ..tenure },
            None => tenure,
        });
    }

    pub fn take_over(&self, state: &mut State, taker: u8, holder_provably_dead: bool) {
        let Token::Held(theirs) = state.disk.token else { return };
        let name = Holding {
            generation: theirs.generation + 1,
            heartbeat: 0,
            writing: theirs.writing && !self.is_without(Mutation::WNotInheritedAtTakeover),
            distrusted: (theirs.distrusted || theirs.writing && !holder_provably_dead)
                && !self.is_without(Mutation::NoD),
            holder: taker,
            ..theirs
        };
        state.disk.token = Token::Held(name);
        state.takeovers_left -= 1;
        let process = &mut state.processes[usize::from(taker)];
        if !self.is_without(Mutation::TakerKeepsItsConnection) {
            process.connection = None;
        }
        let record = next_record(taker, process);
        process.phase = Phase::InTenure(Tenure { name, record, database: 0, journal: 0, at: At::Revoking });
    }

    pub fn proceed(&self, state: &mut State, number: u8, mut tenure: Tenure) {
        if tenure.at == At::Releasing {
            return self.release_and_acknowledge(state, number, &tenure);
        }
        if tenure.at == At::Storing(Transaction::Committing)
            && self.is_without(Mutation::AcknowledgementBeforeRelease)
        {
            state.promised = state.promised.with(tenure.record);
        }
        let kept = state.processes[usize::from(number)].connection.take();
        let process = &mut state.processes[usize::from(number)];
        process.phase = match self.next_step(&mut state.disk, &mut tenure, kept) {
            Some(at) => Phase::InTenure(Tenure { at, ..tenure }),
            // The lock is lost: the connection is not kept, and the record is tried again under the same id.
            None => Phase::Waiting,
        };
    }

    fn release_and_acknowledge(&self, state: &mut State, number: u8, tenure: &Tenure) {
        if release(state, number) {
            state.promised = state.promised.with(tenure.record);
            let process = &mut state.processes[usize::from(number)];
            process.stored += 1;
            if process.stored == self.size.records {
                (process.phase, process.connection) = (Phase::Served, None);
            }
        }
    }

    /// Does what `tenure` is at and says what comes next. `None`: the lock is lost.
    fn next_step(&self, disk: &mut Disk, tenure: &mut Tenure, kept: Option<Connection>) -> Option<At> {
        let next = match tenure.at {
            At::Revoking => {
                if !self.is_without(Mutation::NoRevoke) {
                    disk.remove_copies_older_than(tenure.name.generation);
                }
                match kept.filter(|kept| self.is_current(*kept, tenure.name.fence)) {
                    Some(kept) => {
                        tenure.database = kept.database;
                        At::OpeningJournal
                    }
                    None => At::OpeningDatabase,
                }
            }
            At::OpeningDatabase => {
                tenure.database = disk.database;
                At::OpeningJournal
            }
            At::OpeningJournal => {
                tenure.journal = disk.journal;
                if tenure.name.distrusted {
                    At::Fencing(Fence::CopyingHeader)
                } else {
                    self.once_trusted(tenure)
                }
            }
            At::Fencing(step) => self.fence(disk, tenure, step)?,
            At::RenewingWithW => {
                renew(disk, tenure, |name| name.writing = true)?;
                if self.is_without(Mutation::RecoveryBeforeRenewWithW) {
                    At::Storing(Transaction::LookingForOwnRecord)
                } else {
                    At::Recovering(Recovery::LookingForHotJournal)
                }
            }
            At::Recovering(step) => self.recover(disk, tenure, step),
            At::Storing(step) => self.store(disk, tenure, step)?,
            At::Releasing => unreachable!("a step of its own"),
        };
        Some(next)
    }

    fn recover(&self, disk: &mut Disk, tenure: &Tenure, step: Recovery) -> At {
        let database = disk.file(tenure.database);
        At::Recovering(match step {
            Recovery::LookingForHotJournal => match disk.journal(tenure.journal) {
                Some(original) => Recovery::RestoringFirstPage { original },
                None => return self.once_recovered(),
            },
            Recovery::RestoringFirstPage { original } => {
                database.pages[0] = original[0];
                Recovery::RestoringSecondPage { original }
            }
            Recovery::RestoringSecondPage { original } => {
                database.pages[1] = original[1];
                Recovery::EmptyingJournal
            }
            Recovery::EmptyingJournal => {
                disk.file(tenure.journal).journal = None;
                return self.once_recovered();
            }
        })
    }

    /// `None`: the lock is lost.
    fn store(&self, disk: &mut Disk, tenure: &mut Tenure, step: Transaction) -> Option<At> {
        let pages = disk.pages(tenure.database);
        Some(At::Storing(match step {
            Transaction::LookingForOwnRecord => {
                if pages[0].records().contains(tenure.record) && !self.is_without(Mutation::NoAppliedIds) {
                    return Some(At::Releasing);
                }
                let read = pages;
                if tenure.name.writing || self.is_without(Mutation::WritingBeforeRenewWithW) {
                    Transaction::WritingJournal { read }
                } else {
                    Transaction::RenewingWithW { read }
                }
            }
            Transaction::RenewingWithW { read } => {
                renew(disk, tenure, |name| name.writing = true)?;
                Transaction::WritingJournal { read }
            }
            Transaction::WritingJournal { read } => {
                disk.file(tenure.journal).journal = Some(read);
                Transaction::WritingFirstPage
            }
            Transaction::WritingFirstPage => {
                disk.file(tenure.database).pages[0] = pages[0].with(tenure.record);
                Transaction::WritingSecondPage
            }
            Transaction::WritingSecondPage => {
                disk.file(tenure.database).pages[1] = pages[1].with(tenure.record);
                Transaction::Committing
            }
            Transaction::Committing => {
                disk.file(tenure.journal).journal = None;
                return Some(At::Releasing);
            }
        }))
    }

    /// The database and the journal that stand open are those at the paths, and stay there. Without W there is nothing
    /// to recover, and nothing is written yet.
    pub fn once_trusted(&self, tenure: &Tenure) -> At {
        if !tenure.name.writing {
            At::Storing(Transaction::LookingForOwnRecord)
        } else if self.is_without(Mutation::RecoveryBeforeRenewWithW) {
            At::Recovering(Recovery::LookingForHotJournal)
        } else {
            At::RenewingWithW
        }
    }

    fn once_recovered(&self) -> At {
        if self.is_without(Mutation::RecoveryBeforeRenewWithW) {
            At::RenewingWithW
        } else {
            At::Storing(Transaction::LookingForOwnRecord)
        }
    }
}

/// The rename that renews. `None`: the name is gone, the lock is lost.
pub fn renew(disk: &mut Disk, tenure: &mut Tenure, change: impl FnOnce(&mut Holding)) -> Option<()> {
    (disk.token == Token::Held(tenure.name)).then_some(())?;
    tenure.name.heartbeat += 1;
    change(&mut tenure.name);
    disk.token = Token::Held(tenure.name);
    Some(())
}

/// Whether the token could be released. The connection is kept then, and only then.
pub fn release(state: &mut State, number: u8) -> bool {
    let process = &mut state.processes[usize::from(number)];
    let Phase::InTenure(Tenure { name, database, .. }) = process.phase else { return false };
    process.phase = Phase::Waiting;
    let held = state.disk.token == Token::Held(name);
    if held {
        state.disk.token = Token::Free { fence: name.fence, generation: name.generation };
        process.connection = Some(Connection { database, fence: name.fence });
    }
    held
}

fn next_record(number: u8, process: &Process) -> u8 {
    number + process.stored * MAX_PROCESSES
}
