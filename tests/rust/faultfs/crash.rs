//! What a power cut leaves of the changes that nobody had made durable.
//!
//! Content and directories are kept apart, as file systems do. What `fsync` promised is there. Of the rest
//!
//! - a write is kept, lost, or torn at a multiple of 512 bytes, each for itself. A truncation is kept or lost;
//!   if it is lost, so is what was written to the file after it;
//! - of each directory's changes a prefix is kept: they go through a journal that keeps their order. A rename
//!   from one directory to another is kept in both or in none. Changes in a new directory are kept only if the
//!   directory itself is, unless they were synced;
//! - changes of mode and owner are kept always.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::log::{Event, Trace};
use super::tree::{Name, Object, ROOT, Tree};

const SECTOR: u64 = 512;

/// What a file system promises.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Durability {
    /// `fsync` of a file or directory makes its own creation, links and renames durable, and with them what
    /// came before in those directories, as ext4 and XFS do. POSIX asks for `fsync` of the directory.
    pub fsync_covers_name: bool,
    /// One journal for all directories, as ext4 and XFS have: what is kept is a prefix of all their changes.
    pub one_journal: bool,
}

impl Trace {
    /// A directory that may be found if the power failed after the first `cut` events: the same for the same
    /// seed.
    pub fn power_cut(&self, cut: usize, seed: u64, promises: Durability) -> Tree {
        let mut rng = StdRng::seed_from_u64(seed);
        let events: Vec<&Event> = self.entries[..cut].iter().map(|entry| &entry.event).collect();
        let mut tree = self.objects(cut);
        let mut journals = Journals::new(&events, promises);
        journals.keep_some(&mut rng);
        for (position, event) in events.iter().enumerate() {
            if journals.keeps(position) {
                tree.apply_name(event);
            }
        }
        keep_some_content(&mut tree, &events, &mut rng);
        tree
    }
}

/// The names an event changes: two for a rename.
fn names(event: &Event) -> Vec<&Name> {
    match event {
        Event::Create { name, .. } | Event::Link { name, .. } | Event::Unlink { name, .. } => vec![name],
        Event::Rename { from, to, .. } => vec![from, to],
        _ => Vec::new(),
    }
}

/// The object that an event gives a name.
fn named(event: &Event) -> Option<Object> {
    match event {
        Event::Create { object, .. } | Event::Link { object, .. } | Event::Rename { object, .. } => {
            Some(*object)
        }
        _ => None,
    }
}

/// The changes of names by directory: their positions in the log, and how many of them are kept.
struct Journals<'a> {
    events: &'a [&'a Event],
    promises: Durability,
    /// By directory: positions of its changes, in order.
    changes: BTreeMap<Object, Vec<usize>>,
    /// By directory: how many of them were synced.
    synced: BTreeMap<Object, usize>,
    /// By directory: how many of them are kept.
    kept: BTreeMap<Object, usize>,
    /// By object: where it was given a name, its creation first.
    named: BTreeMap<Object, Vec<usize>>,
    /// Renames from one directory to another.
    crossing: Vec<usize>,
}

