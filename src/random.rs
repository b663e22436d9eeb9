//! Random numbers that no two processes share, forked siblings among them: the generator of the `rand` crate goes on in
//! every child where the parent was, so that all children of one process would draw the same numbers.

use std::cell::Cell;
use std::process;

use rand::rngs::ThreadRng;

thread_local! {
    /// The process that seeded this thread's generator.
    static SEEDED_BY: Cell<u32> = const { Cell::new(0) };
}

/// This thread's generator, seeded by this very process.
pub(crate) fn rng() -> ThreadRng {
    let mut rng = rand::rng();
    let me = process::id();
    if SEEDED_BY.get() != me && rng.reseed().is_ok() {
        SEEDED_BY.set(me);
    }
    rng
}
