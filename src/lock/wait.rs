//! Waiting for a lock: short jittered polls, a deadline, and a way to be interrupted.

use std::time::Duration;

use rand::RngExt;

use super::elsewhere::{Elsewhere, Nobody};
use crate::clock;
use crate::error::{Error, Result};

/// Asked while a call waits: does the caller want it to stop (Ctrl-C)?
pub trait Interrupt {
    /// `true` ends the wait with [`Error::Interrupted`].
    fn pending(&self) -> bool;

    /// Told once in a wait that has lasted for seconds: for whom it waits.
    fn waiting(&self, _waited: Duration, _holder: &str) {}
}

/// Never interrupted: for Rust callers and tests.
#[derive(Debug, Clone, Copy)]
pub struct Uninterrupted;

impl Interrupt for Uninterrupted {
    fn pending(&self) -> bool {
        false
    }
}

/// How long, and how, a caller is willing to wait.
#[derive(Clone, Copy)]
pub struct Patience<'a> {
    /// Give up after this long.
    pub timeout: Duration,
    /// Asked at least every 50 ms.
    pub interrupt: &'a dyn Interrupt,
}

const FIRST_POLL: Duration = Duration::from_millis(2);
/// Nobody sleeps longer than this beside a lock that may have become free.
const LONGEST_POLL: Duration = Duration::from_millis(100);
/// Polls of a waiter that has asked the holder for room, so that the holder's short rest is long enough.
pub(super) const HURRIED_POLL: Duration = Duration::from_millis(10);
/// How long a lock may be left free under load: enough for readers without it, short beside a commit.
const GAP: Duration = Duration::from_millis(2);
/// Polls of those who wait for another one's commit, which lasts for some milliseconds: to read what it wrote, or to
/// hear that their own rows are in it.
const LONGEST_BETWEEN_READS: Duration = Duration::from_millis(3);
const LONGEST_FOR_A_COMMIT: Duration = Duration::from_millis(6);
const FOR_EACH_OTHER: Duration = Duration::from_micros(350);
/// Polls of those who wait for a measurement, where each look is a tenure.
const LONGEST_IN_TENURES: Duration = Duration::from_secs(1);
/// A wait longer than this is reported.
const WORTH_A_WORD: Duration = Duration::from_secs(5);
const SLICE: Duration = Duration::from_millis(50);

/// One wait, from its first poll to its deadline.
pub(crate) struct Wait<'a> {
    patience: Patience<'a>,
    started: Duration,
    next: Duration,
    longest: Duration,
    reported: bool,
}

impl<'a> Wait<'a> {
    pub(crate) fn begin(patience: Patience<'a>) -> Self {
        Self {
            patience,
            started: clock::since_boot(),
            next: FIRST_POLL,
            longest: LONGEST_POLL,
            reported: false,
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        clock::since_boot().saturating_sub(self.started)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.elapsed() >= self.patience.timeout
    }

    /// Makes this wait last at least `timeout` from its beginning.
    pub(crate) fn extend_to(&mut self, timeout: Duration) {
        self.patience.timeout = self.patience.timeout.max(timeout);
    }

    /// Polls often from here on: somebody may be leaving room for this waiter.
    pub(crate) fn hurry(&mut self) {
        self.next = self.next.min(HURRIED_POLL);
        self.longest = HURRIED_POLL;
    }

    /// Polls still more often: whoever holds the lock works for this waiter, too, and will be done soon. With so many
    /// `others` one of them sees it soon enough, and works for this one.
    pub(super) fn poll_often(&mut self, others: usize) {
        let others = u32::try_from(others).unwrap_or(u32::MAX);
        self.longest = LONGEST_FOR_A_COMMIT.max(FOR_EACH_OTHER.saturating_mul(others)).min(LONGEST_POLL);
        self.next = self.next.min(self.longest);
    }

    /// Polls less often from here on: each look takes the lock from others.
    pub(crate) fn poll_rarely(&mut self) {
        self.longest = LONGEST_IN_TENURES;
    }

    /// Tells the caller, once and not early, for whom it waits.
    pub(crate) fn report(&mut self, holder: &impl std::fmt::Display) {
        if !self.reported && self.elapsed() > WORTH_A_WORD {
            self.reported = true;
            self.patience.interrupt.waiting(self.elapsed(), &holder.to_string());
        }
    }

    /// # Errors
    ///
    /// [`Error::Interrupted`] if the caller wants this wait to end.
    pub(crate) fn check(&self) -> Result<()> {
        if self.patience.interrupt.pending() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Sleeps for the shortest time between two polls: what was seen will not last.
    pub(crate) fn pause_shortly(&self) -> Result<()> {
        self.sleep(FIRST_POLL, &Nobody)
    }

    /// Sleeps for as long as waiters leave a free lock alone whose next holder will do their work `elsewhere`.
    pub(super) fn give_way(&self, elsewhere: &dyn Elsewhere) -> Result<()> {
        self.sleep(GAP.mul_f64(crate::random::rng().random_range(0.5..1.0)), elsewhere)
    }

    /// Sleeps until the next look of a reader at a writer who will be done soon.
    pub(crate) fn pause_between_reads(&mut self) -> Result<()> {
        self.longest = LONGEST_BETWEEN_READS;
        self.next = self.next.min(LONGEST_BETWEEN_READS);
        self.pause()
    }

    /// Sleeps for `time`.
    pub(crate) fn rest(&self, time: Duration) -> Result<()> {
        self.sleep(time, &Nobody)
    }

    /// Sleeps until the next poll. Jittered: waiters that were woken by one release must not meet again.
    pub(crate) fn pause(&mut self) -> Result<()> {
        self.pause_unless_done(&Nobody)
    }

    /// The same, or until the work is done `elsewhere`.
    pub(super) fn pause_unless_done(&mut self, elsewhere: &dyn Elsewhere) -> Result<()> {
        let jitter = crate::random::rng().random_range(0.5..1.0);
        let time = self.next.mul_f64(jitter).min(self.patience.timeout.saturating_sub(self.elapsed()));
        self.next = self.next.mul_f64(1.5).min(self.longest);
        self.sleep(time, elsewhere)
    }

    fn sleep(&self, time: Duration, elsewhere: &dyn Elsewhere) -> Result<()> {
        let mut left = time;
        loop {
            if self.patience.interrupt.pending() {
                return Err(Error::Interrupted);
            }
            if left.is_zero() {
                return Ok(());
            }
            let slice = left.min(SLICE);
            if elsewhere.rest(slice) {
                return Ok(());
            }
            left -= slice;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    struct AfterPolls(Cell<u32>);
    impl Interrupt for AfterPolls {
        fn pending(&self) -> bool {
            let left = self.0.get();
            self.0.set(left.saturating_sub(1));
            left == 0
        }
    }

    #[test]
    fn a_wait_can_be_interrupted() {
        let interrupt = AfterPolls(Cell::new(3));
        let mut wait = Wait::begin(Patience { timeout: Duration::from_secs(3600), interrupt: &interrupt });
        let end = loop {
            if let Err(error) = wait.pause() {
                break error;
            }
        };
        assert!(matches!(end, Error::Interrupted));
    }

    #[test]
    fn polls_stay_between_two_and_a_hundred_milliseconds() {
        let mut wait =
            Wait::begin(Patience { timeout: Duration::from_secs(3600), interrupt: &Uninterrupted });
        for _ in 0..15 {
            wait.pause().expect("not interrupted");
            assert!(wait.next >= FIRST_POLL && wait.next <= LONGEST_POLL);
        }
        assert_eq!(wait.next, LONGEST_POLL);
    }
}
