//! The two clocks of the store: time of day for people, time since boot for waiting.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use time::OffsetDateTime;

/// Time since this node booted, suspended time included.
///
/// Lock timing uses only this clock of the observer itself: the clocks of two nodes are never compared.
#[must_use]
pub fn since_boot() -> Duration {
    // CLOCK_BOOTTIME exists on every Linux since 2.6.39; a failure here would be a kernel without it.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// Now in UTC as Python's `datetime.isoformat()` prints it: microseconds, left out when they are zero.
#[must_use]
pub fn now_iso() -> String {
    iso(OffsetDateTime::now_utc())
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
    let t = OffsetDateTime::now_utc();
    let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", t.hour(), t.minute(), t.second())
}

/// Whole seconds since 1970.
#[must_use]
pub fn unix_seconds_whole() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Seconds since 1970 with their fraction, as Python's `time.time()` gives them.
#[must_use]
pub fn unix_seconds() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
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
