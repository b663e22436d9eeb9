//! Where every process and the reader stand, and what they keep open.

use crate::disk::{Disk, Holding, Journal, MAX_PROCESSES, Page, Pages, Records, Token};

/// An open database, filed under the fence number of the name under which it was opened.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Connection {
    pub database: u8,
    pub fence: u8,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Process {
    pub phase: Phase,
    /// How many of its records are acknowledged.
    pub stored: u8,
    /// Kept between tenures.
    pub connection: Option<Connection>,
    /// Only without "recovery before release": has given up a tenure. Once is enough, and keeps the model finite.
    pub gave_up: bool,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Phase {
    /// There is a record that is not acknowledged: wants the token.
    Waiting,
    InTenure(Tenure),
    /// All its records are acknowledged.
    Served,
    Dead,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Tenure {
    /// What this process believes the token's name to be; it may be wrong, and only a rename tells.
    pub name: Holding,
    /// What it is to store, under the same number in every attempt.
    pub record: u8,
    /// The open database; 0 until it is opened.
    pub database: u8,
    /// The open journal; 0 until it is opened.
    pub journal: u8,
    pub at: At,
}

/// What a tenure does next. Each is one atomic step: others may act before and after it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum At {
    /// A taker removes every older copy, so that a predecessor's rename into place must fail.
    Revoking,
    OpeningDatabase,
    OpeningJournal,
    /// With D only.
    Fencing(Fence),
    /// Before a recovery: proves that what is open belongs to this tenure.
    RenewingWithW,
    Recovering(Recovery),
    Storing(Transaction),
    Releasing,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Fence {
    CopyingHeader,
    CopyingFirstPage { header: Header },
    CopyingSecondPage { header: Header, first: Page },
    ValidatingCopy { header: Header, copied: Pages },
    Renewing { copy: u8 },
    RenamingDatabase { copy: u8 },
    RenamingJournal { copy: u8 },
    RaisingNumber,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Recovery {
    LookingForHotJournal,
    RestoringFirstPage { original: Pages },
    RestoringSecondPage { original: Pages },
    EmptyingJournal,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Transaction {
    /// Without W, if nothing had to be recovered.
    LookingForOwnRecord,
    /// Proves that what is open, and what was read, belongs to this tenure. After it the lock is not asked again before
    /// the release.
    RenewingWithW {
        read: Pages,
    },
    WritingJournal {
        read: Pages,
    },
    WritingFirstPage,
    WritingSecondPage,
    Committing,
}

/// What must not change while a database is copied: the journal, and the header on the first page.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Header {
    pub journal: Journal,
    pub page: Page,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Reader {
    pub at: ReaderAt,
    pub connection: Option<Connection>,
    pub reads_left: u8,
}

/// What the lock-free reader does next.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ReaderAt {
    TakingName,
    /// It begins with the name that its last read was accepted under, however old that is.
    KnowingName {
        name: Token,
    },
    Opening {
        since: Start,
    },
    ReadingFirstPage {
        since: Start,
    },
    ReadingSecondPage {
        since: Start,
        first: Page,
    },
    TakingNameAgain {
        since: Start,
        pages: Pages,
    },
}

/// How things stood when a read began.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Start {
    pub name: Token,
    pub promised: Records,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct State {
    pub disk: Disk,
    pub processes: [Process; MAX_PROCESSES as usize],
    pub reader: Reader,
    /// Records that were acknowledged, or shown to a reader.
    pub promised: Records,
    pub takeovers_left: u8,
    pub crashes_left: u8,
}
