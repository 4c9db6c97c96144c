//! What is written for a group of commits: one write and one sync of the journal for all of them.
//!
//! ```text
//! reserved -> floors, synced    entries -> journal, synced    served -> floors, not synced    then they count as written
//! ```

use super::entry::{Aside, Entry};
use super::frame::Framer;

/// An entry, and the file of its own that holds its body.
pub type Placed = (Entry, Option<Aside>);

/// Appends what the floors have to hold before the entries are written.
pub fn reserved<'e>(framer: &mut Framer, entries: impl Iterator<Item = &'e Placed>, out: &mut Vec<u8>) {
    for (entry, _) in entries.filter(|(entry, _)| matches!(entry, Entry::Reserve(..))) {
        framer.frame(out, |out| entry.encode(out));
    }
}

/// Appends the entries.
pub fn entries<'e>(framer: &mut Framer, entries: impl Iterator<Item = &'e Placed>, out: &mut Vec<u8>) {
    for (entry, aside) in entries {
        framer.frame(out, |out| match aside {
            Some(aside) => aside.write(entry.zone(), out),
            None => entry.encode(out),
        });
    }
}

/// Appends what the floors have to hold once the entries are on stable storage: the last version of each.
pub fn served<'e>(framer: &mut Framer, entries: impl Iterator<Item = &'e Placed>, out: &mut Vec<u8>) {
    for (entry, _) in entries {
        if let Some(stamp) = entry.version() {
            let past = Entry::Past(entry.zone().to_name(), None, *stamp);
            framer.frame(out, |out| past.encode(out));
        }
    }
}
