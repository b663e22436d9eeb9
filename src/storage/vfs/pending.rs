//! What a transaction has written into its journal and SQLite does not need on the disk yet.

/// More than this of a journal is not kept in memory.
const MOST: usize = 4 << 20;

/// The journal of the running transaction, from its beginning on.
#[derive(Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    /// A part of it may be on the disk: a write failed.
    pub(super) begun: bool,
}

impl Pending {
    /// Keeps `written` in memory. `false` where it is to be written at once: it would leave a gap, or is too much, or a
    /// part of the journal is on the disk.
    pub(super) fn keep(&mut self, written: &[u8], offset: u64) -> bool {
        let begin = usize::try_from(offset).ok().filter(|&begin| begin <= self.bytes.len());
        let Some(begin) = begin.filter(|begin| !self.begun && begin + written.len() <= MOST) else {
            return false;
        };
        let end = begin + written.len();
        if end > self.bytes.len() {
            self.bytes.resize(end, 0);
        }
        self.bytes[begin..end].copy_from_slice(written);
        true
    }

    /// Puts what is kept of the journal over what was read of the file, of which `there` bytes were there. Answers how
    /// many there are.
    pub(super) fn overlay(&self, buffer: &mut [u8], offset: u64, there: usize) -> usize {
        let kept =
            usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset..)).unwrap_or_default();
        let length = kept.len().min(buffer.len());
        buffer[..length].copy_from_slice(&kept[..length]);
        there.max(length)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_over_what_the_file_holds() {
        let mut pending = Pending::default();
        assert!(pending.keep(b"abcd", 0) && pending.keep(b"XY", 3));
        assert_eq!(pending.bytes(), b"abcXY");
        let mut read = *b"......";
        assert_eq!(pending.overlay(&mut read, 2, 4), 4);
        assert_eq!(&read, b"cXY...");
        assert_eq!(pending.overlay(&mut read, 9, 1), 1);
        assert_eq!(&read, b"cXY...");
    }

    #[test]
    fn nothing_is_kept_behind_a_gap_or_beyond_a_bound_or_after_a_write() {
        let mut pending = Pending::default();
        assert!(!pending.keep(b"a", 1));
        assert!(!pending.keep(&vec![0; MOST + 1], 0));
        assert!(pending.keep(&vec![0; MOST], 0));
        assert!(!pending.keep(b"a", MOST as u64));
        pending.begun = true;
        assert!(!pending.keep(b"a", 0));
    }
}
