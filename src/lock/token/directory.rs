//! The lock directory: what stands in it, and the one operation that changes the token.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use rand::RngExt;

use super::listing::Listing;
use super::name::{Count, Token, number};
use crate::error::{Error, Result, may_hide_a_success};
use crate::lock::errors::refused;
use crate::mutation;
use crate::scratch;
use crate::storage::birth::sync_directory;

/// How the name of a batch ends that somebody waits for.
pub(crate) const BATCH_WAITS: &str = ".new";
/// How the name begins by which a tenure says that it takes the directory away.
const ENDING: &str = "u";
/// The protocol that this version speaks.
const VERSION: u64 = 1;
/// Longest takeover time: what a caller waits for a holder that is silent and on another node.
const LONGEST_TAKEOVER: Duration = Duration::from_secs(30);
/// Shorter than this, a busy machine's own pauses would look like a holder's death.
const SHORTEST_TAKEOVER: Duration = Duration::from_millis(500);
/// A lost reply is asked about this often before the file system is given up.
const RETRIES: u32 = 8;

/// A lock directory.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    /// May other users use the store?
    pub(crate) shared: bool,
    /// Does every node see at once what another one has renamed?
    pub(crate) coherent: bool,
    /// What tenures keep open of it.
    pub(crate) listing: Arc<Listing>,
}

/// What one look into the directory saw.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The names of all tokens: exactly one, unless a rename was under way or the directory is damaged.
    pub(crate) tokens: Vec<String>,
    /// Marks of waiters.
    pub(crate) marks: Vec<String>,
    /// Files of batches that wait for whoever holds the token, or have waited.
    pub(crate) batches: Vec<String>,
    /// A holder that is silent for this long is taken over.
    pub(crate) takeover: Duration,
    version: u64,
    /// Tenures, by their generation, that have said that they take the directory away.
    endings: Vec<u64>,
    /// The directory, to be kept open if the token that was found leads into it.
    opened: Option<Dir>,
}

impl Scan {
    /// A look that saw nothing: the caller looks again.
    fn nothing() -> Self {
        Self {
            tokens: Vec::new(),
            marks: Vec::new(),
            batches: Vec::new(),
            takeover: LONGEST_TAKEOVER,
            version: VERSION,
            endings: Vec::new(),
            opened: None,
        }
    }

    /// Has the tenure that holds the token said that it takes the directory away? A name that a dead one has left says
    /// nothing.
    pub(crate) fn goes_away(&self) -> bool {
        match self.the_token() {
            Ok((_, Token::Held(hold))) => self.endings.contains(&hold.count.generation),
            Ok((_, Token::Free(_))) => false,
            // It is being renewed.
            Err(_) => !self.endings.is_empty(),
        }
    }

    /// Is there a batch that waits for whoever takes the token?
    pub(super) fn somebody_waits(&self) -> bool {
        self.waiting() > 0
    }

    /// How many there are.
    pub(super) fn waiting(&self) -> usize {
        let waits = |name: &&String| name.ends_with(BATCH_WAITS) && !name.starts_with(scratch::KEPT);
        self.batches.iter().filter(waits).count()
    }

    /// The one token and its name, or what is wrong. A rename that is under way looks wrong, too.
    pub(crate) fn the_token(&self) -> std::result::Result<(&str, Token), String> {
        match self.tokens.as_slice() {
            [name] => Token::parse(name)
                .map(|token| (name.as_str(), token))
                .ok_or_else(|| format!("it has a token that this version cannot read: {name}")),
            [] => Err("its token is gone".to_owned()),
            several => Err(format!("it has {} tokens", several.len())),
        }
    }
}

impl Directory {
    /// Looks at what stands in the directory; `None` where there is no directory.
    pub(crate) fn scan(&self) -> Result<Option<Scan>> {
        self.scan_by(None, true)
    }

    /// The same by the descriptor that is kept, if there is one, for who is about to take the token: see
    /// [`Directory::keep_open`].
    pub(super) fn scan_to_take(&self) -> Result<Option<Scan>> {
        if let Some(mut kept) = self.listing.take() {
            // To the beginning, as it is now: some file systems list what was there when that was done.
            drop(kept.iter());
            // Whatever is wrong with it may be the descriptor's age.
            if let Ok(Some(scan)) = self.scan_by(Some(kept), true)
                && scan.the_token().is_ok()
            {
                return Ok(Some(scan));
            }
        }
        self.scan_by(None, true)
    }

    /// The token that `scan` has found was taken: the next look needs no opening.
    pub(super) fn keep_open(&self, scan: &mut Scan) {
        if self.coherent {
            self.listing.keep(scan.opened.take());
        }
    }

