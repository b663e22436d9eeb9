//! What stands at the lock path, for people.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::hardlink;
use super::place::{Locking, Place};
use super::process::Process;
use super::token::{self, Owner, Token};
use crate::error::Result;

/// How a store is locked just now.
#[derive(Debug, Clone, PartialEq)]
pub struct LockInfo {
    /// The lock directory or lock file.
    pub path: PathBuf,
    /// `token` or `hardlink`.
    pub protocol: &'static str,
    /// Who holds it.
    pub holder: Option<HolderInfo>,
    /// The holder has begun to write, or one before it has and did not finish.
    pub writing: bool,
    /// A holder was taken over that may still live; the next tenure shuts it out.
    pub must_fence: bool,
    /// How often the database file was replaced, and how often the token was taken, counted from a random number.
    pub fence: Option<u64>,
    /// See `fence`.
    pub generation: Option<u64>,
    /// A holder that cannot be proved dead is taken over after this time of silence.
    pub takeover: Duration,
    /// Who has waited for long, and for how long when last heard of.
    pub waiting: Vec<(String, Duration)>,
    /// What is wrong with a lock directory that only `repair` cures.
    pub damage: Option<String>,
}

/// Who holds a lock, as far as it says.
#[derive(Debug, Clone, PartialEq)]
pub struct HolderInfo {
    /// Its host.
    pub hostname: Option<String>,
    /// Its process id there.
    pub pid: Option<i32>,
    /// Its user, by name where this node knows the name.
    pub user: Option<String>,
    /// Seconds since 1970 by the holder's clock.
    pub since: Option<f64>,
    /// It certainly ended: the next tenure takes over at once.
    pub dead: bool,
}

impl HolderInfo {
    fn of(process: &Process, user: Option<String>, since: Option<f64>, dead: bool) -> Self {
        Self { hostname: process.hostname.clone(), pid: process.pid, user, since, dead }
    }
}

/// Looks at the lock of the store at `place`, changing nothing.
///
/// # Errors
///
/// [`Error::Lock`](crate::Error::Lock) and [`Error::LockVersion`](crate::Error::LockVersion).
pub fn info(place: &Place) -> Result<LockInfo> {
    let path = place.lock_path();
    let nothing = LockInfo {
        path,
        protocol: "hardlink",
        holder: None,
        writing: false,
        must_fence: false,
        fence: None,
        generation: None,
        takeover: match &place.locking {
            Locking::Here(lock) => lock.stale_timeout,
            Locking::HeldByCaller => Duration::ZERO,
        },
        waiting: Vec::new(),
        damage: None,
    };
    let Some(scan) = place.directory().scan()? else { return Ok(hard_link(place, nothing)) };
    let waiting = scan.marks.iter().filter_map(|mark| token::read_mark(mark));
    let waiting = waiting.map(|(waited, owner)| (said(&owner), waited)).collect();
    let nothing = LockInfo { protocol: "token", takeover: scan.takeover, waiting, ..nothing };
    Ok(match scan.the_token() {
        Ok((_, token)) => {
            let flags = token.flags();
            LockInfo {
                holder: match &token {
                    Token::Free(_) => None,
                    Token::Held(hold) => {
                        let Owner { process, since, .. } = &hold.owner;
                        let user = Some(hold.owner.user());
                        #[allow(clippy::cast_precision_loss)] // seconds since 1970
                        let since = Some(*since as f64);
                        Some(HolderInfo::of(process, user, since, hold.owner.is_provably_dead()))
                    }
                },
                writing: flags.half_written,
                must_fence: flags.must_fence,
                fence: Some(token.count().fence),
                generation: Some(token.count().generation),
                ..nothing
            }
        }
        Err(why) => LockInfo { damage: Some(why), ..nothing },
    })
}

fn hard_link(place: &Place, nothing: LockInfo) -> LockInfo {
    let Ok(metadata) = fs::symlink_metadata(&nothing.path) else { return nothing };
    // Opening a pipe would wait for a writer.
    let content = if metadata.is_file() { fs::read(&nothing.path).unwrap_or_default() } else { Vec::new() };
    let holder = hardlink::Holder::parse(&content);
    let user = std::os::unix::fs::MetadataExt::uid(&metadata);
    let user = nix::unistd::User::from_uid(user.into()).ok().flatten().map(|user| user.name);
    let dead = holder.is_provably_dead();
    let waiting = hardlink::waiting(&place.lock_path());
    LockInfo {
        holder: Some(HolderInfo::of(&holder.process, user, holder.timestamp, dead)),
        waiting,
        ..nothing
    }
}

fn said(owner: &Owner) -> String {
    format!("{} of user {}", owner.process, owner.user())
}
