//! What the journal asks of a place that keeps entries and is waited for.

use crate::time::{Now, Utc};
use crate::zone::snapshot::Snapshot;

use super::entry::Entry;

/// A place that keeps entries safely.
pub trait Log {
    /// Returns once all entries are on stable storage, in this order; an error means that any prefix may be.
    fn append(&mut self, entries: &[Entry]) -> Result<(), LogError>;

    /// Whether this content of a zone file may be written down later, soon after it is served ([`Log::append`] then gets its stamp
    /// alone). A crash before that costs nothing but the differences to what was served before: the file has the content,
    /// and the stamp has the serial and the digest, so that no serial goes back or comes to stand for other content.
    fn defers(&mut self, _content: &Snapshot) -> bool {
        false
    }

    /// The present, for a caller who was told `now` and has been at work since: comparing a large zone and waiting for the disk
    /// take long enough to show in a lag. Where no time passes within a step, it is what the caller was told.
    fn moment(&self, now: Now) -> Utc {
        now.utc
    }
}

/// The entries could not be kept; nothing that depends on them may be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("journal: {0}")]
pub struct LogError(pub String);
