//! When is a silent holder given up? Only by watching: the same lock, unchanged, for the whole timeout of the
//! observer's own clock. The clocks of two nodes are never compared.

use std::time::Duration;

/// Watches one lock across the polls of one waiter.
#[derive(Debug)]
pub(crate) struct Watch<T> {
    timeout: Duration,
    seen: Option<Seen<T>>,
}

#[derive(Debug)]
struct Seen<T> {
    state: T,
    first: Duration,
    last: Duration,
}

impl<T: PartialEq> Watch<T> {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { timeout, seen: None }
    }

    /// Notes that a scan from `began` to `ended` (both since boot) saw `state`. Answers whether the lock is stale.
    ///
    /// A scan that took long, or a gap between two scans, means that the observer was paused or the file system was
    /// away: the holder may have been, too, and its silence proves nothing. Both restart the watch.
    pub(crate) fn observe(&mut self, state: T, began: Duration, ended: Duration) -> bool {
        let slow = ended.saturating_sub(began) > self.timeout / 8 && !crate::mutation::off("watch-restarts");
        let unbroken = |seen: &Seen<T>| {
            seen.state == state
                && (began.saturating_sub(seen.last) <= self.timeout / 4
                    || crate::mutation::off("watch-restarts"))
        };
        match &mut self.seen {
            _ if slow => self.seen = None,
            Some(seen) if unbroken(seen) => {
                seen.last = ended;
                return ended.saturating_sub(seen.first) >= self.timeout;
            }
            _ => self.seen = Some(Seen { state, first: began, last: ended }),
        }
        false
    }

    /// Has the lock been unchanged for most of the timeout? Then a waiter should not give up just now.
    pub(crate) fn is_nearly_over(&self) -> bool {
        self.seen
            .as_ref()
            .is_some_and(|seen| seen.last.saturating_sub(seen.first) >= self.timeout.mul_f64(0.75))
    }

    /// For how long the lock has been unchanged, as far as this observer knows.
    pub(crate) fn age(&self, now: Duration) -> Duration {
        self.seen.as_ref().map_or(Duration::ZERO, |seen| now.saturating_sub(seen.first))
    }

    /// Notes that no lock was seen.
    pub(crate) fn forget(&mut self) {
        self.seen = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Duration = Duration::from_secs(80);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Observes `state` every 10 s from `from` to `to`, each scan instantaneous.
    fn watch_steadily(watch: &mut Watch<&'static str>, state: &'static str, from: u64, to: u64) -> bool {
        (from..=to).step_by(10).any(|t| watch.observe(state, at(t), at(t)))
    }

    #[test]
    fn a_lock_unchanged_for_the_whole_timeout_is_stale() {
        let mut watch = Watch::new(T);
        assert!(!watch_steadily(&mut watch, "a", 0, 70));
        assert!(watch.observe("a", at(80), at(80)));
    }

    #[test]
    fn a_renewed_lock_is_never_stale() {
        let mut watch = Watch::new(T);
        assert!(!watch_steadily(&mut watch, "a", 0, 70));
        assert!(!watch_steadily(&mut watch, "b", 80, 150), "renewed at 80 s");
    }

    #[test]
    fn a_paused_observer_starts_again() {
        let mut watch = Watch::new(T);
        assert!(!watch_steadily(&mut watch, "a", 0, 40));
        assert!(!watch.observe("a", at(1000), at(1000)), "not looked for 960 s");
        assert!(!watch_steadily(&mut watch, "a", 1010, 1070));
        assert!(watch.observe("a", at(1080), at(1080)));
    }

    #[test]
    fn without_restarts_a_paused_observer_breaks_a_live_lock() {
        let broken = crate::mutation::without("watch-restarts", || {
            let mut watch = Watch::new(T);
            watch_steadily(&mut watch, "a", 0, 40) || watch.observe("a", at(1000), at(1000))
        });
        assert!(broken, "the promise holds without its mechanism: its test cannot fail");
    }

    #[test]
    fn a_scan_that_took_long_starts_again() {
        let mut watch = Watch::new(T);
        assert!(!watch_steadily(&mut watch, "a", 0, 70));
        assert!(!watch.observe("a", at(75), at(90)), "15 s for one scan: the file system was away");
        assert!(!watch.observe("a", at(91), at(91)));
    }
}
