//! Whether a serial newer than the one waited for is that of a later version, or is left from another history: a primary that has lost
//! its data may begin again below what its secondaries serve, which they then keep.
//!
//! The node that publishes the zone knows, and is asked where the wait is one for what it published ([`Published`]). Else those among the
//! servers that tell stamps are believed ([`Word`]): one that publishes the zone before all others.

use std::fmt;
use std::net::SocketAddr;

use crate::probe::observation::Observation;
use crate::time::Hlc;
use crate::zone::digest::Digest;
use crate::zone::serial::Serial;

/// The newest version of a zone, by the node that publishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its serial.
    pub serial: Serial,
    /// Its digest, as text.
    pub digest: Option<String>,
}

impl Published {
    /// What is wrong with a version that a server shows, if anything is.
    pub fn doubt(&self, shown: Serial, digest: Option<Digest>) -> Option<Doubt> {
        if shown == self.serial {
            let own = self.digest.as_ref().zip(digest);
            return own.filter(|(own, shown)| **own != shown.to_string()).map(|_| Doubt::OtherContent);
        }
        (!self.serial.covers(shown)).then_some(Doubt::Unpublished)
    }
}

/// What a server tells of the version that it serves.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    serial: Serial,
    published: Option<Hlc>,
    /// Whether it publishes the zone itself: what it serves was current that very moment.
    pub is_publisher: bool,
}

impl Word {
    /// What an answer tells; `None` where it tells nothing of the serial that it shows.
    pub fn of(seen: &Observation) -> Option<Word> {
        let told = seen.told.as_ref().filter(|_| seen.digest().is_some())?;
        let stamp = told.served()?;
        Some(Word { serial: stamp.serial, published: stamp.published, is_publisher: told.age.is_zero() })
    }
}

/// Why a serial newer than the one waited for does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Others, who may know better, have not been heard of.
    Early,
    /// The node that publishes the zone does not have it.
    Unpublished,
    /// The node that publishes the zone has other content under it.
    OtherContent,
    /// This server publishes the zone, and does not have it.
    NotAt(SocketAddr),
    /// What this server has under an older serial was published later.
    Superseded(SocketAddr),
}

impl Doubt {
    /// The doubt about a server that shows this serial and tells this of it, with what all servers told last.
    pub fn of(shown: Serial, word: Option<Word>, words: &[(SocketAddr, Word)]) -> Option<Doubt> {
        let publishers = words.iter().filter(|(_, word)| word.is_publisher);
        if publishers.clone().next().is_some() {
            return lacking(shown, publishers).map(Doubt::NotAt);
        }
        // Who pulls the zone may be the slower one: that others lack a version says nothing of one that tells nothing.
        let word = word.filter(|word| word.serial == shown)?;
        let is_later = |other: &Word| {
            shown.is_newer_than(other.serial) && word.published.is_some() && other.published > word.published
        };
        words.iter().find(|(_, other)| is_later(other)).map(|(addr, _)| Doubt::Superseded(*addr))
    }
}

/// One of these, where none of them has the serial or a newer one.
fn lacking<'a>(
    shown: Serial,
    mut words: impl Iterator<Item = &'a (SocketAddr, Word)> + Clone,
) -> Option<SocketAddr> {
    let is_known = words.clone().any(|(_, word)| word.serial.covers(shown));
    words.next().filter(|_| !is_known).map(|(addr, _)| *addr)
}

/// What is said behind the serial that is shown.
impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::Early => f.write_str(", and others have not been heard of"),
            Doubt::Unpublished => f.write_str(", which was never published here"),
            Doubt::OtherContent => f.write_str(" with other content than was published here"),
            Doubt::NotAt(addr) => write!(f, ", which {addr}, where the zone is published, does not have"),
            Doubt::Superseded(addr) => write!(f, ", but what {addr} has was published later"),
        }
    }
}
