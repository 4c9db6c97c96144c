//! Publication stamps: who published a serial when, and with what content; and how they travel from node to node, in EDNS
//! option 65002 ([`crate::wire::edns::STAMP`]).
//!
//! ```text
//! request:  nothing, or the serial u32 that the asker has
//! response: unverified u1 (0) | belief u1 | age u30, or unverified u1 (1) | age u31
//!           | clock u64 | error u32
//!           | stamp of the version served | stamps of the versions that followed the asker's, oldest first
//!           | later u32, where versions followed the asker's
//! notify:   as a response, but that the versions before the one announced follow it, newest first; clock and age say nothing
//! stamp:    serial u32 | publish time u64 (HLC, 0: unknown) | writer u64 (0: unknown) | digest, 32 bytes
//! ```
//!
//! Numbers are big-endian. `age`: how many milliseconds ago the answering node's content was known to be current, rounded
//! up; 0 at the primary, and all ones behind `unverified` where it is not known or longer ago. `unverified`: the node's own poll found nobody,
//! or a primary that said the same of itself. `belief`: it is verified by the word of a secondary that knows no stamps and may be cut off
//! itself, from which the node or one above it pulls: that says nothing of other servers. `clock`: what the clock of the node that published the
//! version served shows, in microseconds since 1970 (0: unknown), as the answering node knows it: its own at the primary, else what its
//! primary told, and wrong by `error` microseconds at most.
//! `later`: how many versions followed the asker's, of which the stamps may be the first few.
//! Servers that do not know the option leave it out, and clients must expect that (RFC 6891 6.1.2).

use std::num::NonZeroU32;
use std::time::Duration;

use crate::time::remote::RemoteClock;
use crate::time::{Hlc, Mono, Utc};

use super::digest::Digest;
use super::serial::Serial;

/// The bit that says so of a node.
const UNVERIFIED: u32 = 1 << 31;
/// The bit that says of a node that is verified that it is so by belief. Every age of these is below it.
const BELIEF: u32 = 1 << 30;
/// An age that is not known.
const UNKNOWN: u32 = UNVERIFIED - 1;
/// Stamps in one option at most: what a datagram of 1232 bytes holds beside a SOA.
pub const MAX_IN_DATAGRAM: usize = 12;
/// Stamps in one option at most over TCP.
pub const MAX_IN_STREAM: usize = 512;

/// When, by whom and with what content a serial was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Stamp {
    /// The SOA serial.
    pub serial: Serial,
    /// When the primary published it; `None` when it came from a server that does not say.
    #[serde(serialize_with = "as_utc")]
    pub published: Option<Hlc>,
    /// The digest of its content.
    pub digest: Digest,
    /// The node that published it; 0 when unknown. As JSON a string: numbers of nodes are beyond 2^53.
    #[serde(serialize_with = "as_text")]
    pub writer: u64,
}

fn as_utc<S: serde::Serializer>(published: &Option<Hlc>, serializer: S) -> Result<S::Ok, S::Error> {
    match published {
        Some(hlc) => serializer.serialize_some(&hlc.utc()),
        None => serializer.serialize_none(),
    }
}

fn as_text<S: serde::Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

impl Stamp {
    /// Bytes of a stamp.
    pub const LENGTH: usize = 4 + 8 + 8 + 32;

    /// Appends the stamp.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.serial.0.to_be_bytes());
        out.extend_from_slice(&self.published.unwrap_or_default().0.to_be_bytes());
        out.extend_from_slice(&self.writer.to_be_bytes());
        out.extend_from_slice(&self.digest.to_bytes());
    }

    /// Takes a stamp from the start of `rest`.
    pub fn read(rest: &mut &[u8]) -> Option<Stamp> {
        let (bytes, behind) = rest.split_first_chunk::<{ Stamp::LENGTH }>()?;
        *rest = behind;
        let (serial, bytes) = bytes.split_first_chunk()?;
        let (published, bytes) = bytes.split_first_chunk()?;
        let (writer, bytes) = bytes.split_first_chunk()?;
        Some(Stamp {
            serial: Serial(u32::from_be_bytes(*serial)),
            published: Some(Hlc(u64::from_be_bytes(*published))).filter(|hlc| hlc.0 != 0),
            writer: u64::from_be_bytes(*writer),
            digest: Digest::from_bytes(*bytes.first_chunk()?),
        })
    }
}

