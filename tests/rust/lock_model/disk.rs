//! What stands on disk: the token, databases and journals, and what the paths lead to.

use std::fmt;

pub const MAX_PROCESSES: u8 = 3;
pub const MAX_RECORDS_EACH: u8 = 2;
/// The first database and a copy for each takeover: only a taker can find D, and a tenure copies once.
pub const MAX_FILES: u8 = 4;

/// The name of the token file: all that the lock consists of.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Token {
    Free { fence: u8, generation: u8 },
    Held(Holding),
}

/// The name of a held token, and what its holder believes that name to be.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Holding {
    pub fence: u8,
    pub generation: u8,
    pub heartbeat: u8,
    /// W: pages may be half-written.
    pub writing: bool,
    /// D: whoever holds must fence first.
    pub distrusted: bool,
    pub holder: u8,
}

impl Token {
    pub fn fence(self) -> u8 {
        match self {
            Self::Free { fence, .. } | Self::Held(Holding { fence, .. }) => fence,
        }
    }

    /// Neither W nor D: what the database holds may be read without the lock.
    pub fn permits_reading(self) -> bool {
        !matches!(self, Self::Held(name) if name.writing || name.distrusted)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Free { fence, generation } => write!(formatter, "f.{fence}.{generation}"),
            Self::Held(Holding { fence, generation, heartbeat, writing, distrusted, holder }) => {
                let (w, d) = (if writing { "W" } else { "" }, if distrusted { "D" } else { "" });
                write!(formatter, "h.{fence}.{generation}.{heartbeat}.{w}{d}.{holder}")
            }
        }
    }
}

/// One page of a database: how often each record has been applied to it. Two means twice or more.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Page([u8; (MAX_PROCESSES * MAX_RECORDS_EACH) as usize]);

impl Page {
    pub fn with(mut self, record: u8) -> Self {
        let times = &mut self.0[usize::from(record)];
        *times = 2.min(*times + 1);
        self
    }

    pub fn records(self) -> Records {
        let present = (0u8..).zip(self.0).filter(|&(_, times)| times > 0);
        present.fold(Records::default(), |records, (record, _)| records.with(record))
    }

    pub fn applied_twice(self) -> bool {
        self.0.contains(&2)
    }
}

/// A whole database has two pages: it is torn when they differ.
pub type Pages = [Page; 2];

pub fn torn(pages: Pages) -> bool {
    pages[0] != pages[1]
}

/// A set of records, which are numbered through.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct Records(u8);

impl Records {
    pub fn with(self, record: u8) -> Self {
        Self(self.0 | 1 << record)
    }

    pub fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    pub fn contains(self, record: u8) -> bool {
        self.includes(Self::default().with(record))
    }

    pub fn includes(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries((0..8).filter(|&record| self.contains(record))).finish()
    }
}

/// The original pages while a transaction is under way ("hot"), else nothing.
pub type Journal = Option<Pages>;

/// A database and its journal. What a path leads to is said by [`Disk`]; who has a file open keeps it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct File {
    pub pages: Pages,
    pub journal: Journal,
}

/// The names beside the database under which a copy and its journal wait to be renamed into place.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Waiting {
    pub generation: u8,
    pub database: bool,
    pub journal: bool,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Disk {
    pub token: Token,
    /// The file that the database's path leads to.
    pub database: u8,
    /// The file that the journal's path leads to.
    pub journal: u8,
    /// How many of `files` have been made.
    pub made: u8,
    pub files: [File; MAX_FILES as usize],
    pub waiting: [Waiting; MAX_FILES as usize],
}

impl Disk {
    pub fn new() -> Self {
        Self {
            token: Token::Free { fence: 0, generation: 0 },
            database: 0,
            journal: 0,
            made: 1,
            files: Default::default(),
            waiting: Default::default(),
        }
    }

    pub fn file(&mut self, number: u8) -> &mut File {
        &mut self.files[usize::from(number)]
    }

    pub fn waiting(&mut self, copy: u8) -> &mut Waiting {
        &mut self.waiting[usize::from(copy)]
    }

    /// A copy and an empty journal, under names that hold the generation of the tenure that makes them.
    pub fn make_copy(&mut self, generation: u8, file: File) -> u8 {
        let copy = self.made;
        self.made += 1;
        *self.file(copy) = file;
        *self.waiting(copy) = Waiting { generation, database: true, journal: true };
        copy
    }

    pub fn remove_copies_older_than(&mut self, generation: u8) {
        let older = self.waiting.iter_mut().filter(|copy| copy.generation < generation);
        older.for_each(|copy| *copy = Waiting::default());
    }

    pub fn pages(&self, database: u8) -> Pages {
        self.files[usize::from(database)].pages
    }

    pub fn journal(&self, journal: u8) -> Journal {
        self.files[usize::from(journal)].journal
    }

    /// What the next tenure will find by path: a hot journal is rolled back.
    pub fn committed(&self) -> Pages {
        self.journal(self.journal).unwrap_or(self.pages(self.database))
    }
}
