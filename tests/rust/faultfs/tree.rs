//! A directory tree in memory: objects, and apart from them the names that lead to them.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::stat::{Mode, SFlag, mknod};

/// A file, directory or symbolic link as such, whatever its names. Never used again, unlike an inode number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Object(pub u64);

/// The directory that is mounted.
pub const ROOT: Object = Object(0);

/// A name in a directory.
pub type Name = (Object, OsString);

/// What an object is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    File(Arc<Vec<u8>>),
    Directory,
    Symlink(PathBuf),
    /// A pipe or a socket: its type as in `st_mode`.
    Special(u32),
}

/// An object: what it is made of, its mode (permission bits only) and its owner.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    pub kind: Kind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// All objects, and the names that lead to them. Objects without a name are there, but cannot be reached.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tree {
    pub nodes: BTreeMap<Object, Node>,
    pub names: BTreeMap<Name, Object>,
}

impl Tree {
    /// Read a directory, and which inode number became which object.
    pub fn read(directory: &Path) -> io::Result<(Self, HashMap<u64, Object>)> {
        let (mut tree, mut objects) = (Self::default(), HashMap::new());
        tree.add(directory, None, &mut objects)?;
        Ok((tree, objects))
    }

    /// Write the tree into `directory`, which is created if it is missing. Times are not kept.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let mut written = HashMap::new();
        self.write_names(ROOT, directory, &mut written)?;
        self.nodes.get(&ROOT).map_or(Ok(()), |root| own(directory, root))
    }

    /// The paths that lead to something, relative to the root.
    pub fn paths(&self) -> BTreeMap<PathBuf, &Node> {
        let mut paths = BTreeMap::new();
        let mut open = vec![(ROOT, PathBuf::new())];
        while let Some((directory, prefix)) = open.pop() {
            for (name, object) in self.names_in(directory) {
                let (Some(node), path) = (self.nodes.get(&object), prefix.join(name)) else { continue };
                if node.kind == Kind::Directory {
                    open.push((object, path.clone()));
                }
                paths.insert(path, node);
            }
        }
        paths
    }

    /// The content of the file at this path, if there is one.
    pub fn content(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        match &self.paths().get(path.as_ref())?.kind {
            Kind::File(data) => Some(data.to_vec()),
            _ => None,
        }
    }

    /// Write into a file, with zeros where it was shorter.
    pub(super) fn write_at(&mut self, object: Object, offset: u64, bytes: &[u8]) {
        if let Some(Node { kind: Kind::File(data), .. }) = self.nodes.get_mut(&object) {
            let (data, start) = (Arc::make_mut(data), size(offset));
            data.resize(data.len().max(start + bytes.len()), 0);
            data[start..start + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// Cut a file, or extend it with zeros.
    pub(super) fn truncate(&mut self, object: Object, length: u64) {
        if let Some(Node { kind: Kind::File(data), .. }) = self.nodes.get_mut(&object) {
            Arc::make_mut(data).resize(size(length), 0);
        }
    }

    fn names_in(&self, directory: Object) -> impl Iterator<Item = (&OsString, Object)> {
        let range = self.names.range((directory, OsString::new())..);
        let range = range.take_while(move |((parent, _), _)| *parent == directory);
        range.map(|((_, name), object)| (name, *object))
    }

    fn add(&mut self, path: &Path, name: Option<Name>, objects: &mut HashMap<u64, Object>) -> io::Result<()> {
        let metadata = fs::symlink_metadata(path)?;
        let fresh = Object(objects.len() as u64);
        let object = *objects.entry(metadata.ino()).or_insert(fresh);
        if let Some(name) = name {
            self.names.insert(name, object);
        }
        if object != fresh {
            return Ok(());
        }
        let kind = match metadata.file_type() {
            kind if kind.is_dir() => Kind::Directory,
            kind if kind.is_file() => Kind::File(Arc::new(fs::read(path)?)),
            kind if kind.is_symlink() => Kind::Symlink(fs::read_link(path)?),
            kind if kind.is_fifo() => Kind::Special(SFlag::S_IFIFO.bits()),
            _ => Kind::Special(SFlag::S_IFSOCK.bits()),
        };
        let is_directory = kind == Kind::Directory;
        let node = Node { kind, mode: metadata.mode() & 0o7777, uid: metadata.uid(), gid: metadata.gid() };
        self.nodes.insert(object, node);
        if is_directory {
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                self.add(&entry.path(), Some((object, entry.file_name())), objects)?;
            }
        }
        Ok(())
    }

    fn write_names(&self, from: Object, to: &Path, written: &mut HashMap<Object, PathBuf>) -> io::Result<()> {
        for (name, object) in self.names_in(from) {
            let (Some(node), path) = (self.nodes.get(&object), to.join(name)) else { continue };
            if let Some(other) = written.get(&object) {
                fs::hard_link(other, &path)?;
                continue;
            }
            match &node.kind {
                Kind::File(data) => fs::write(&path, data.as_slice())?,
                Kind::Symlink(target) => symlink(target, &path)?,
                Kind::Special(kind) => {
                    mknod(&path, SFlag::from_bits_truncate(*kind), Mode::from_bits_truncate(node.mode), 0)?;
                }
                Kind::Directory => {
                    fs::create_dir(&path)?;
                    self.write_names(object, &path, written)?;
                }
            }
            own(&path, node)?;
            written.insert(object, path);
        }
        Ok(())
    }
}

fn own(path: &Path, node: &Node) -> io::Result<()> {
    if matches!(node.kind, Kind::Symlink(_)) {
        return Ok(());
    }
    let now = fs::metadata(path)?;
    if (now.uid(), now.gid()) != (node.uid, node.gid) {
        chown(path, Some(node.uid), Some(node.gid))?;
    }
    fs::set_permissions(path, Permissions::from_mode(node.mode))
}

fn size(length: u64) -> usize {
    usize::try_from(length).expect("a file that fits into memory")
}