/// The response form of the option.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// How long ago the answering node's content was known to be current.
    pub age: Duration,
    /// Whether the node would know of a newer version: its last poll was answered by a server of which the same is true.
    pub is_verified: bool,
    /// Whether it is verified by belief in a secondary that knows no stamps ([`Told::vouches`]).
    pub is_belief: bool,
    /// What the clock of the node shows that published the version served, and how wrong that may be; `None` where the node does not know.
    pub clock: Option<(Utc, Duration)>,
    /// The version it serves, then those that followed the asker's.
    pub stamps: Vec<Stamp>,
    /// How many versions followed the asker's, up to the one it serves.
    pub later: Option<NonZeroU32>,
}

impl Told {
    /// Bytes of the option before its stamps.
    pub const HEAD: usize = 4 + 8 + 4;
    /// The most bytes behind its stamps.
    pub const TAIL: usize = 4;

    /// The option's value.
    pub fn write(&self) -> Vec<u8> {
        let age = u32::try_from(self.age.as_micros().div_ceil(1_000)).unwrap_or(UNKNOWN).min(UNKNOWN);
        let flags = match (self.is_verified && age < BELIEF, self.is_belief) {
            (false, _) => UNVERIFIED,
            (true, true) => BELIEF,
            (true, false) => 0,
        };
        let (clock, error) = self.clock.unwrap_or_default();
        let error = u32::try_from(error.as_micros()).ok();
        let clock = error.map_or(0, |_| clock.0);
        let mut value = Vec::with_capacity(Told::HEAD + self.stamps.len() * Stamp::LENGTH + Told::TAIL);
        value.extend_from_slice(&(flags | age).to_be_bytes());
        value.extend_from_slice(&clock.to_be_bytes());
        value.extend_from_slice(&error.unwrap_or_default().to_be_bytes());
        self.stamps.iter().for_each(|stamp| stamp.write(&mut value));
        self.later.iter().for_each(|later| value.extend_from_slice(&later.get().to_be_bytes()));
        value
    }

    /// Reads a value; `None` when it is not one.
    pub fn read(value: &[u8]) -> Option<Told> {
        let (age, rest) = value.split_first_chunk()?;
        let (clock, rest) = rest.split_first_chunk()?;
        let (error, mut rest) = rest.split_first_chunk()?;
        let mut stamps = Vec::new();
        while rest.len() > Told::TAIL {
            stamps.push(Stamp::read(&mut rest)?);
        }
        let later = match rest {
            [] => None,
            _ => NonZeroU32::new(u32::from_be_bytes(rest.try_into().ok()?)),
        };
        let age = u32::from_be_bytes(*age);
        let is_verified = age & UNVERIFIED == 0;
        let within = if is_verified { BELIEF - 1 } else { UNKNOWN };
        let error = Duration::from_micros(u32::from_be_bytes(*error).into());
        let clock = Some(Utc(u64::from_be_bytes(*clock))).filter(|clock| clock.0 != 0);
        Some(Told {
            age: Duration::from_millis(u64::from(age & within)),
            is_verified,
            is_belief: is_verified && age & BELIEF != 0,
            clock: clock.map(|clock| (clock, error)),
            stamps,
            later,
        })
    }

    /// Whether its word that there is nothing newer holds for other servers too.
    pub fn vouches(&self) -> bool {
        self.is_verified && !self.is_belief
    }

    /// That clock, by what was told in answer to a question.
    pub fn clock(&self, sent: Mono, received: Mono) -> Option<RemoteClock> {
        let (showed, error) = self.clock?;
        Some(RemoteClock::read(sent, received, showed, error))
    }

    /// The age, where it is known.
    pub fn known_age(&self) -> Option<Duration> {
        // A full field: not within memory.
        Some(self.age).filter(|age| age.as_millis() < u128::from(UNKNOWN))
    }

