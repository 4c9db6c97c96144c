//! Whether a serial newer than the one waited for is that of a later version, or is left from another history: a primary that has lost
//! its data may begin again below what its secondaries serve, which they then keep.
//!
//! The node that publishes the zone knows, and is asked where the wait is one for what it published ([`Published`]). Else those among the
//! servers that tell stamps are believed ([`Word`]): one that publishes the zone before all others. Where that one does not answer any
//! more, a version is a later one if its stamp says so, or if its server showed an older one before.

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

/// A server that has told something.
#[derive(Clone, Copy, Debug)]
pub struct Witness {
    /// Which one.
    pub addr: SocketAddr,
    /// What it told last.
    pub word: Word,
    /// Whether it does not answer when it is asked about what others show.
    pub is_silent: bool,
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
    pub fn of(shown: Serial, word: Option<Word>, has_followed: bool, witnesses: &[Witness]) -> Option<Doubt> {
        let word = word.filter(|word| word.serial == shown);
        let published = word.and_then(|word| word.published);
        // Its stamp is the later one, or it came from an older version to this.
        let is_known = |told: &Word| has_followed || (published.is_some() && told.published < published);
        let publishers = witnesses.iter().filter(|it| it.word.is_publisher);
        let publishers = publishers.filter(|it| !it.is_silent || !is_known(&it.word));
        if publishers.clone().next().is_some() {
            return lacking(shown, publishers).map(Doubt::NotAt);
        }
        // Who pulls the zone may be the slower one: that others lack a version says nothing of one that tells nothing.
        published?;
        let is_later = |other: &Word| shown.is_newer_than(other.serial) && other.published > published;
        witnesses.iter().find(|it| is_later(&it.word)).map(|it| Doubt::Superseded(it.addr))
    }
}

/// One of these, where none of them has the serial or a newer one.
fn lacking<'a>(
    shown: Serial,
    mut publishers: impl Iterator<Item = &'a Witness> + Clone,
) -> Option<SocketAddr> {
    let is_known = publishers.clone().any(|it| it.word.serial.covers(shown));
    publishers.next().filter(|_| !is_known).map(|it| it.addr)
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
