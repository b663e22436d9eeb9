//! The hashes of the sources that were asked for last: who tunes a program asks for hundreds of its schedules.

use std::sync::Mutex;

use super::super::HexDigest;

const REMEMBERED: usize = 64;
/// Longer sources are hashed every time.
const LONGEST: usize = 256 << 10;

/// The last one first.
static MEMO: Mutex<Vec<(Box<str>, HexDigest)>> = Mutex::new(Vec::new());

/// The hash of `source`, computed by `hash` unless it was asked for lately.
pub(super) fn remembered(source: &str, hash: impl Fn(&str) -> HexDigest) -> HexDigest {
    if source.len() > LONGEST {
        return hash(source);
    }
    // Not waited for: another thread may hold it, or have held it when this process was forked.
    let Ok(mut memo) = MEMO.try_lock() else { return hash(source) };
    // Comparing is faster than any hash of it: lengths differ, or all of it is equal.
    if let Some(at) = memo.iter().position(|(known, _)| **known == *source) {
        memo[..=at].rotate_right(1);
        return memo[0].1;
    }
    drop(memo);
    let digest = hash(source);
    if let Ok(mut memo) = MEMO.try_lock() {
        memo.truncate(REMEMBERED - 1);
        memo.insert(0, (source.into(), digest));
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_source_that_was_asked_for_lately_is_not_hashed_again() {
        let computed = Cell::new(0);
        let of = |source: &str| {
            remembered(source, |source| {
                computed.set(computed.get() + 1);
                HexDigest::of(source.as_bytes())
            })
        };
        for _ in 0..3 {
            assert_eq!(of("memo: one"), HexDigest::of(b"memo: one"));
            assert_eq!(of("memo: two"), HexDigest::of(b"memo: two"));
        }
        // Tests beside this one may have had the lock, or have pushed the sources out.
        assert!((2..6).contains(&computed.get()), "{} times", computed.get());
    }

    #[test]
    fn long_sources_are_not_kept() {
        let long = "x".repeat(LONGEST + 1);
        remembered(&long, |source| HexDigest::of(source.as_bytes()));
        let memo = MEMO.lock().expect("no panic");
        assert!(memo.iter().all(|(source, _)| source.len() <= LONGEST));
        assert!(memo.len() <= REMEMBERED);
    }
}
