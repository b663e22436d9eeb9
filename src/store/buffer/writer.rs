//! The thread that flushes what has waited for long. It lives as long as its buffer, and knows nothing of Python.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::SigSet;

use super::{Inner, REST, State};
use crate::error::Error;
use crate::lock::Uninterrupted;
use crate::notices;

impl Inner {
    /// Tells the thread, or starts it, that something waits.
    pub(super) fn wake_writer(self: &Arc<Self>, state: &mut State) {
        let Some(age) = self.limits.age else { return };
        if let Some(writer) = &state.writer {
            if state.pending.len() == 1 {
                let _ = writer.send(());
            }
            return;
        }
        let (writer, woken) = mpsc::channel();
        let inner = Arc::downgrade(self);
        let started = thread::Builder::new()
            .name("tirastore-buffer".to_owned())
            .spawn(move || write(&inner, &woken, age))
            .map_err(|source| Error::Io {
                path: self.store.db_path().to_path_buf(),
                action: "starting a thread for",
                source,
            });
        match started {
            Ok(_) => state.writer = Some(writer),
            // The row was taken: what is wrong is raised by the next call.
            Err(error) => state.failed = Some(error),
        }
    }

    /// How long nothing need be done; `None`: until something waits.
    fn rest(&self, age: Duration) -> Option<Duration> {
        let state = self.state();
        let due = match (&state.under_way, state.pending.since()) {
            (None, None) => return None,
            (Some(_), _) => state.not_before.unwrap_or_else(Instant::now),
            (None, Some(since)) => since + age,
        };
        let due = state.not_before.map_or(due, |not_before| due.max(not_before));
        Some(due.saturating_duration_since(Instant::now()))
    }

    fn flush_in_background(&self, age: Duration) {
        let outcome = self.flush(&Uninterrupted);
        let mut state = self.state();
        state.notices.extend(notices::take());
        state.not_before = None;
        if let Err(error) = outcome {
            state.not_before = Some(Instant::now() + age.max(REST));
            state.failed = Some(error);
        }
    }
}

fn write(inner: &Weak<Inner>, woken: &Receiver<()>, age: Duration) {
    // They are for the main thread, which Python wakes.
    if let Err(errno) = SigSet::all().thread_block() {
        notices::put(format!("signals could not be blocked: {}", io::Error::from(errno)));
    }
    loop {
        let Some(rest) = inner.upgrade().map(|inner| inner.rest(age)) else { return };
        let lives = match rest {
            None => woken.recv().is_ok(),
            Some(Duration::ZERO) => inner.upgrade().map(|inner| inner.flush_in_background(age)).is_some(),
            Some(rest) => woken.recv_timeout(rest) != Err(RecvTimeoutError::Disconnected),
        };
        if !lives {
            return;
        }
    }
}
