//! What a caller should hear of although nothing failed. Collected in the thread that does the work, and handed over
//! by whoever called it: the Python package makes warnings of them.

use std::cell::RefCell;

thread_local! {
    static NOTICES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Adds a notice, once: work that is tried again says the same again.
pub(crate) fn put(text: String) {
    NOTICES.with_borrow_mut(|notices| {
        if !notices.contains(&text) {
            notices.push(text);
        }
    });
}

/// Takes this thread's notices, oldest first.
#[must_use]
pub fn take() -> Vec<String> {
    NOTICES.take()
}
