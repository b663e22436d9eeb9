//! Asking for the token: waiting for it, or taking it over.

use std::mem;
use std::time::Duration;

use super::directory::{Directory, Scan};
use super::held::Held;
use super::name::{Flags, Hold, Token};
use super::owner::Owner;
use super::waiters::{Courtesy, LONG_WAIT, Mark};
use crate::clock;
use crate::error::{Error, Result};
use crate::lock::elsewhere::{Elsewhere, Inside};
use crate::lock::stale::Watch;
use crate::lock::wait::Wait;
use crate::mutation;

/// A token that has stood for less is that of somebody who comes and goes.
const WORTH_A_PROOF: Duration = Duration::from_millis(20);
/// As often is a holder that seems to live looked at, at least.
const LONGEST_BETWEEN_PROOFS: Duration = Duration::from_millis(200);
/// Looks that find no token, or two, count as damage after so many of them.
const LOOKS_BEFORE_DAMAGE: u32 = 10;
/// A node that remembers a listing may have read it while a rename was under way, and shows it for longer than that took.
const OLD_LISTING: Duration = Duration::from_secs(5);

/// A tenure's token, and what its holder has to do before anything else.
#[derive(Debug)]
pub(crate) struct Acquired {
    pub(crate) held: Held,
    /// It was taken from a holder that had not released it.
    pub(crate) taken_over: bool,
    /// Files of batches that stood beside it.
    pub(crate) batches: Vec<String>,
}

/// How a token is asked for.
pub(crate) struct Request<'a> {
    pub(crate) directory: &'a Directory,
    /// Take a held token over without waiting for its holder's silence.
    pub(crate) by_force: bool,
    /// Who may do meanwhile what the token is wanted for.
    pub(crate) elsewhere: &'a dyn Elsewhere,
}

/// What comes of a request.
pub(crate) enum Answer {
    Acquired(Box<Acquired>),
    /// What it was wanted for is done.
    Done,
    /// The directory is gone: the store is locked by the other protocol now.
    NoDirectory,
}

/// What one look brings.
enum Look {
    Scan(Scan),
    Done,
    NoDirectory,
}

impl Request<'_> {
    /// Takes the token, unless that is no longer needed or possible.
    ///
    /// # Errors
    ///
    /// [`Error::LockTimeout`] names the holder; [`Error::LockDamaged`], [`Error::LockVersion`], [`Error::Lock`] where
    /// no waiting helps; [`Error::Interrupted`].
    pub(crate) fn acquire(&self, wait: &mut Wait<'_>) -> Result<Answer> {
        let mut watch: Option<Watch<String>> = None;
        let mut damage = Damage::default();
        let mut mark = Mark::new(self.directory);
        let mut courtesy = Courtesy::default();
        let mut extended = false;
        let mut given_way = false;
        let mut seen = None;
        let mut proofs = Proofs::default();
        loop {
            let began = clock::since_boot();
            let mut scan = match self.look(seen.take(), &mut given_way, wait)? {
                Look::Scan(scan) => scan,
                Look::Done => return Ok(Answer::Done),
                Look::NoDirectory => return Ok(Answer::NoDirectory),
            };
            let ended = clock::since_boot();
            let watch = watch.get_or_insert_with(|| Watch::new(scan.takeover));
            let Some((name, token)) = damage.the_token(self.directory, &scan, ended)? else {
                watch.forget();
                wait.pause_shortly()?;
                continue;
            };
            match &token {
                Token::Free(count) => {
                    watch.forget();
                    if scan.somebody_waits() || self.elsewhere.is_passed_on() {
                        if self.elsewhere.is_done(Inside::Process)? {
                            return Ok(Answer::Done);
                        }
                        if self.elsewhere.is_passed_on() && !given_way {
                            given_way = true;
                            wait.give_way(self.elsewhere)?;
                            continue;
                        }
                    }
                    if courtesy.lets_others_first(self.directory, *count, &scan, wait)? {
                        continue;
                    }
                    if let Some(acquired) = self.take(&name, &token, &mut scan)? {
                        Courtesy::taken(self.directory, &acquired.held);
                        return Ok(Answer::Acquired(Box::new(acquired)));
                    }
                    if wait.elapsed() > LONG_WAIT {
                        // Others were faster, or this node's listing is old: a change of our own has it read anew.
                        mark.renew(wait.elapsed());
                        wait.hurry();
                    }
                }
                Token::Held(hold) => {
                    // This process holds nothing: its own name was left by a tenure of which it never heard the end.
                    let mine = hold.owner.is_me() && !mutation::off("know-own-token");
                    let stale = (watch.observe(name.clone(), began, ended)
                        && !mutation::off("give-up-the-silent"))
                        || (mutation::off("own-clock-only") && seems_old(hold, scan.takeover));
                    // The proof reads some files of the kernel: too much for every look at a busy lock.
                    let dead = proofs.are_due(watch.age(ended), wait) && hold.owner.is_provably_dead();
                    if mine || stale || self.by_force || dead {
                        if let Some(acquired) = self.take(&name, &token, &mut scan)? {
                            let why = if stale { "silent-holder-replaced" } else { "ended-holder-replaced" };
                            mutation::reached(why);
                            return Ok(Answer::Acquired(Box::new(acquired)));
                        }
                        // As above. An old listing would be tried again and again without a pause.
                        if wait.elapsed() > LONG_WAIT {
                            mark.renew(wait.elapsed());
                        }
                        wait.pause_shortly()?;
                        continue;
                    }
                    if self.elsewhere.is_done(Inside::Process)? {
                        return Ok(Answer::Done);
                    }
                    wait.report(&hold.owner.process);
                    if wait.elapsed() > LONG_WAIT {
                        mark.renew(wait.elapsed());
                        wait.hurry();
                    }
                    if self.elsewhere.is_passed_on() {
                        wait.poll_often(scan.waiting());
                    }
                    if wait.is_over() {
                        // Not sent away just before the lock becomes stale.
                        if extended || !watch.is_nearly_over() {
                            return Err(self.timed_out(wait.elapsed(), hold, scan.takeover));
                        }
                        extended = true;
                        wait.extend_to(wait.elapsed() + scan.takeover.mul_f64(1.25) + Duration::from_secs(1));
                    }
                }
            }
            if matches!(token, Token::Held(_)) {
                given_way = false;
                seen = Some((name, scan));
            } else if wait.is_over() && !extended {
                let holder = "others that came and went".to_owned();
                let path = self.directory.path.clone();
                return Err(Error::LockTimeout { path, waited: wait.elapsed(), holder });
            }
            wait.pause_unless_done(self.elsewhere)?;
        }
    }

    /// Looks at the directory. Where the held token that was `seen` still stands, its name tells so, if names are not
    /// cached: all of them are more to read.
    fn look(&self, seen: Option<(String, Scan)>, given_way: &mut bool, wait: &Wait<'_>) -> Result<Look> {
        if self.elsewhere.was_answered() {
            return Ok(Look::Done);
        }
        match seen {
            Some((name, scan)) if self.directory.still_has(&name) => return Ok(Look::Scan(scan)),
            Some(_) if self.elsewhere.is_passed_on() => {
                // That tenure is over, and it may have done this work, too.
                wait.give_way(self.elsewhere)?;
                *given_way = true;
                if self.elsewhere.is_done(Inside::Process)? {
                    return Ok(Look::Done);
                }
            }
            _ => {}
        }
        Ok(self.directory.scan_to_take()?.map_or(Look::NoDirectory, Look::Scan))
    }

    /// One attempt to make the token in the state `seen`, named `name`, ours.
    fn take(&self, name: &str, seen: &Token, scan: &mut Scan) -> Result<Option<Acquired>> {
        let (flags, taken_over) = match seen {
            Token::Free(_) => (Flags::default(), false),
            Token::Held(hold) => (inherited(hold), true),
        };
        let began = clock::since_boot();
        let count = seen.count().next_generation();
        let hold = Hold { count, beat: 0, flags, owner: Owner::me() };
        let won = self.directory.swap(name, &Token::Held(hold.clone()).to_string())?;
        if !won {
            return Ok(None);
        }
        self.directory.keep_open(scan);
        Ok(Some(Acquired {
            held: Held::of(self.directory, hold, scan.takeover, began),
            taken_over,
            batches: mem::take(&mut scan.batches),
        }))
    }

    fn timed_out(&self, waited: Duration, hold: &Hold, takeover: Duration) -> Error {
        let silent = if waited < takeover && !hold.owner.process.is_here() {
            format!(
                " (a holder that died elsewhere is replaced after {:.0} s of silence; this call waited less)",
                takeover.as_secs_f64()
            )
        } else {
            String::new()
        };
        let holder = format!("{} of user {}{silent}", hold.owner.process, hold.owner.user());
        Error::LockTimeout { path: self.directory.path.clone(), waited, holder }
    }
}

