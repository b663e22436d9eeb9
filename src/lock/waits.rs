//! How often this process had the lock, and how long it waited for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Four for each doubling, from a microsecond to days.
const BUCKETS: usize = 160;
const PER_DOUBLING: f64 = 4.0;

/// Waits, counted by their length.
#[derive(Debug)]
pub struct Waits {
    buckets: [AtomicU64; BUCKETS],
    longest: AtomicU64,
}

impl Default for Waits {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], longest: AtomicU64::new(0) }
    }
}

impl Waits {
    pub(crate) fn note(&self, wait: Duration) {
        let microseconds = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(microseconds)].fetch_add(1, Ordering::Relaxed);
        self.longest.fetch_max(microseconds, Ordering::Relaxed);
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// A length that the share `quantile` of all waits does not exceed, at most a fifth too long; zero without waits.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a count
    pub fn quantile(&self, quantile: f64) -> Duration {
        let rank = (self.count() as f64 * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (number, bucket) in self.buckets.iter().enumerate() {
            seen += bucket.load(Ordering::Relaxed);
            if seen >= rank {
                return upper_end(number).min(self.longest());
            }
        }
        Duration::ZERO
    }

    /// The longest one.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_micros(self.longest.load(Ordering::Relaxed))
    }
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a small number
fn bucket(microseconds: u64) -> usize {
    let bucket = (microseconds.max(1) as f64).log2() * PER_DOUBLING;
    (bucket.ceil() as usize).min(BUCKETS - 1)
}

#[allow(clippy::cast_precision_loss)]
fn upper_end(bucket: usize) -> Duration {
    Duration::from_secs_f64((bucket as f64 / PER_DOUBLING).exp2() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_waits_everything_is_zero() {
        let waits = Waits::default();
        assert_eq!(
            (waits.count(), waits.quantile(0.5), waits.longest()),
            (0, Duration::ZERO, Duration::ZERO)
        );
    }

    proptest! {
        #[test]
        fn a_quantile_is_not_exceeded_by_its_share_and_hardly_too_long(
            waits in prop::collection::vec(1_u64..1_000_000_000, 1..50), quantile in 0.01..1.0_f64
        ) {
            let counted = Waits::default();
            for wait in &waits {
                counted.note(Duration::from_micros(*wait));
            }
            let mut sorted = waits.clone();
            sorted.sort_unstable();
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let rank = (sorted.len() as f64 * quantile).ceil() as usize;
            let exact = Duration::from_micros(sorted[rank - 1]);
            let told = counted.quantile(quantile);
            prop_assert!(told + Duration::from_micros(1) >= exact, "{told:?} < {exact:?}");
            prop_assert!(told <= exact.mul_f64(1.2) + Duration::from_micros(1), "{told:?} > {exact:?}");
            prop_assert_eq!(counted.longest(), Duration::from_micros(sorted[sorted.len() - 1]));
        }
    }
}
