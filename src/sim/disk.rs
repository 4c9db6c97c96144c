//! A pretend disk: the journal's bytes, of which a crash may lose or tear whatever was not synced.

use crate::publish::journal::entry::{self as journal, Entry, Happened};
use crate::publish::journal::log::LogError;
use crate::wire::name::Name;

/// A journal below this size is never compacted: small, so that compaction happens in short runs too.
const SMALL: usize = 24 << 10;
/// Content that was put off is written down once the journal has grown by so much: some changes later.
const SOON: usize = 128;
/// Bytes kept free while content waits to be written.
const RESERVE: usize = 4_096;

/// The journal of one host; outlives its crashes.
#[derive(Debug, Default)]
pub struct Disk {
    bytes: Vec<u8>,
    /// How much of it survives any crash.
    synced: usize,
    compacted: usize,
    /// Content that waits to be written down: how long the journal was when it was put off.
    owed: Option<usize>,
    /// How long the journal may grow on a full disk.
    reserved: usize,
    /// There is no room for more.
    pub full: bool,
    /// The host crashes in the next append, after a part of it was written.
    pub armed: bool,
    /// It crashed so.
    pub crashed: bool,
}

impl Disk {
    /// Hands every whole entry to `each`, and cuts off what follows the last of them.
    pub fn replay(&mut self, mut each: impl FnMut(Name, Happened)) {
        let mut length = 0;
        while let Some((payload, taken)) = journal::unframe(&self.bytes[length..]) {
            length += taken;
            if let (Some(zone), Some(happened)) = (journal::zone_of(payload), journal::read(payload)) {
                each(zone.to_name(), happened);
            }
        }
        self.bytes.truncate(length);
        self.synced = length;
        self.compacted = length;
        self.owed = None;
    }

    /// Loses what was not synced from a place on that `at` chooses (given how many bytes there are), and spoils the byte
    /// before that place when it is not a synced one.
    pub fn crash(&mut self, at: impl FnOnce(usize) -> usize) {
        let keep = self.synced + at(self.bytes.len() - self.synced).min(self.bytes.len() - self.synced);
        self.bytes.truncate(keep);
        if keep > self.synced && keep.is_multiple_of(3) {
            self.bytes[keep - 1] ^= 0x55;
        }
        (self.crashed, self.armed) = (false, false);
    }

    /// Appends an entry whose loss would do no harm.
    pub fn note(&mut self, entry: &Entry) {
        if !self.full {
            entry.write(&mut self.bytes);
        }
    }

    /// Whether it is time to compact.
    pub fn is_overgrown(&self) -> bool {
        let settles = self.owed.is_some_and(|at| self.bytes.len() > at + SOON);
        !self.full && (settles || self.bytes.len() > SMALL.max(3 * self.compacted))
    }

    /// Puts what `fill` hands out in the journal's place.
    pub fn compact(&mut self, fill: impl FnOnce(&mut dyn FnMut(Entry))) {
        let mut bytes = Vec::new();
        fill(&mut |entry| entry.write(&mut bytes));
        self.bytes = bytes;
        self.synced = self.bytes.len();
        self.compacted = self.bytes.len();
        self.owed = None;
    }
}

impl Disk {
    /// Whether content may be written down later: there has to be room for stamps meanwhile.
    pub fn defers(&mut self) -> bool {
        let wanted = (self.bytes.len() / RESERVE + 2) * RESERVE;
        let defers = !self.full || wanted <= self.reserved;
        if defers {
            self.reserved = self.reserved.max(wanted);
            self.owed = Some(self.bytes.len());
        }
        defers
    }

    /// Writes entries down, or fails as a whole.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), LogError> {
        let before = self.bytes.len();
        entries.iter().for_each(|entry| entry.write(&mut self.bytes));
        if self.crashed || self.full && self.bytes.len() > self.reserved {
            self.bytes.truncate(before);
            return Err(LogError("no space left on the pretend disk".to_owned()));
        }
        if self.armed {
            self.crashed = true;
            return Err(LogError("the pretend host crashed while it wrote".to_owned()));
        }
        self.synced = self.bytes.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Utc;

    fn entries(disk: &mut Disk) -> Vec<u64> {
        let mut found = Vec::new();
        disk.replay(|_, happened| match happened {
            Happened::Verified(at) => found.push(at.0),
            other => panic!("{other:?}"),
        });
        found
    }

    #[test]
    fn a_crash_tears_what_was_not_synced_and_nothing_else() {
        let name: Name = "example.".parse().unwrap();
        for cut in 0..60 {
            let mut disk = Disk::default();
            disk.append(&[Entry::Verified(name.clone(), Utc(1))]).unwrap();
            disk.armed = true;
            assert!(
                disk.append(&[Entry::Verified(name.clone(), Utc(2)), Entry::Verified(name.clone(), Utc(3))])
                    .is_err()
            );
            disk.crash(|_| cut);
            let found = entries(&mut disk);
            assert!([1, 2, 3].starts_with(&found) && !found.is_empty(), "{found:?}");
            disk.append(&[Entry::Verified(name.clone(), Utc(4))]).unwrap();
            assert_eq!(entries(&mut disk).last(), Some(&4));
        }
    }
}
