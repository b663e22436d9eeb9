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

/// The moment so many microseconds after 1970, as [`now_iso`] prints it; `None` beyond the years that it can print.
#[must_use]
pub fn iso_of(unix_microseconds: i64) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_microseconds) * 1000).ok()?;
    (moment.year() >= 0).then(|| iso(moment))
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

/// Is `text` a date of ISO 8601 as Python's `isoformat()` prints it, with or without its time, fraction and zone?
#[must_use]
pub fn is_iso(text: &str) -> bool {
    unix_microseconds(text).is_some()
}

/// Microseconds from 1970 to a date as [`is_iso`] knows them; without a zone it is in UTC.
#[must_use]
pub fn unix_microseconds(text: &str) -> Option<i64> {
    const MINUTE: i64 = 60_000_000;
    let (date, rest) = text.split_at_checked(10)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let month = time::Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = time::Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?).ok()?;
    let midnight = (i64::from(date.to_julian_day()) - UNIX_EPOCH_JULIAN_DAY) * 24 * 60 * MINUTE;
    let Some(rest) = rest.strip_prefix(['T', ' ']) else {
        return rest.is_empty().then_some(midnight);
    };
    let zone = rest.find(['+', '-', 'Z']).unwrap_or(rest.len());
    let (of_day, zone) = rest.split_at(zone);
    let (whole, fraction) = of_day.split_once('.').unwrap_or((of_day, "0"));
    let [hour, minute, second] = numbers(whole, ':', [2, 2, 2])?.map(i64::from);
    is_time([hour, minute, second]).then_some(())?;
    let is_fraction = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    is_fraction.then_some(())?;
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    let microseconds = digits.fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    let local = midnight + (hour * 60 + minute) * MINUTE + second * 1_000_000 + microseconds;
    match zone.split_at_checked(1) {
        None | Some(("Z", "")) => Some(local),
        Some((sign @ ("+" | "-"), offset)) => {
            let [hours, minutes] = numbers(offset, ':', [2, 2])?.map(i64::from);
            let east = (hours * 60 + minutes) * MINUTE;
            is_time([hours, minutes, 0]).then_some(if sign == "+" { local - east } else { local + east })
        }
        Some(_) => None,
    }
}

/// The Julian day number of the first day of 1970.
const UNIX_EPOCH_JULIAN_DAY: i64 = 2_440_588;

fn is_time([hour, minute, second]: [i64; 3]) -> bool {
    hour < 24 && minute < 60 && second < 60
}

/// Exactly these numbers of digits, `separator` between them.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[u16; N]> {
    let mut parts = text.split(separator);
    let mut found = [0; N];
    for (number, digits) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        let is_number = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = is_number.then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(found)
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
    #[test]
    fn dates_are_those_that_python_prints() {
        for date in [
            "2026-02-21T15:30:12+00:00",
            "2026-02-21T15:30:12.001200+00:00",
            "2024-02-29 23:59:59.5-05:30",
            "2026-02-21T15:30:12Z",
            "2026-02-21T15:30:12",
            "2026-02-21",
        ] {
            assert!(is_iso(date), "{date}");
        }
        for (date, microseconds) in [
            ("1970-01-01", 0),
            ("2026-02-21T15:30:12.001200+00:00", 1_771_687_812_001_200),
            ("2026-02-21T15:30:12.5", 1_771_687_812_500_000),
            ("2026-02-21T15:30:12.123456789Z", 1_771_687_812_123_456),
            ("2026-02-21T10:00:12-05:30", 1_771_687_812_000_000),
            ("1969-12-31T23:59:59+00:00", -1_000_000),
        ] {
            assert_eq!(unix_microseconds(date), Some(microseconds), "{date}");
        }
        assert_eq!(iso_of(-1_000_000).as_deref(), Some("1969-12-31T23:59:59+00:00"));
        assert_eq!(iso_of(i64::MAX), None);
        for none in [
            "",
            "now",
            "2026",
            "2026-02-30",
            "2026-13-01T00:00:00",
            "2026-02-21T24:00:00",
            "2026-02-21T15:30",
            "2026-02-21T15:30:12.",
            "2026-02-21T15:30:12.x",
            "2026-02-21T15:30:12+0",
            "2026-02-21T15:30:12+00:00Z",
            "2026-02-21x",
            "+026-02-21",
            "2026-02-2\u{663}",
        ] {
            assert!(!is_iso(none), "{none}");
        }
    }
}