    /// The same for who asks for the token only.
    pub(crate) fn scan_for_token(&self) -> Result<Option<Scan>> {
        self.scan_by(None, false)
    }

    fn scan_by(&self, kept: Option<Dir>, batches: bool) -> Result<Option<Scan>> {
        let failed = |source| refused(&self.path, "looking into it", source);
        // Not the standard library's, which allocates for each of hundreds of names.
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut entries = match kept.map_or_else(|| Dir::open(&self.path, flags, Mode::empty()), Ok) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            other => other.map_err(|error| failed(error.into()))?,
        };
        let mut scan = Scan::nothing();
        for entry in entries.iter() {
            let entry = match entry.map_err(io::Error::from) {
                // The directory went away under the look, or the file server forgot it.
                Err(error) if is_passing(&error) => return Ok(self.path.is_dir().then(Scan::nothing)),
                other => other.map_err(failed)?,
            };
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name.starts_with(scratch::BATCHES) || name.starts_with(scratch::KEPT) {
                if batches {
                    scan.batches.push(name.to_owned());
                }
                continue;
            }
            match name.split_once('.') {
                Some(("f" | "h", _)) if Token::is_one(name) => scan.tokens.push(name.to_owned()),
                Some(("w", _)) => scan.marks.push(name.to_owned()),
                Some(("p", version)) => scan.version = number(version).unwrap_or(u64::MAX),
                Some(("t", seconds)) => scan.takeover = takeover_from(seconds),
                Some((ENDING, generation)) => scan.endings.extend(number(generation)),
                _ => {}
            }
        }
        if scan.version > VERSION {
            return Err(Error::LockVersion { path: self.path.clone(), found: scan.version });
        }
        scan.opened = Some(entries);
        Ok(Some(scan))
    }

    /// Is the file `name` certainly still there?
    pub(super) fn still_has(&self, name: &str) -> bool {
        self.coherent && exists(&self.path.join(name))
    }

    /// Changes the token from the state named `from` to that named `to`. `false` if it was in another state: `from` is
    /// never used again, so exactly one caller of all times succeeds.
    ///
    /// An error may hide a success: a reply that was lost and asked for again finds the old name gone. So the names
    /// decide and not the error.
    pub(crate) fn swap(&self, from: &str, to: &str) -> Result<bool> {
        let (from, to) = (self.path.join(from), self.path.join(to));
        let mut tries = 0;
        loop {
            mutation::reached("token-change");
            let renamed = fs::rename(&from, &to);
            mutation::reached("token-changed");
            let Err(error) = renamed else { return Ok(true) };
            if !is_passing(&error) || mutation::off("lost-replies") {
                return match error.kind() {
                    ErrorKind::NotFound => Ok(false),
                    _ => Err(refused(&self.path, "changing the token", error)),
                };
            }
            if exists(&to) {
                return Ok(true);
            }
            let gone = fs::symlink_metadata(&from).is_err_and(|error| error.kind() == ErrorKind::NotFound);
            if gone {
                return Ok(false);
            }
            tries += 1;
            if tries > RETRIES && error.kind() == ErrorKind::NotFound {
                // The file server says so each time, and what says otherwise is this node's cache. Had it been our own
                // swap whose reply was lost, the next look finds our name.
                return Ok(false);
            }
            if tries > RETRIES {
                return Err(refused(&self.path, "changing the token", error));
            }
            thread::sleep(Duration::from_millis(1 << tries));
        }
    }

    /// Builds the directory aside, with one token in it.
    pub(crate) fn prepare(&self, token: &Token, stale_timeout: Duration) -> Result<Aside> {
        let aside = Aside { path: self.aside("new"), target: self.path.clone() };
        self.build(&aside.path, token, stale_timeout)
            .map_err(|source| refused(&self.path, "creating it", source))?;
        Ok(aside)
    }

    fn build(&self, aside: &Path, token: &Token, stale_timeout: Duration) -> io::Result<()> {
        let (directories, files) = if self.shared { (0o777, 0o666) } else { (0o700, 0o600) };
        let make = |path: &Path| {
            DirBuilder::new().mode(0o700).create(path)?;
            fs::set_permissions(path, Permissions::from_mode(directories))
        };
        make(aside)?;
        let takeover = stale_timeout.clamp(SHORTEST_TAKEOVER, LONGEST_TAKEOVER).as_secs_f64();
        for name in [token.to_string(), format!("p.{VERSION}"), format!("t.{takeover}")] {
            let file = File::create_new(aside.join(name))?;
            file.set_permissions(Permissions::from_mode(files))?;
        }
        File::open(aside)?.sync_all()
    }

    /// Puts a token where there is none: the last step of a repair.
    pub(super) fn put(&self, token: &Token) -> Result<()> {
        let put = || {
            let file = File::create_new(self.path.join(token.to_string()))?;
            file.set_permissions(Permissions::from_mode(if self.shared { 0o666 } else { 0o600 }))?;
            File::open(&self.path)?.sync_all()
        };
        put().map_err(|source| refused(&self.path, "putting a token into it", source))
    }

    /// Says that the tenure `generation`, which holds the token, takes the directory away.
    pub(crate) fn announce_end(&self, generation: u64) -> Result<()> {
        match File::create_new(self.path.join(ending(generation))) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(refused(&self.path, "announcing that it is removed", error))
            }
            _ => Ok(()),
        }
    }

    /// Takes that back.
    pub(crate) fn withdraw_end(&self, generation: u64) {
        self.discard(&ending(generation));
    }

    /// Removes what tenures before `generation` have announced, which did not live to do it.
    pub(crate) fn withdraw_older_ends(&self, generation: u64) -> Result<()> {
        let endings = self.scan()?.map_or_else(Vec::new, |scan| scan.endings);
        endings.into_iter().filter(|older| *older < generation).for_each(|older| self.withdraw_end(older));
        Ok(())
    }

    /// Takes the directory away from its path, with all that is in it.
    pub(crate) fn remove(&self) -> Result<()> {
        let failed = |source| refused(&self.path, "removing it", source);
        let aside = self.aside("old");
        fs::rename(&self.path, &aside).map_err(failed)?;
        if let Some(parent) = self.path.parent() {
            sync_directory(parent)?;
        }
        fs::remove_dir_all(&aside).map_err(failed)
    }

    /// Removes the file `name`, if it is still there.
    pub(super) fn discard(&self, name: &str) {
        let _ = fs::remove_file(self.path.join(name));
    }

    /// Creates the empty file `name` for everybody to remove.
    pub(super) fn mark(&self, name: &str) {
        let _ = File::create_new(self.path.join(name));
    }

    /// Shows a purge of old files that the directory is in use.
    pub(super) fn touch(&self, token: &str) {
        for name in fs::read_dir(&self.path).into_iter().flatten().flatten().map(|entry| entry.file_name()) {
            let ours = name.to_str().is_some_and(|name| name == token || name.starts_with(['p', 't']));
            if ours && let Ok(file) = File::options().write(true).open(self.path.join(&name)) {
                let _ = file.set_modified(std::time::SystemTime::now());
            }
        }
    }

    /// How long ago the file `name` was last touched, by the wall clocks of two nodes: good enough for housekeeping.
    pub(super) fn age(&self, name: &str) -> Option<Duration> {
        fs::metadata(self.path.join(name)).ok()?.modified().ok()?.elapsed().ok()
    }

    /// A name beside the directory that tells which process made it, so that it is swept if that process dies.
    fn aside(&self, kind: &str) -> PathBuf {
        let random: u64 = crate::random::rng().random();
        self.path.with_file_name(format!("{}{kind}{random:016x}", scratch::copy_prefix()))
    }
}

