//! Who holds a token, as far as a file name has room for it.

use std::fmt::{self, Display, Formatter, Write};
use std::process;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rand::RngExt;

use super::name::number;
use crate::clock;
use crate::lock::process::Process;

/// Bytes of a host name that are kept; printed they take twice as many.
const LONGEST_HOST: usize = 36;

/// One process, in a name: `<random>.<uid>.<host>.<boot>.<pid namespace>.<time namespace>.<pid>.<start>.<since>`.
///
/// The random number alone tells two owners apart. The rest is for other processes of its node, which may prove from
/// it that the owner has ended, and for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    random: u64,
    pub(crate) uid: u32,
    pub(crate) process: Process,
    /// Seconds since 1970 by the owner's clock: for people, never compared.
    pub(crate) since: u64,
}

impl Owner {
    /// This process, now.
    pub(crate) fn me() -> Self {
        let uid = nix::unistd::geteuid().as_raw();
        Self::new(my_random(), uid, &Process::me(), clock::unix_seconds_whole())
    }

    /// An owner whose facts are cut to what a name has room for.
    pub(super) fn new(random: u64, uid: u32, process: &Process, since: u64) -> Self {
        let hostname = process.hostname.as_ref().filter(|host| !host.is_empty()).map(|host| {
            let cut = (0..=LONGEST_HOST.min(host.len())).rev().find(|&at| host.is_char_boundary(at));
            host[..cut.unwrap_or(0)].to_owned()
        });
        Self { random, uid, process: Process { hostname, ..process.clone() }, since }
    }

    /// Is this the very process that asks?
    pub(crate) fn is_me(&self) -> bool {
        let me = Process::me();
        // The number would do. But to take another's token for one's own would be to enter beside it.
        self.random == my_random() && self.process.pid == me.pid && self.process.start_time == me.start_time
    }

    /// Name of its user on this node, or the number.
    pub(crate) fn user(&self) -> String {
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(self.uid));
        user.ok().flatten().map_or_else(|| self.uid.to_string(), |user| user.name)
    }

    /// Did it certainly end?
    pub(crate) fn is_provably_dead(&self) -> bool {
        // Host names are compared as they are printed.
        let here = Self::new(0, 0, &Process::me(), 0).process.hostname;
        let me = Process::me();
        let process = if self.process.hostname == here {
            Process { hostname: me.hostname, ..self.process.clone() }
        } else {
            self.process.clone()
        };
        process.is_provably_dead()
    }

    /// Reads what [`Display`] has written.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut fields = text.split('.');
        Self::parse(&mut fields).filter(|_| fields.next().is_none())
    }

    pub(super) fn parse<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut next = || fields.next();
        let random = hex_number(next()?)?;
        let uid = u32::try_from(number(next()?)?).ok()?;
        let hostname = match next()? {
            "" => None,
            hex => Some(String::from_utf8(unhex(hex)?).ok()?),
        };
        let boot_id = next()?;
        if !boot_id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            return None;
        }
        let boot_id = Some(boot_id).filter(|id| !id.is_empty()).map(str::to_owned);
        let pid_namespace = optional(next()?)?;
        let time_namespace = optional(next()?)?;
        let pid = match optional(next()?)? {
            None => None,
            Some(pid) => Some(i32::try_from(pid).ok()?),
        };
        let start_time = optional(next()?)?;
        let since = number(next()?)?;
        let process = Process { hostname, pid, boot_id, pid_namespace, time_namespace, start_time };
        Some(Self { random, uid, process, since })
    }
}

impl Display for Owner {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Process { hostname, pid, boot_id, pid_namespace, time_namespace, start_time } = &self.process;
        write!(f, "{:016x}.{}.", self.random, self.uid)?;
        for byte in hostname.as_deref().unwrap_or_default().bytes() {
            write!(f, "{byte:02x}")?;
        }
        write!(f, ".{}", boot_id.as_deref().unwrap_or_default())?;
        for fact in
            [*pid_namespace, *time_namespace, pid.and_then(|pid| u64::try_from(pid).ok()), *start_time]
        {
            f.write_char('.')?;
            if let Some(number) = fact {
                write!(f, "{number}")?;
            }
        }
        write!(f, ".{}", self.since)
    }
}

/// The number of this process: drawn once, and again after a fork, because a child is not its parent.
pub(crate) fn my_random() -> u64 {
    /// Set while a thread draws. Process ids are smaller.
    const DRAWING: u32 = 1 << 31;
    static DRAWN_BY: AtomicU32 = AtomicU32::new(0);
    static RANDOM: AtomicU64 = AtomicU64::new(0);
    let me = process::id();
    loop {
        let by = DRAWN_BY.load(Ordering::Acquire);
        if by == me {
            return RANDOM.load(Ordering::Acquire);
        }
        // One thread draws. A parent that was drawing when this child was forked left another process's mark.
        let mine = me | DRAWING;
        let claimed =
            by != mine && DRAWN_BY.compare_exchange(by, mine, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if claimed {
            RANDOM.store(crate::random::rng().random(), Ordering::Release);
            DRAWN_BY.store(me, Ordering::Release);
        }
        std::hint::spin_loop();
    }
}

/// A fact that may be absent; `None` where the text is neither a number nor empty.
fn optional(text: &str) -> Option<Fact> {
    if text.is_empty() { Some(None) } else { number(text).map(Some) }
}

type Fact = Option<u64>;

fn hex_number(text: &str) -> Option<u64> {
    let exact = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    exact.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .bytes()
        .map(|byte| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        })
        .collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself() {
        assert!(Owner::me().is_me());
        assert!(!Owner::me().is_provably_dead());
        let other = Owner { random: my_random().wrapping_add(1), ..Owner::me() };
        assert!(!other.is_me());
    }

    #[test]
    fn a_long_host_name_can_still_be_proved_dead() {
        let gone = Process { pid: Some(999_999_999), start_time: None, ..Process::me() };
        assert!(Owner::new(1, 0, &gone, 0).is_provably_dead());
    }
}
