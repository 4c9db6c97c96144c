//! Floors of serials: what keeps a serial from going back, or from standing for two contents, when the journal is lost or
//! damaged.
//!
//! Two copies of a file of frames lie beside the journal. Before a primary publishes a serial beyond what it has reserved, it
//! reserves some ahead ([`Reserve`], synced); after each version it notes its stamp (an `Entry::Past`, not synced). So long as
//! the system has not crashed the floors know exactly what was served last; after such a crash they know a bound.

use crate::zone::digest::Digest;
use crate::zone::serial::{Policy, Serial};
use crate::zone::stamp::Stamp;

/// Begins the payload of a [`Life`]; entries have other kinds.
const LIFE: u8 = 7;
/// Serials reserved ahead of the one that is published.
const AHEAD: u32 = 256;
/// The same where serials are seconds: about an hour.
const SECONDS_AHEAD: u32 = 4_096;

/// Up to which serial a primary may have published, or may go on to publish without another word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// The last serial that may have been published.
    pub serial: Serial,
    /// The digest of the content it stands for, where exactly one version was reserved.
    pub digest: Option<Digest>,
    /// Versions that the journal does not have may have been published up to it.
    pub is_doubtful: bool,
}

impl Reserve {
    /// What to reserve for a version, under this policy. Where only the file may raise the serial, it is reserved alone: a file
    /// that comes back after a loss is then known by its digest.
    pub fn ahead(serial: Serial, digest: Digest, policy: Policy) -> Reserve {
        let ahead = match policy {
            Policy::Keep => return Reserve { serial, digest: Some(digest), is_doubtful: false },
            Policy::Unixtime => SECONDS_AHEAD,
            Policy::Increment | Policy::Date => AHEAD,
        };
        Reserve { serial: Serial(serial.0.wrapping_add(ahead)), digest: None, is_doubtful: false }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.serial.0.to_le_bytes());
        out.push(u8::from(self.is_doubtful));
        out.extend(self.digest.iter().flat_map(|digest| digest.to_bytes()));
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Reserve> {
        let (serial, rest) = bytes.split_first_chunk()?;
        let (is_doubtful, rest) = rest.split_first()?;
        let digest = if rest.is_empty() { None } else { Some(Digest::from_bytes(*rest.first_chunk()?)) };
        Some(Reserve { serial: Serial(u32::from_le_bytes(*serial)), digest, is_doubtful: *is_doubtful != 0 })
    }
}

/// How far above the last serial that it knows of a primary goes on that lost both entries and floors: nothing tells how many it
/// issued.
const UNKNOWN_AHEAD: u32 = 65_536;

/// What tells whether the floors are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// A node that began while the system had this id; what it wrote is there unless the system crashed since.
    Running(u128),
    /// A node that ended and synced all it had written.
    Stopped,
}

impl Life {
    /// Appends the payload.
    pub fn write(&self, out: &mut Vec<u8>) {
        // The root, where other payloads have a zone.
        out.extend_from_slice(&[LIFE, 0]);
        if let Life::Running(boot) = self {
            out.extend_from_slice(&boot.to_le_bytes());
        }
    }

    pub(super) fn read(payload: &[u8]) -> Option<Life> {
        match payload.strip_prefix(&[LIFE, 0])? {
            [] => Some(Life::Stopped),
            boot => Some(Life::Running(u128::from_le_bytes(*boot.first_chunk()?))),
        }
    }
}

/// What a zone's next serial has to keep clear of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// Up to which serial is reserved.
    pub reserved: Option<Serial>,
    /// Whether versions up to there may have been published that nothing here knows of.
    pub is_doubtful: bool,
}

impl Floor {
    /// Above which serial the version after the last known one is to be numbered.
    pub fn above(&self, last: Option<Serial>) -> Option<Serial> {
        if !self.is_doubtful {
            return last;
        }
        let Some(last) = last else { return self.reserved };
        Some(match self.reserved {
            Some(reserved) if reserved.is_newer_than(last) => reserved,
            Some(_) => last,
            None => Serial(last.0.wrapping_add(UNKNOWN_AHEAD)),
        })
    }

    /// Whether a version with this serial can be published without reserving first.
    pub fn covers(&self, serial: Serial) -> bool {
        !self.is_doubtful
            && self.reserved.is_some_and(|reserved| reserved == serial || reserved.is_newer_than(serial))
    }

    /// What a journal has to hold of it, beside the last version.
    pub fn reserve(&self, last: Option<&Stamp>) -> Option<Reserve> {
        let is_doubtful = self.is_doubtful;
        let unknown = last.filter(|_| is_doubtful).and_then(|last| self.above(Some(last.serial)));
        let serial = self.reserved.or(unknown)?;
        let digest = last.filter(|last| last.serial == serial).map(|last| last.digest);
        Some(Reserve { serial, digest, is_doubtful })
    }

    /// Takes versions to be missing, up to what is reserved, or to somewhere beyond it.
    pub fn doubt(&mut self, is_boundless: bool) {
        self.is_doubtful = true;
        if is_boundless {
            self.reserved = self.reserved.map(|known| Serial(known.0.wrapping_add(UNKNOWN_AHEAD)));
        }
    }

    /// Takes in what is reserved.
    pub fn set(&mut self, reserve: &Reserve) {
        (self.reserved, self.is_doubtful) = (Some(reserve.serial), reserve.is_doubtful);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_goes_on_above_what_is_reserved_and_far_above_where_that_is_no_bound() {
        let reserved = Floor { reserved: Some(Serial(300)), is_doubtful: false };
        let above = |is_boundless, floor: Floor| {
            let mut floor = floor;
            floor.doubt(is_boundless);
            floor.above(Some(Serial(44)))
        };
        assert_eq!(reserved.above(Some(Serial(44))), Some(Serial(44)));
        assert_eq!(above(false, reserved), Some(Serial(300)));
        assert_eq!(above(true, reserved), Some(Serial(300 + UNKNOWN_AHEAD)));
        assert_eq!(above(true, Floor::default()), Some(Serial(44 + UNKNOWN_AHEAD)));
    }
}
