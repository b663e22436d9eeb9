//! A reader in the middle of its life, beside a writer that has died within its commit.

use std::sync::Arc;
use std::time::Duration;

use tirastore::lock::Uninterrupted;
use tirastore::reads::Hit;
use tirastore::store::Options;
use tirastore::{Error, Store};

use super::Fleet;

/// A store in this process, with a connection that is open.
pub struct Reader {
    store: Store,
    schedules: Vec<String>,
}

impl Reader {
    /// Opens the store of `fleet`, which is empty, and has a writer of twelve records killed at its `point`-th step.
    pub fn beside_a_dead_writer(fleet: &Fleet, point: &str) -> Self {
        let options = Options {
            allow_cpu_mismatch: true,
            lock_timeout: Duration::from_millis(150),
            // What it reads, it reads from the file.
            memory_cache_bytes: 0,
            ..Options::new(fleet.db())
        };
        let store = Store::open(options, &Uninterrupted).expect("opened");
        let schedules = (0..12).map(|number| format!("P(L{number},comps=['first'])")).collect();
        let reader = Self { store, schedules };
        // Its connection is open, with nothing in its cache that would be in the way.
        let before = reader.look().expect("read");
        assert!(before.iter().all(Option::is_none), "nothing is recorded yet");
        let mut first = fleet.start(&["stop", "first", "12", point]);
        assert!(first.wait_until_stopped(), "it ended: {:?}", first.lines());
        first.kill();
        reader
    }

    /// The records of that writer.
    pub fn look(&self) -> Result<Vec<Option<Arc<Hit>>>, Error> {
        let pairs: Vec<_> =
            self.schedules.iter().map(|schedule| ("void client() {}", schedule.as_str())).collect();
        self.store.lookup_many(&pairs, &Uninterrupted)
    }
}