impl<'a> Journals<'a> {
    fn new(events: &'a [&'a Event], promises: Durability) -> Self {
        let (changes, synced, kept, named, crossing) = Default::default();
        let mut journals = Self { events, promises, changes, synced, kept, named, crossing };
        for (position, event) in events.iter().enumerate() {
            journals.follow(position, event);
        }
        journals
    }

    /// Whether the change at this position of the log is kept.
    fn keeps(&self, position: usize) -> bool {
        self.journals(position).iter().all(|journal| self.is_among(&self.kept, *journal, position))
    }

    fn follow(&mut self, position: usize, event: &Event) {
        let journals = self.journals(position);
        if journals.len() == 2 {
            self.crossing.push(position);
        }
        for journal in journals {
            self.changes.entry(journal).or_default().push(position);
        }
        if let Some(object) = named(event) {
            self.named.entry(object).or_default().push(position);
        }
        let (Event::Sync { object } | Event::SyncDirectory { directory: object }) = event else { return };
        if matches!(event, Event::SyncDirectory { .. }) {
            let journal = self.journal_of(*object);
            self.synced.insert(journal, self.changes.get(&journal).map_or(0, Vec::len));
        }
        if self.promises.fsync_covers_name {
            for position in self.named.get(object).cloned().unwrap_or_default() {
                self.sync_until(position);
            }
        }
        // A rename to another directory that is durable in one of them is durable in both.
        while let Some(position) = self.half_synced() {
            self.sync_until(position);
        }
    }

    fn sync_until(&mut self, position: usize) {
        for journal in self.journals(position) {
            let length = self.index(journal, position) + 1;
            let synced = self.synced.entry(journal).or_default();
            *synced = (*synced).max(length);
        }
    }

    fn half_synced(&self) -> Option<usize> {
        let synced = |position, journal: &Object| self.is_among(&self.synced, *journal, position);
        self.crossing.iter().copied().find(|position| {
            let journals = self.journals(*position);
            journals.iter().any(|journal| synced(*position, journal))
                && !journals.iter().all(|journal| synced(*position, journal))
        })
    }

    fn keep_some(&mut self, rng: &mut StdRng) {
        for (journal, changes) in &self.changes {
            let synced = self.synced.get(journal).copied().unwrap_or(0);
            self.kept.insert(*journal, rng.random_range(synced..=changes.len()));
        }
        // What depends on something that is lost is lost, and what comes after it in its directory.
        while let Some((journal, length)) = self.contradiction() {
            self.kept.insert(journal, length);
        }
    }

    /// A directory that keeps too much, and how much it may keep.
    fn contradiction(&self) -> Option<(Object, usize)> {
        let torn_apart =
            self.crossing.iter().filter(|position| !self.keeps(**position)).find_map(|position| {
                let journals = self.journals(*position);
                let journal =
                    journals.into_iter().find(|journal| self.is_among(&self.kept, *journal, *position))?;
                Some((journal, self.index(journal, *position)))
            });
        torn_apart.or_else(|| {
            self.kept.iter().find_map(|(directory, kept)| {
                let synced = self.synced.get(directory).copied().unwrap_or(0);
                let created = *self.named.get(directory)?.first()?;
                let is_new = matches!(self.events[created], Event::Create { .. });
                (is_new && *kept > synced && !self.keeps(created)).then_some((*directory, synced))
            })
        })
    }

    fn is_among(&self, lengths: &BTreeMap<Object, usize>, journal: Object, position: usize) -> bool {
        self.index(journal, position) < lengths.get(&journal).copied().unwrap_or(0)
    }

    fn index(&self, journal: Object, position: usize) -> usize {
        self.changes[&journal].binary_search(&position).expect("a change of this directory")
    }

    fn journals(&self, position: usize) -> Vec<Object> {
        let names = names(self.events[position]);
        let mut journals: Vec<_> = names.iter().map(|(directory, _)| self.journal_of(*directory)).collect();
        journals.dedup();
        journals
    }

    fn journal_of(&self, directory: Object) -> Object {
        if self.promises.one_journal { ROOT } else { directory }
    }
}

fn keep_some_content(tree: &mut Tree, events: &[&Event], rng: &mut StdRng) {
    let mut by_object: BTreeMap<Object, Vec<usize>> = BTreeMap::new();
    let mut synced: BTreeMap<Object, usize> = BTreeMap::new();
    for (position, event) in events.iter().enumerate() {
        match event {
            Event::Write { object, .. } | Event::Truncate { object, .. } => {
                by_object.entry(*object).or_default().push(position);
            }
            Event::Sync { object } => drop(synced.insert(*object, position)),
            Event::Attributes { .. } => tree.apply_data(event),
            _ => (),
        }
    }
    for (object, positions) in by_object {
        let synced = synced.get(&object).copied().unwrap_or(0);
        // Drawn for each file: else nearly no image would have all or nothing of many writes.
        let keep = [0.0, 0.25, 0.5, 0.75, 1.0][rng.random_range(0..5)];
        let tear = [0.0, 0.5][rng.random_range(0..2)];
        for position in positions {
            let event = events[position];
            if position < synced || rng.random::<f64>() < keep {
                tree.apply_data(event);
            } else if let Event::Write { object, offset, data } = event {
                if rng.random::<f64>() < tear {
                    tree.write_at(*object, *offset, torn(*offset, data, rng));
                }
            } else {
                break;
            }
        }
    }
}

/// A part of a write that ends where a sector ends, or nothing.
fn torn<'a>(offset: u64, data: &'a [u8], rng: &mut StdRng) -> &'a [u8] {
    let first = offset / SECTOR + 1;
    let last = (offset + data.len() as u64 - 1) / SECTOR;
    if first > last {
        return &[];
    }
    let end = rng.random_range(first..=last) * SECTOR - offset;
    &data[..usize::try_from(end).expect("within the data")]
}