/// What would be taken for silence if the clocks of two nodes were compared.
fn seems_old(hold: &Hold, takeover: Duration) -> bool {
    Duration::from_secs(clock::unix_seconds_whole().saturating_sub(hold.owner.since)) > takeover
}

/// What a holder that took the token from `theirs` must know.
fn inherited(theirs: &Hold) -> Flags {
    let Flags { half_written, must_fence } = theirs.flags;
    // Its own descriptors are closed: they are before a tenure ends, however it ends.
    let ended = theirs.owner.is_me() || theirs.owner.is_provably_dead();
    Flags {
        half_written: half_written && !mutation::off("inherit-half-written"),
        must_fence: (must_fence || (half_written && !ended)) && !mutation::off("must-fence"),
    }
}

/// When to look whether a holder is dead: soon after its token was seen first, and then less and less often.
struct Proofs {
    /// At this age of the token.
    due: Duration,
}

impl Default for Proofs {
    fn default() -> Self {
        Self { due: WORTH_A_PROOF }
    }
}

impl Proofs {
    /// Is one due for a token of this `age`?
    fn are_due(&mut self, age: Duration, wait: &Wait<'_>) -> bool {
        if age < WORTH_A_PROOF {
            *self = Self::default();
        }
        let due = age >= self.due || wait.is_over();
        if due {
            self.due = age + age.clamp(WORTH_A_PROOF, LONGEST_BETWEEN_PROOFS);
        }
        due
    }
}

/// Looks that saw no token, or several. A rename that is under way can look like that; damage goes on.
#[derive(Default)]
struct Damage {
    since: Option<Duration>,
    looks: u32,
}

impl Damage {
    fn the_token(
        &mut self,
        directory: &Directory,
        scan: &Scan,
        now: Duration,
    ) -> Result<Option<(String, Token)>> {
        let why = match scan.the_token() {
            Ok((name, token)) => {
                *self = Self::default();
                return Ok(Some((name.to_owned(), token)));
            }
            Err(why) => why,
        };
        self.looks += 1;
        let since = *self.since.get_or_insert(now);
        let remembered = if directory.coherent || mutation::off("outwait-old-listings") {
            Duration::ZERO
        } else {
            OLD_LISTING
        };
        if now.saturating_sub(since) >= remembered.max(scan.takeover / 8) && self.looks >= LOOKS_BEFORE_DAMAGE
        {
            return Err(Error::LockDamaged { path: directory.path.clone(), why });
        }
        Ok(None)
    }
}
