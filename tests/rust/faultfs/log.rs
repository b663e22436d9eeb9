//! Every change, in the one order in which all mounts made them.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::tree::{Name, Node, Object, Tree};

/// A change, a promise that changes are durable, or a mark of the test.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A new object under a new name: a file, a directory, a symbolic link or a pipe.
    Create {
        name: Name,
        object: Object,
        node: Node,
    },
    Write {
        object: Object,
        offset: u64,
        data: Arc<[u8]>,
    },
    Truncate {
        object: Object,
        size: u64,
    },
    Attributes {
        object: Object,
        mode: u32,
        uid: u32,
        gid: u32,
    },
    Link {
        name: Name,
        object: Object,
    },
    /// A name is gone, of a file or of a directory.
    Unlink {
        name: Name,
        object: Object,
    },
    /// `replaced` had the name before.
    Rename {
        from: Name,
        to: Name,
        object: Object,
        replaced: Option<Object>,
    },
    /// `fsync` or `fdatasync` of a file.
    Sync {
        object: Object,
    },
    /// `fsync` of a directory.
    SyncDirectory {
        directory: Object,
    },
    /// Something the test, or a client that looked up `.mark.<text>`, wants to find again.
    Mark(String),
}

/// An event, and the process that caused it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    pub pid: u32,
    pub event: Event,
}

#[derive(Debug, Default)]
struct State {
    objects: HashMap<u64, Object>,
    next: u64,
    entries: Vec<Entry>,
}

/// The log of one backing directory, shared by all mounts over it. Changes that do not go through one of them
/// must not happen while it is kept.
#[derive(Debug)]
pub struct Log {
    initial: Arc<Tree>,
    state: Mutex<State>,
}

impl Log {
    /// Begin with the backing directory as it is now.
    pub fn of(backing: &Path) -> io::Result<Arc<Self>> {
        let (tree, objects) = Tree::read(backing)?;
        let state = State { next: objects.len() as u64, objects, entries: Vec::new() };
        Ok(Arc::new(Self { initial: Arc::new(tree), state: Mutex::new(state) }))
    }

    /// Insert a mark, after everything that was answered so far.
    pub fn mark(&self, text: impl Into<String>) {
        self.begin().push(std::process::id(), Event::Mark(text.into()));
    }

    /// How many events there are so far.
    pub fn len(&self) -> usize {
        self.begin().0.entries.len()
    }

    /// What happened so far, to work with.
    pub fn trace(&self) -> Trace {
        Trace { initial: Arc::clone(&self.initial), entries: self.begin().0.entries.clone() }
    }

    /// Nothing else changes until the answer is dropped: a change is made and logged under it.
    pub(super) fn begin(&self) -> Writing<'_> {
        Writing(self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The log while one change is made.
pub(super) struct Writing<'a>(MutexGuard<'a, State>);

impl Writing<'_> {
    /// The object behind an inode number.
    pub fn object(&mut self, number: u64) -> Object {
        let state = &mut *self.0;
        *state.objects.entry(number).or_insert_with(|| {
            state.next += 1;
            Object(state.next - 1)
        })
    }

    /// The object behind an inode that was just made, whose number another one may have had before.
    pub fn born(&mut self, number: u64) -> Object {
        self.0.objects.remove(&number);
        self.object(number)
    }

    pub fn push(&mut self, pid: u32, event: Event) {
        self.0.entries.push(Entry { pid, event });
    }
}

/// What happened to a directory, from how it was at first.
#[derive(Clone, Debug)]
pub struct Trace {
    pub initial: Arc<Tree>,
    pub entries: Vec<Entry>,
}

impl Trace {
    /// The marks among the first `cut` events.
    pub fn marks(&self, cut: usize) -> Vec<&str> {
        let events = self.entries[..cut].iter().map(|entry| &entry.event);
        events
            .filter_map(|event| if let Event::Mark(text) = event { Some(text.as_str()) } else { None })
            .collect()
    }

    /// The directory after the first `cut` events, as running processes see it, and as it is found after all of
    /// them were killed.
    pub fn running(&self, cut: usize) -> Tree {
        let mut tree = self.objects(cut);
        for Entry { event, .. } in &self.entries[..cut] {
            tree.apply_data(event);
            tree.apply_name(event);
        }
        tree
    }

    /// The directory at first, and with it all objects made later, empty and without names.
    pub(super) fn objects(&self, cut: usize) -> Tree {
        let mut tree = (*self.initial).clone();
        for Entry { event, .. } in &self.entries[..cut] {
            if let Event::Create { object, node, .. } = event {
                tree.nodes.insert(*object, node.clone());
            }
        }
        tree
    }
}

impl Tree {
    /// The part of an event that changes an object.
    pub(super) fn apply_data(&mut self, event: &Event) {
        match event {
            Event::Write { object, offset, data } => self.write_at(*object, *offset, data),
            Event::Truncate { object, size } => self.truncate(*object, *size),
            Event::Attributes { object, mode, uid, gid } => {
                if let Some(node) = self.nodes.get_mut(object) {
                    (node.mode, node.uid, node.gid) = (*mode, *uid, *gid);
                }
            }
            _ => (),
        }
    }

    /// The part of an event that changes a directory.
    pub(super) fn apply_name(&mut self, event: &Event) {
        match event {
            Event::Create { name, object, .. } | Event::Link { name, object } => {
                self.names.insert(name.clone(), *object);
            }
            Event::Unlink { name, .. } => {
                self.names.remove(name);
            }
            Event::Rename { from, to, object, .. } => {
                self.names.remove(from);
                self.names.insert(to.clone(), *object);
            }
            _ => (),
        }
    }
}
