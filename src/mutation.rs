//! Switches that turn one safety mechanism off, so that a test can show that it notices.
//!
//! A test that passes with its mechanism switched off proves nothing. Each mechanism asks
//! [`off`] by name; outside tests, which set the cargo feature `mutations`, the answer is the constant `false` and the
//! question disappears from the program.
//!
//! Tests also have to be *there* at certain moments (to stop a process between two steps, to see that nobody else is
//! inside), and elsewhere than they are (on another node, with another clock). [`reached`], [`hostname`] and
//! [`clock_skew`] are the places for that, and as empty outside tests.

/// Is the mechanism called `name` switched off?
#[cfg(not(any(test, feature = "mutations")))]
#[inline(always)]
#[allow(clippy::inline_always)] // the constant must vanish at every call
pub(crate) const fn off(_name: &str) -> bool {
    false
}

/// Tells whoever watches that `point` was reached.
#[cfg(not(any(test, feature = "mutations")))]
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) const fn reached(_point: &'static str) {}

/// The name of the node that this process pretends to be on.
#[cfg(not(any(test, feature = "mutations")))]
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) const fn hostname() -> Option<String> {
    None
}

/// Seconds by which this process's clocks go wrong.
#[cfg(not(any(test, feature = "mutations")))]
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) const fn clock_skew() -> i64 {
    0
}

#[cfg(any(test, feature = "mutations"))]
pub use places::{be_on, clock_skew, hostname, reached, set_clocks_wrong, watch};
#[cfg(any(test, feature = "mutations"))]
pub use switches::{off, switch_off, without};

#[cfg(any(test, feature = "mutations"))]
mod places {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    static WATCHER: OnceLock<fn(&'static str)> = OnceLock::new();
    static HOSTNAME: OnceLock<String> = OnceLock::new();
    static CLOCK_SKEW: AtomicI64 = AtomicI64::new(0);

    /// Tells whoever watches that `point` was reached.
    pub fn reached(point: &'static str) {
        if let Some(watcher) = WATCHER.get() {
            watcher(point);
        }
    }

    /// Has `watcher` told of every point that is reached in this process from here on. The first call counts.
    pub fn watch(watcher: fn(&'static str)) {
        let _ = WATCHER.set(watcher);
    }

    /// The name of the node that this process pretends to be on.
    #[must_use]
    pub fn hostname() -> Option<String> {
        HOSTNAME.get().cloned()
    }

    /// Pretends to be on the node `hostname`, so that others there are not to be proved dead. The first call counts.
    pub fn be_on(hostname: &str) {
        let _ = HOSTNAME.set(hostname.to_owned());
    }

    /// Seconds by which this process's clocks go wrong.
    #[must_use]
    pub fn clock_skew() -> i64 {
        CLOCK_SKEW.load(Ordering::Relaxed)
    }

    /// Puts both clocks of this process wrong by `seconds`.
    pub fn set_clocks_wrong(seconds: i64) {
        CLOCK_SKEW.store(seconds, Ordering::Relaxed);
    }
}

#[cfg(any(test, feature = "mutations"))]
mod switches {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        static OFF: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
    }

    /// Is the mechanism called `name` switched off in this thread?
    #[must_use]
    pub fn off(name: &str) -> bool {
        OFF.with_borrow(|set| set.contains(name))
    }

    /// Switches the mechanism called `name` off for the rest of this thread's life.
    pub fn switch_off(name: &str) {
        OFF.with_borrow_mut(|set| set.insert(name.to_owned()));
    }

    /// Runs `body` in this thread with the mechanisms called `names`, comma-separated, switched off.
    pub fn without<T>(names: &str, body: impl FnOnce() -> T) -> T {
        struct Restore(BTreeSet<String>);
        impl Drop for Restore {
            fn drop(&mut self) {
                OFF.set(std::mem::take(&mut self.0));
            }
        }
        let _restore = Restore(OFF.with_borrow(Clone::clone));
        names.split(',').for_each(switch_off);
        body()
    }
}
