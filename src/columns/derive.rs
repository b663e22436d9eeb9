//! What follows from the execution times of a record.

/// The smallest of `times`.
pub(super) fn min(times: &[f64]) -> Option<f64> {
    times.iter().copied().reduce(f64::min)
}

/// The middle one of `times`, or the mean of the two in the middle. `scratch` spares an allocation per record.
pub(super) fn median(times: &[f64], scratch: &mut Vec<f64>) -> Option<f64> {
    scratch.clear();
    scratch.extend_from_slice(times);
    let middle = scratch.len().checked_sub(1)? / 2;
    let is_even = scratch.len().is_multiple_of(2);
    let (_, &mut lower, above) = scratch.select_nth_unstable_by(middle, f64::total_cmp);
    // Halves first: the sum of two times may be beyond the range.
    let upper = if is_even { min(above)? } else { return Some(lower) };
    Some(lower / 2.0 + upper / 2.0)
}

/// The mean of `times`.
pub(super) fn mean(times: &[f64]) -> Option<f64> {
    (!times.is_empty()).then(|| times.iter().sum::<f64>() / count(times.len()))
}

/// The standard deviation that `times`, as a sample, give for the whole: there is none of fewer than two.
pub(super) fn std(times: &[f64]) -> Option<f64> {
    let mean = mean(times).filter(|_| times.len() > 1)?;
    let squares: f64 = times.iter().map(|time| (time - mean).powi(2)).sum();
    Some((squares / count(times.len() - 1)).sqrt())
}

/// How many times faster `best` is than `initial`, the program without a schedule.
pub(super) fn speedup(initial: Option<f64>, best: Option<f64>) -> Option<f64> {
    let (initial, own) = (initial?, best?);
    // A time of 0 is no measurement that anything can be compared with.
    (initial > 0.0 && own > 0.0).then(|| initial / own)
}

#[allow(clippy::cast_precision_loss)] // nobody runs a program 2^53 times
fn count(length: usize) -> f64 {
    length as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp)] // the values are exact
    fn statistics_are_those_of_textbooks() {
        let (times, mut scratch) = ([4.0, 1.0, 7.0, 2.0], Vec::new());
        assert_eq!(min(&times), Some(1.0));
        assert_eq!(median(&times, &mut scratch), Some(3.0));
        assert_eq!(median(&times[..3], &mut scratch), Some(4.0));
        assert_eq!(mean(&times), Some(3.5));
        assert_eq!(std(&times), Some(7.0_f64.sqrt()));
        assert_eq!(speedup(Some(2.0), Some(1.0)), Some(2.0));
    }

    #[test]
    fn what_does_not_follow_is_absent() {
        assert_eq!((min(&[]), median(&[], &mut Vec::new()), mean(&[])), (None, None, None));
        assert_eq!((std(&[]), std(&[1.0])), (None, None));
        assert_eq!(speedup(None, Some(1.0)), None);
        assert_eq!(speedup(Some(1.0), Some(0.0)), None);
        assert_eq!(speedup(Some(0.0), Some(1.0)), None);
        assert_eq!(speedup(Some(1.0), None), None);
    }
}
