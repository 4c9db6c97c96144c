//! Waiting for the content of a zone file, under whatever serial it is published.
//!
//! ```text
//!                       a digest of the file's content, under a serial not older than `floor`
//!   Unpublished(floor) ----------------------------------------------------------------------> Published(serial)
//!                      <----------------------------------------------------------------------
//!              a server, heard of for the first time, has a newer version that nothing derives from this one
//! ```
//!
//! The floor is the newest serial that was shown when the servers were first heard of. Content that was there under an older one is
//! from before: an edit that goes back to what a zone once held has not been published because some server has not followed for long.

use crate::probe::observation::Observation;
use crate::zone::digest::Digest;
use crate::zone::serial::Serial;
use crate::zone::stamp::Stamp;

/// The content of a zone file that is waited for. Servers that tell digests show under which serial it is published, the others that
/// they have this serial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub path: String,
    serial: Serial,
    digest: Digest,
    floor: Option<Serial>,
    published: Option<Serial>,
}

impl File {
    /// A file with this serial and content, of which no server has been heard yet.
    pub fn new(path: String, serial: Serial, digest: Digest) -> File {
        File { path, serial, digest, floor: None, published: None }
    }

    /// Its serial and the one that was served before, where the content is not published and the file's serial would have to be raised if
    /// its primary keeps that.
    pub fn unraised(&self) -> Option<(Serial, Serial)> {
        let floor =
            self.floor.filter(|floor| self.published.is_none() && !self.serial.is_newer_than(*floor))?;
        Some((self.serial, floor))
    }

    /// Under which serial it is published, as far as that is known.
    pub fn published(&self) -> Option<Serial> {
        self.published
    }

    /// The serial behind which it may be published: servers are asked what followed it.
    pub fn floor(&self) -> Option<Serial> {
        self.floor
    }

    /// Whether a version has this in it: it is this, or a later one.
    pub fn is_in(&self, serial: Serial, digest: Option<Digest>) -> bool {
        let Some(published) = self.published else { return false };
        serial.is_newer_than(published)
            || serial == published && digest.is_none_or(|digest| digest == self.digest)
    }

    /// Takes in what a server shows, `is_first` if it was not heard of before. Whether what was believed published is not.
    pub fn take(&mut self, seen: &Observation, is_first: bool) -> bool {
        let Some(serial) = seen.serial else { return false };
        let told = seen.told.as_ref().filter(|_| seen.digest().is_some());
        let mut stamps = told.into_iter().flat_map(|told| &told.stamps);
        let counts = |stamp: &Stamp| self.floor.is_none_or(|floor| stamp.serial.covers(floor));
        let found = stamps.find(|stamp| stamp.digest == self.digest && counts(stamp));
        if let Some(stamp) = found {
            self.published = self.published.or(Some(stamp.serial));
        }
        let is_above = self.floor.is_none_or(|floor| serial.is_newer_than(floor));
        if !is_first || !is_above {
            return false;
        }
        self.floor = Some(serial);
        // What followed the old floor is not what the file holds, or nobody says what it was.
        let is_foreign =
            found.is_none() && self.published.is_some_and(|published| serial.is_newer_than(published));
        if is_foreign {
            self.published = None;
        }
        is_foreign
    }
}
