//! Calls back from within one long statement: `PRAGMA integrity_check` of a large store takes minutes, in which the
//! lock must be renewed and Ctrl-C be heard.

use std::ffi::{c_int, c_void};

use rusqlite::{Connection, ffi};

use crate::error::{Error, Result};

/// Steps of SQLite's between two calls: some milliseconds.
const STEPS: c_int = 20_000;

struct Watch<'a> {
    between: &'a mut dyn FnMut() -> Result<()>,
    stopped: Option<Error>,
}

/// Runs `work` on `connection`, calling `between` meanwhile; an error of `between` ends the statement and is returned.
pub(super) fn with<T>(
    connection: &Connection,
    between: &mut dyn FnMut() -> Result<()>,
    work: impl FnOnce() -> T,
) -> Result<T> {
    let mut watch = Watch { between, stopped: None };
    let outcome = {
        let _installed = Installed::new(connection, &mut watch);
        work()
    };
    watch.stopped.map_or(Ok(outcome), Err)
}

/// A progress handler that is removed when this is dropped, also by a panic: it points at the caller's stack.
struct Installed<'a>(&'a Connection);

impl<'a> Installed<'a> {
    fn new(connection: &'a Connection, watch: &mut Watch<'_>) -> Self {
        let context = std::ptr::from_mut(watch).cast::<c_void>();
        // SAFETY: the handle is that of an open connection. SQLite calls `step` only within statements of this thread,
        // as the connection is not shared, and not after `drop` has removed it, which is before `watch` ends.
        #[allow(unsafe_code)]
        unsafe {
            ffi::sqlite3_progress_handler(connection.handle(), STEPS, Some(step), context);
        }
        Self(connection)
    }
}

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        // SAFETY: as above; without a handler the context is not used.
        #[allow(unsafe_code)]
        unsafe {
            ffi::sqlite3_progress_handler(self.0.handle(), 0, None, std::ptr::null_mut());
        }
    }
}

/// Not 0 stops the statement.
#[allow(unsafe_code)]
unsafe extern "C" fn step(context: *mut c_void) -> c_int {
    // SAFETY: the context is the `Watch` of `with`, which outlives the handler and is used by nobody meanwhile.
    let watch = unsafe { &mut *context.cast::<Watch<'_>>() };
    if watch.stopped.is_none() {
        watch.stopped = (watch.between)().err();
    }
    c_int::from(watch.stopped.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                        SELECT COUNT(*) FROM n";

    fn count(connection: &Connection, to: u64) -> rusqlite::Result<u64> {
        connection.query_row(LONG, [to], |row| row.get(0))
    }

    #[test]
    fn a_long_statement_calls_back_and_ends_when_it_is_told_to() {
        let connection = Connection::open_in_memory().expect("opened");
        let mut calls = 0;
        let mut three_times = || {
            calls += 1;
            if calls < 3 { Ok(()) } else { Err(Error::Interrupted) }
        };
        let stopped = with(&connection, &mut three_times, || count(&connection, 1 << 40));
        assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
        assert_eq!(calls, 3);
        // Nothing is called any more.
        assert_eq!(count(&connection, 100_000), Ok(100_000));
    }
}