    /// A moment at which what the node serves was current, when it told this in answer to a question that left when `asked`;
    /// `None` when nothing is known.
    pub fn current_at(&self, asked: Mono) -> Option<Mono> {
        let age = u64::try_from(self.known_age()?.as_micros()).ok()?;
        // A moment before this machine's clock began has no name here, and so bounds nothing.
        asked.0.checked_sub(age).map(Mono)
    }

    /// The stamp of the version served by the node that told.
    pub fn served(&self) -> Option<&Stamp> {
        self.stamps.first()
    }

    /// The stamp of the version that followed the one the asker has.
    pub fn successor(&self) -> Option<&Stamp> {
        self.stamps.get(1)
    }
}

/// The request form of the option.
pub fn ask(have: Option<Serial>) -> Vec<u8> {
    have.map(|serial| serial.0.to_be_bytes().to_vec()).unwrap_or_default()
}

/// Reads the request form: the serial that the asker has, if it says.
pub fn asked(value: &[u8]) -> Option<Serial> {
    value.first_chunk().map(|bytes| Serial(u32::from_be_bytes(*bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_read_back() {
        let stamp = Stamp {
            serial: Serial(7),
            published: Some(Hlc(9)),
            digest: Digest::from_bytes([3; 32]),
            writer: 5,
        };
        let unknown = Stamp { published: None, serial: Serial(8), ..stamp };
        for is_verified in [true, false] {
            let clock = is_verified.then_some((Utc(11), Duration::from_micros(13)));
            let age = Duration::from_millis(1_500);
            let later = NonZeroU32::new(70_000).filter(|_| is_verified);
            let told =
                Told { age, is_verified, is_belief: false, clock, stamps: vec![stamp, unknown], later };
            let value = told.write();
            assert_eq!(Told::read(&value), Some(told));
            assert_eq!(Told::read(&value[..value.len() - 1]), None);
        }
        assert_eq!(Told::read(&[]), None);
        // Who knows it that badly knows nothing.
        let told = Told { clock: Some((Utc(1), Duration::from_secs(5_000))), ..Told::default() };
        assert_eq!(Told::read(&told.write()), Some(Told { clock: None, ..told }));
        // Less than a millisecond is none but at the primary, and what does not fit says nothing.
        for (age, asked, current) in [
            (0, 9_000, Some(9_000)),
            (1, 9_000, Some(8_000)),
            (5_001, 5_999, None),
            (u64::MAX, u64::MAX, None),
        ] {
            let age = Duration::from_micros(age);
            let told = Told { age, is_verified: true, stamps: vec![stamp], ..Told::default() };
            assert_eq!(Told::read(&told.write()).unwrap().current_at(Mono(asked)), current.map(Mono));
        }
        assert_eq!(asked(&ask(Some(Serial(3)))), Some(Serial(3)));
        assert_eq!(asked(&ask(None)), None);
    }

    #[test]
    fn a_belief_is_a_bit_beside_the_age() {
        let first = |told: &Told| u32::from_be_bytes(*told.write().first_chunk().unwrap());
        let age = Duration::from_millis(0x1234);
        let verified = Told { age, is_verified: true, ..Told::default() };
        let belief = Told { is_belief: true, ..verified.clone() };
        assert_eq!((first(&verified), first(&belief)), (0x1234, 0x4000_1234));
        for told in [&verified, &belief] {
            let read = Told::read(&told.write());
            assert_eq!(read.as_ref(), Some(told));
            assert_eq!(read.map(|read| read.vouches()), Some(!told.is_belief));
        }
        // Who is not verified believes nothing, and its age has a bit more.
        let weeks = Duration::from_millis(0x4000_0005);
        let unverified = Told { age: weeks, is_verified: false, is_belief: true, ..Told::default() };
        assert_eq!(first(&unverified), 0xc000_0005);
        let read = Told::read(&unverified.write()).unwrap();
        assert_eq!((read.age, read.is_verified, read.is_belief), (weeks, false, false));
        // An age that has no room beside the bit is no verified one.
        for is_belief in [false, true] {
            let told = Told { age: weeks, is_verified: true, is_belief, ..Told::default() };
            assert_eq!(Told::read(&told.write()), Some(read.clone()));
        }
    }
}
