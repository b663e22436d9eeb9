//! The lock-free reader: the token's name, the pages, the same name again. The first name may be of the last read.

use crate::state::{Connection, ReaderAt, Start, State};
use crate::steps::Protocol;

impl Protocol {
    pub fn read(&self, state: &mut State) {
        let (disk, reader) = (&state.disk, &mut state.reader);
        let pages = reader.connection.map(|connection| disk.pages(connection.database)).unwrap_or_default();
        reader.at = match reader.at {
            ReaderAt::TakingName if !disk.token.permits_reading() => ReaderAt::TakingName,
            ReaderAt::TakingName => {
                let since = Start { name: disk.token, promised: state.promised };
                reader.connection =
                    reader.connection.filter(|kept| self.is_current(*kept, disk.token.fence()));
                match reader.connection {
                    Some(_) => ReaderAt::ReadingFirstPage { since },
                    None => ReaderAt::Opening { since },
                }
            }
            ReaderAt::KnowingName { name } => {
                ReaderAt::ReadingFirstPage { since: Start { name, promised: state.promised } }
            }
            ReaderAt::Opening { since } => {
                // First the name, then the open: filed under the fence number of that name.
                reader.connection = Some(Connection { database: disk.database, fence: since.name.fence() });
                ReaderAt::ReadingFirstPage { since }
            }
            ReaderAt::ReadingFirstPage { since } => ReaderAt::ReadingSecondPage { since, first: pages[0] },
            ReaderAt::ReadingSecondPage { since, first } => {
                ReaderAt::TakingNameAgain { since, pages: [first, pages[1]] }
            }
            ReaderAt::TakingNameAgain { since, pages } => {
                if since.name == disk.token {
                    state.promised = state.promised.and(pages[0].records());
                    reader.reads_left -= 1;
                    ReaderAt::KnowingName { name: since.name }
                } else {
                    ReaderAt::TakingName
                }
            }
        };
    }
}
