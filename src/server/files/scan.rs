//! The text of a zone file and of what it includes, entry by entry.

use std::io;
use std::path::Path;

use crate::text::file::read::{Each, Outcome, read_while};
use crate::wire::name::NameRef;

use super::super::content;
use super::super::memory;

/// What all the files of a zone may have together, in bytes: more than nearly all zones there are.
pub(super) const MAX_TEXT: u64 = 4 << 30;

/// How a file is had that may have no more than so many bytes.
type ReadFile<'r> = dyn FnMut(&Path, u64) -> Result<Vec<u8>, String> + 'r;

/// The bytes of a file, if it has no more than so many.
pub(super) fn content(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    content::content(path, limit, || too_large(limit))
}

/// What is said of a zone with more.
pub(super) fn too_large(limit: u64) -> String {
    format!("it is larger than the {} MiB that there are for a zone; split the zone", limit >> 20)
}

/// How much text a zone may have in all its files: what is read must fit the memory, with the records made of it.
pub(super) fn text_limit() -> u64 {
    MAX_TEXT.min(memory::half())
}

/// Reads a zone's text and what it includes, as long as that has no more than `limit` bytes in all.
pub(super) fn scan(
    path: &Path,
    text: &[u8],
    origin: Option<&NameRef>,
    limit: u64,
    each: &mut Each<'_>,
) -> Outcome {
    let mut read = |path: &Path, limit| content(path, limit).map_err(|error| error.to_string());
    scan_with(path, text, origin, limit, &mut read, each)
}

/// The same; what is included is had by `read`, which is told how much there may be of it.
pub(super) fn scan_with(
    path: &Path,
    text: &[u8],
    origin: Option<&NameRef>,
    limit: u64,
    read: &mut ReadFile<'_>,
    each: &mut Each<'_>,
) -> Outcome {
    // What is included counts each time, for it is read, and makes records, each time.
    let mut left = limit.saturating_sub(text.len() as u64);
    let mut include = |written: &str, from: &str| {
        // RFC 1035 leaves open what a relative path is relative to; the including file moves with what it includes.
        let path = Path::new(from).parent().unwrap_or(Path::new("")).join(written);
        let text = read(&path, left)?;
        left -= text.len() as u64;
        Ok((path.display().to_string(), text))
    };
    read_while(&path.to_string_lossy(), text, origin, &mut include, each)
}
