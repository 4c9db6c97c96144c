//! Reads files that somebody else wrote: no more than there is room for, and nothing that could block for good or never end.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What is read of a file at once: a core that copies is taken from those who answer until it is done (where the kernel is built
/// so that it does not give way), however low the priority.
const PIECE: u64 = 128 << 10;

/// The bytes of a regular file of at most `limit` bytes; `too_large` says what to do about a larger one.
pub fn content(path: &Path, limit: u64, too_large: impl FnOnce() -> String) -> io::Result<Vec<u8>> {
    // O_NONBLOCK: opening a pipe would wait for a writer. It means nothing to a regular file.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::other("it is a folder; name a file"));
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file; name one"));
    }
    let mut text = Vec::new();
    if metadata.len() <= limit {
        text.try_reserve_exact(usize::try_from(metadata.len()).unwrap_or(usize::MAX))?;
        // It may grow while it is read; its end is where less than a piece was left.
        while text.len() as u64 <= limit && (&file).take(PIECE).read_to_end(&mut text)? as u64 == PIECE {}
    }
    if metadata.len() > limit || text.len() as u64 > limit {
        return Err(io::Error::other(too_large()));
    }
    Ok(text)
}