/// A lock directory that has not got its name yet; removed when dropped before that.
#[derive(Debug)]
pub(crate) struct Aside {
    path: PathBuf,
    target: PathBuf,
}

impl Aside {
    /// Gives the directory its name. `false` if the name is taken: by another's directory, or by a lock file of the
    /// other protocol.
    pub(crate) fn publish(&self) -> Result<bool> {
        match fs::rename(&self.path, &self.target) {
            Ok(()) => {}
            Err(error) if is_taken(&error) => return Ok(false),
            Err(source) => return Err(refused(&self.target, "creating it", source)),
        }
        if let Some(parent) = self.target.parent() {
            sync_directory(parent)?;
        }
        Ok(true)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Numbers that no earlier directory at this path has used.
pub(crate) fn fresh_count() -> Count {
    // Room for as many transitions as there will ever be, in fewer digits.
    let random = || crate::random::rng().random::<u64>() >> 16;
    Count { fence: random(), generation: random() }
}

/// An error after which the token may or may not have been renamed, or the directory looked into in vain.
fn is_passing(error: &io::Error) -> bool {
    may_hide_a_success(error) || matches!(error.kind(), ErrorKind::NotFound | ErrorKind::WouldBlock)
}

fn is_taken(error: &io::Error) -> bool {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    matches!(errno, Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR)
}

fn ending(generation: u64) -> String {
    format!("{ENDING}.{generation}")
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn takeover_from(seconds: &str) -> Duration {
    let parsed = seconds.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    parsed.unwrap_or(LONGEST_TAKEOVER).clamp(SHORTEST_TAKEOVER, LONGEST_TAKEOVER)
}
