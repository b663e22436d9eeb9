//! Switches that turn one safety mechanism off, so that a test can show that it notices.
//!
//! A test that passes with its mechanism switched off proves nothing. Each mechanism asks
//! [`off`] by name; outside tests, which set the cargo feature `mutations`, the answer is the constant `false` and the
//! question disappears from the program.

/// Is the mechanism called `name` switched off?
#[cfg(not(any(test, feature = "mutations")))]
#[inline(always)]
#[allow(clippy::inline_always)] // the constant must vanish at every call
pub(crate) const fn off(_name: &str) -> bool {
    false
}

/// Lets a page write take as long as a test asked for.
#[cfg(not(any(test, feature = "mutations")))]
#[inline(always)]
#[allow(clippy::inline_always)] // nothing must remain of it
pub(crate) const fn slow_page_write() {}

#[cfg(any(test, feature = "mutations"))]
pub use switches::{off, slow_page_write, slow_page_writes, switch_off, without};

#[cfg(any(test, feature = "mutations"))]
mod switches {
    use std::cell::RefCell;
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    thread_local! {
        static OFF: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
    }

    /// Is the mechanism called `name` switched off in this thread?
    #[must_use]
    pub fn off(name: &str) -> bool {
        OFF.with_borrow(|set| set.contains(name))
    }

    /// Microseconds that every page write of this process takes longer.
    static SLOWNESS: AtomicU64 = AtomicU64::new(0);

    /// Makes every page write of this process longer by `microseconds`, so that a test sees what happens meanwhile.
    pub fn slow_page_writes(microseconds: u64) {
        SLOWNESS.store(microseconds, Ordering::Relaxed);
    }

    /// Takes as long as [`slow_page_writes`] asked for.
    pub fn slow_page_write() {
        let slowness = SLOWNESS.load(Ordering::Relaxed);
        if slowness > 0 {
            std::thread::sleep(Duration::from_micros(slowness));
        }
    }

    /// Switches the mechanism called `name` off for the rest of this thread's life.
    pub fn switch_off(name: &str) {
        OFF.with_borrow_mut(|set| set.insert(name.to_owned()));
    }

    /// Runs `body` in this thread with the mechanism called `name` switched off.
    pub fn without<T>(name: &str, body: impl FnOnce() -> T) -> T {
        struct Restore<'a>(&'a str);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                OFF.with_borrow_mut(|set| set.remove(self.0));
            }
        }
        OFF.with_borrow_mut(|set| set.insert(name.to_owned()));
        let _restore = Restore(name);
        body()
    }
}
