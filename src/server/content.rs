//! Reads files that somebody else wrote: no more than there is room for, and nothing that could block for good or never end.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What is read of a file at once: a core that copies is taken from those who answer until it is done (where the kernel is built
/// so that it does not give way), however low the priority.
const PIECE: u64 = 32 << 10;

/// The bytes of a regular file of at most `limit` bytes; `too_large` says what to do about a larger one.
pub fn content(path: &Path, limit: u64, too_large: impl FnOnce() -> String) -> io::Result<Vec<u8>> {
    read(&open(path)?, limit, too_large)
}

/// Opens a regular file.
pub(super) fn open(path: &Path) -> io::Result<File> {
    // O_NONBLOCK: opening a pipe would wait for a writer. It means nothing to a regular file.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::other("it is a folder; name a file"));
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file; name one"));
    }
    Ok(file)
}

/// Its bytes.
pub(super) fn read(file: &File, limit: u64, too_large: impl FnOnce() -> String) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let mut text = Vec::new();
    if length <= limit {
        text.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX).saturating_add(1))?;
        while text.len() as u64 <= limit && read_on(file, length, &mut text)? {}
    }
    if length > limit || text.len() as u64 > limit {
        return Err(io::Error::other(too_large()));
    }
    Ok(text)
}

/// Reads the next piece of a file that had `length` bytes when it was opened. Returns whether there may be more: a small file takes
/// one call, because less came than there was room for.
fn read_on(mut file: &File, length: u64, text: &mut Vec<u8>) -> io::Result<bool> {
    let before = text.len();
    // It may grow while it is read: there is room for one byte more than is expected.
    let room = (length.saturating_sub(before as u64) + 1).min(PIECE) as usize;
    text.resize(before + room, 0);
    let got = loop {
        match file.read(&mut text[before..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            got => break got?,
        }
    };
    text.truncate(before + got);
    // On network file systems a piece may be short before the end.
    Ok(got == room || (got > 0 && (text.len() as u64) < length))
}
