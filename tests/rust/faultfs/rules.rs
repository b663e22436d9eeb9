//! Which requests go wrong, and how.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::operation::{Call, Op};

/// What happens to a request that a rule picks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// It fails and nothing was done.
    Error(Errno),
    /// It is done, but the caller is told that it failed.
    LoseReply(Errno),
    /// SIGKILL for the calling process: with `before` nothing is done, else it is done first.
    Kill { before: bool },
    /// SIGSTOP for the calling process: with `before` the request is done only after SIGCONT (or never, if the
    /// process is killed), else it is done first and the process stops on the way out of the system call.
    Stop { before: bool },
    /// It is done later.
    Delay(Duration),
    /// A write or a read of at most this many bytes.
    Short(usize),
}

impl Action {
    /// The most bytes it lets a request take.
    pub(super) fn most(self) -> Option<usize> {
        if let Self::Short(most) = self { Some(most) } else { None }
    }

    /// What the caller is told although the request was performed.
    pub(super) fn false_answer(self) -> Option<Errno> {
        if let Self::LoseReply(error) = self { Some(error) } else { None }
    }

    fn needs_a_victim(self) -> bool {
        matches!(self, Self::Kill { .. } | Self::Stop { .. })
    }
}

type Predicate = Box<dyn Fn(&Call) -> bool + Send + Sync>;

/// Which requests are picked: by default the first one that matches, and no other.
pub struct Rule {
    ops: Option<Vec<Op>>,
    predicates: Vec<Predicate>,
    skipped: u64,
    limit: u64,
    chance: Option<(f64, StdRng)>,
}

impl fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Rule({:?}, {} conditions)", self.ops, self.predicates.len())
    }
}

impl Rule {
    /// Requests of these kinds.
    pub fn on(ops: &[Op]) -> Self {
        Self { ops: Some(ops.to_vec()), ..Self::any() }
    }

    /// Requests of every kind.
    pub fn any() -> Self {
        Self { ops: None, predicates: Vec::new(), skipped: 0, limit: 1, chance: None }
    }

    /// Only where this holds for the name, or for the destination of a rename.
    #[must_use]
    pub fn named(self, test: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.when(move |call| call.is_about(&test))
    }

    /// Only calls of this process.
    #[must_use]
    pub fn by(self, pid: u32) -> Self {
        self.when(move |call| call.pid == pid)
    }

    /// Only calls of these processes.
    #[must_use]
    pub fn by_any_of(self, pids: &[u32]) -> Self {
        let pids = pids.to_vec();
        self.when(move |call| pids.contains(&call.pid))
    }

    /// Only calls of other processes than the test itself.
    #[must_use]
    pub fn by_others(self) -> Self {
        self.when(|call| call.pid != 0 && call.pid != std::process::id())
    }

    /// Only where this holds. It must not use the file system or its rules.
    #[must_use]
    pub fn when(mut self, test: impl Fn(&Call) -> bool + Send + Sync + 'static) -> Self {
        self.predicates.push(Box::new(test));
        self
    }

    /// Spare the first `k - 1` matches.
    #[must_use]
    pub fn nth(self, k: u64) -> Self {
        Self { skipped: k.saturating_sub(1), ..self }
    }

    /// Pick this many matches, not one.
    #[must_use]
    pub fn times(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// Pick every match from the first that is not spared.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u64::MAX)
    }

    /// Pick each match with this probability, the same ones for the same seed and sequence of matches.
    #[must_use]
    pub fn sometimes(self, probability: f64, seed: u64) -> Self {
        Self { chance: Some((probability, StdRng::seed_from_u64(seed))), ..self }.always()
    }

    fn matches(&self, call: &Call) -> bool {
        self.ops.as_ref().is_none_or(|ops| ops.contains(&call.op))
            && self.predicates.iter().all(|test| test(call))
    }
}

#[derive(Debug, Default)]
struct Tally {
    matched: AtomicU64,
    fired: AtomicU64,
}

#[derive(Debug)]
struct Active {
    rule: Rule,
    action: Option<Action>,
    tally: Arc<Tally>,
}

impl Active {
    fn judge(&mut self, call: &Call) -> Option<Action> {
        // The test process serves the requests: stopped or killed it would end nothing but the test.
        let no_victim = call.pid == 0 || call.pid == std::process::id();
        if (no_victim && self.action.is_some_and(Action::needs_a_victim)) || !self.rule.matches(call) {
            return None;
        }
        let matched = self.tally.matched.fetch_add(1, Ordering::SeqCst);
        let fired = self.tally.fired.load(Ordering::SeqCst);
        let chosen = match &mut self.rule.chance {
            Some((probability, rng)) => rng.random::<f64>() < *probability,
            None => true,
        };
        let action =
            self.action.filter(|_| chosen && matched >= self.rule.skipped && fired < self.rule.limit)?;
        self.tally.fired.fetch_add(1, Ordering::SeqCst);
        Some(action)
    }
}

/// The rules of one mount. Clones are handles on the same rules, which can change at any time.
#[derive(Clone, Debug, Default)]
pub struct Rules(Arc<Mutex<Vec<Active>>>);

impl Rules {
    /// Let `action` happen to the requests that `rule` picks. Where several rules pick one request, all their
    /// actions happen: delays first, then what happens before the operation, then what happens after it.
    pub fn inject(&self, rule: Rule, action: Action) -> Hits {
        self.add(rule, Some(action))
    }

    /// Only count the requests that match.
    pub fn count(&self, rule: Rule) -> Hits {
        self.add(rule, None)
    }

    /// Remove all rules.
    pub fn clear(&self) {
        self.active().clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.active().is_empty()
    }

    pub(super) fn judge(&self, call: &Call) -> Vec<Action> {
        self.active().iter_mut().filter_map(|rule| rule.judge(call)).collect()
    }

    fn add(&self, rule: Rule, action: Option<Action>) -> Hits {
        let tally = Arc::new(Tally::default());
        self.active().push(Active { rule, action, tally: Arc::clone(&tally) });
        Hits { rules: self.clone(), tally }
    }

    fn active(&self) -> MutexGuard<'_, Vec<Active>> {
        // A predicate that panicked leaves the rules as they were.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a rule. The rule stays when this is dropped.
#[derive(Clone, Debug)]
pub struct Hits {
    rules: Rules,
    tally: Arc<Tally>,
}

impl Hits {
    /// How many requests matched so far, spared ones included.
    pub fn matched(&self) -> u64 {
        self.tally.matched.load(Ordering::SeqCst)
    }

    /// How many requests were picked so far. Its action may be under way still.
    pub fn fired(&self) -> u64 {
        self.tally.fired.load(Ordering::SeqCst)
    }

    /// Wait until a request was picked; false if that took too long.
    pub fn wait_fired(&self, patience: Duration) -> bool {
        let start = Instant::now();
        while self.fired() == 0 {
            if start.elapsed() > patience {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Remove the rule.
    pub fn remove(&self) {
        self.rules.active().retain(|active| !Arc::ptr_eq(&active.tally, &self.tally));
    }
}
