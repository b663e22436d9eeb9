//! Reading an open file from its start, whoever else reads it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// Reads `file` by offsets of its own, so that the descriptor's place in the file does not matter.
pub(crate) fn from_start(file: &File) -> FromStart<'_> {
    FromStart { file, offset: 0 }
}

/// See [`from_start`].
pub(crate) struct FromStart<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
