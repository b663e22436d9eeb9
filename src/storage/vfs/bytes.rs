//! Reading and writing whole ranges of a file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::mutation;

/// Reads until `buffer` is full or the file ends.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes all of `bytes`.
pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    if cfg!(feature = "mutations") {
        // In two halves: a process can be stopped within one write.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        file.write_all_at(first, offset)?;
        mutation::reached("half-written");
        return file.write_all_at(second, offset + first.len() as u64);
    }
    file.write_all_at(bytes, offset)
}

/// SQLite's rule: a journal whose first byte is 0, or that is empty, is nobody's.
pub(crate) fn is_cold(journal: &File) -> io::Result<bool> {
    let mut first = [0];
    let length = journal.read_at(&mut first, 0)?;
    Ok(length == 0 || first[0] == 0)
}
