//! The fence: a copy takes the place of the database, so that a slow writer's descriptors lead to orphans. And what
//! is done where the file system refuses it.

use std::mem;

use crate::disk::{Disk, File};
use crate::mutations::Mutation;
use crate::state::{At, Fence, Header, Phase, State, Tenure};
use crate::steps::Protocol;
use crate::tenure::renew;

impl Protocol {
    /// `None`: the lock is lost.
    pub fn fence(&self, disk: &mut Disk, tenure: &mut Tenure, step: Fence) -> Option<At> {
        let Tenure { database, journal, .. } = *tenure;
        let header = Header { journal: disk.journal(journal), page: disk.pages(database)[0] };
        let journal_first = self.is_without(Mutation::JournalRenamedBeforeDatabase);
        Some(At::Fencing(match step {
            Fence::CopyingHeader => Fence::CopyingFirstPage { header },
            Fence::CopyingFirstPage { header } => {
                Fence::CopyingSecondPage { header, first: disk.pages(database)[0] }
            }
            Fence::CopyingSecondPage { header, first } => {
                Fence::ValidatingCopy { header, copied: [first, disk.pages(database)[1]] }
            }
            Fence::ValidatingCopy { header: before, copied } => {
                if header == before || self.is_without(Mutation::NoCopyValidation) {
                    let rolled_back = before.journal.unwrap_or(copied);
                    let file = File { pages: rolled_back, journal: None };
                    Fence::Renewing { copy: disk.make_copy(tenure.name.generation, file) }
                } else {
                    Fence::CopyingHeader
                }
            }
            Fence::Renewing { copy } => {
                renew(disk, tenure, |_| ())?;
                if journal_first { Fence::RenamingJournal { copy } } else { Fence::RenamingDatabase { copy } }
            }
            // Whoever finds the copy gone has been revoked.
            Fence::RenamingDatabase { copy } => {
                mem::take(&mut disk.waiting(copy).database).then_some(())?;
                (disk.database, tenure.database) = (copy, copy);
                if journal_first { Fence::RaisingNumber } else { Fence::RenamingJournal { copy } }
            }
            Fence::RenamingJournal { copy } => {
                mem::take(&mut disk.waiting(copy).journal).then_some(())?;
                (disk.journal, tenure.journal) = (copy, copy);
                if journal_first { Fence::RenamingDatabase { copy } } else { Fence::RaisingNumber }
            }
            Fence::RaisingNumber => {
                renew(disk, tenure, |name| (name.fence, name.distrusted) = (name.fence + 1, false))?;
                return Some(self.once_trusted(tenure));
            }
        }))
    }

    /// The fence was refused: the database stays where it is, and D is cleared.
    pub fn recover_in_place(&self, state: &mut State, number: u8) {
        let process = &mut state.processes[usize::from(number)];
        let Phase::InTenure(mut tenure) = process.phase else { return };
        let raised = u8::from(!self.is_without(Mutation::FenceNumberNotRaisedAfterRefusedFence));
        let renewed = renew(&mut state.disk, &mut tenure, |name| {
            (name.fence, name.distrusted) = (name.fence + raised, false);
        });
        process.phase = match renewed {
            Some(()) => Phase::InTenure(Tenure { at: self.once_trusted(&tenure), ..tenure }),
            None => Phase::Waiting,
        };
    }
}

/// Whether `tenure` is at a step of the fence that the file system can refuse, and nobody else is left who would
/// write without asking the lock again: that is what the second takeover time is for.
pub fn can_be_replaced_by_waiting(state: &State, number: u8, tenure: &Tenure) -> bool {
    let At::Fencing(step) = tenure.at else { return false };
    let refusable =
        matches!(step, Fence::CopyingHeader | Fence::RenamingDatabase { .. } | Fence::RenamingJournal { .. });
    let mut others = (0..).zip(&state.processes).filter(|&(other, _)| other != number);
    refusable
        && others.all(|(_, other)| match other.phase {
            Phase::InTenure(tenure) => match tenure.at {
                At::Recovering(_) => false,
                At::Storing(_) => !tenure.name.writing,
                _ => true,
            },
            _ => true,
        })
}
