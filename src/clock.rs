//! The two clocks of the store: time of day for people, time since boot for waiting.

use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};
use time::OffsetDateTime;

use crate::mutation;

/// Time since this node booted, suspended time included.
///
/// Lock timing uses only this clock of the observer itself: the clocks of two nodes are never compared.
#[must_use]
pub fn since_boot() -> Duration {
    // CLOCK_BOOTTIME exists on every Linux since 2.6.39; a failure here would be a kernel without it.
    let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    match mutation::clock_skew() {
        0 => since_boot,
        // Later than any skew: this clock is never below zero.
        skew => since_boot + Duration::from_secs(LONG_AGO.saturating_add_signed(skew)),
    }
}

/// Seconds that a test's wrong clock has run already.
const LONG_AGO: u64 = 1 << 32;

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc() + time::Duration::seconds(mutation::clock_skew())
}

fn since_1970() -> Duration {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::new(since.as_secs().saturating_add_signed(mutation::clock_skew()), since.subsec_nanos())
}

/// Now in UTC as Python's `datetime.isoformat()` prints it: microseconds, left out when they are zero.
#[must_use]
pub fn now_iso() -> String {
    iso(now())
}

fn iso(t: OffsetDateTime) -> String {
    let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
    let (hour, minute, second) = (t.hour(), t.minute(), t.second());
    let fraction = match t.microsecond() {
        0 => String::new(),
        micros => format!(".{micros:06}"),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}+00:00")
}

/// Now in UTC as a part of a file name: `20260221T153012Z`.
#[must_use]
pub fn now_compact() -> String {
    let t = now();
    let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", t.hour(), t.minute(), t.second())
}

/// Whole seconds since 1970.
#[must_use]
pub fn unix_seconds_whole() -> u64 {
    since_1970().as_secs()
}

/// Seconds since 1970 with their fraction, as Python's `time.time()` gives them.
#[must_use]
pub fn unix_seconds() -> f64 {
    since_1970().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_print_as_pythons_isoformat() {
        let whole = OffsetDateTime::from_unix_timestamp(1_771_687_812).expect("in range");
        assert_eq!(iso(whole), "2026-02-21T15:30:12+00:00");
        let fractional = whole + time::Duration::microseconds(1_200);
        assert_eq!(iso(fractional), "2026-02-21T15:30:12.001200+00:00");
    }
}
