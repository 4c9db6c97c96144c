//! What is asked of a server from outside, and what is seen.

use std::net::SocketAddr;
use std::time::Duration;

use crate::ask::exchange::Failure;
use crate::ask::support::Omission;
use crate::publish::expire;
#[cfg(test)]
use crate::time::Now;
use crate::time::{Mono, Utc};
use crate::wire::message::Record;
use crate::wire::name::Name;
use crate::wire::rtype::{Rcode, Rtype};
use crate::zone::digest::Digest;
use crate::zone::serial::Serial;
use crate::zone::stamp::Told;

/// What is asked of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The server.
    pub server: SocketAddr,
    /// The zone that the question is about.
    pub zone: Name,
    /// QNAME, at or below the zone's apex.
    pub name: Name,
    /// QTYPE.
    pub rtype: Rtype,
    /// Whether the server is asked as a cache: RD is set, and its answer need not be authoritative.
    pub recursive: bool,
    /// The serial whose successors' stamps are asked for.
    pub have: Option<Serial>,
}

impl Ask {
    /// Asks an authoritative server for the SOA record of a zone.
    pub fn soa(server: SocketAddr, zone: Name) -> Ask {
        Ask { server, name: zone.clone(), zone, rtype: Rtype::SOA, recursive: false, have: None }
    }
}

/// What a server showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The server.
    pub server: SocketAddr,
    /// The zone that was asked about.
    pub zone: Name,
    /// When the question left that was answered.
    pub sent: Mono,
    /// When the answer was here.
    pub received: Mono,
    /// When the question left, in civil time.
    pub sent_utc: Utc,
    /// The serial whose successors were asked for.
    pub asked: Option<Serial>,
    /// The serial that the answer shows: of the SOA record where it was asked for, else by ZONEVERSION (RFC 9660).
    pub serial: Option<Serial>,
    /// The stamps, from a server that has some.
    pub told: Option<Told>,
    /// What it means where options are missing.
    pub omission: Omission,
    /// Seconds until the zone expires at the server (RFC 7314).
    pub expire: Option<u32>,
    /// EXPIRE of the SOA record in the answer, in seconds.
    pub soa_expire: Option<u32>,
    /// For how many seconds an answer that denies may be believed (RFC 2308), from the SOA record of the answer.
    pub negative_ttl: Option<u32>,
    /// The server's identifier.
    pub nsid: Option<Vec<u8>>,
    /// Whether AA was set.
    pub authoritative: bool,
    /// The response code: NOERROR, or NXDOMAIN for a name below the apex.
    pub rcode: Rcode,
    /// The records that were asked for, if there are any.
    pub records: Vec<Record>,
    /// Where the name is an alias of another one of which the answer says nothing more: that name.
    pub alias: Option<Name>,
    /// The longest TTL of these records and of the aliases that led to them, in seconds.
    pub ttl: Option<u32>,
}

impl Observation {
    /// What a server shows that tells nothing beyond its serial.
    #[cfg(test)]
    pub fn plain(server: SocketAddr, zone: Name, serial: Option<Serial>, at: Now) -> Observation {
        Observation {
            server,
            zone,
            sent: at.mono,
            received: at.mono,
            sent_utc: at.utc,
            asked: None,
            serial,
            told: None,
            omission: Omission::Absent,
            expire: None,
            soa_expire: None,
            negative_ttl: None,
            nsid: None,
            authoritative: true,
            rcode: Rcode::NOERROR,
            records: Vec::new(),
            alias: None,
            ttl: None,
        }
    }

    /// The digest of what the server serves, if it tells it.
    pub fn digest(&self) -> Option<Digest> {
        let stamp = self.told.as_ref()?.served()?;
        Some(stamp.digest).filter(|_| self.serial == Some(stamp.serial))
    }

    /// How long ago the server knew its content to be current, by its own word: from the stamp, in milliseconds, or else
    /// from EXPIRE, in whole seconds (it is SOA.EXPIRE less the time since the last good refresh, RFC 7314).
    pub fn verified_age(&self) -> Option<Duration> {
        if let Some(told) = &self.told {
            return told.known_age();
        }
        self.used_of_expire()
    }

    /// For how long at most what it shows may not have been current, by EXPIRE, of a server that tells no stamps.
    pub fn unconfirmed(&self) -> Option<Duration> {
        self.used_of_expire().filter(|_| self.told.is_none()).map(|used| used + expire::SLACK)
    }

    /// How much of EXPIRE has passed since the server last refreshed the zone; nothing at a primary.
    fn used_of_expire(&self) -> Option<Duration> {
        let left = self.expire?;
        Some(Duration::from_secs(self.soa_expire?.saturating_sub(left).into()))
    }
}

/// What is wrong with an answer, or with there being none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// A response code that says nothing about the zone's content.
    #[error("{0}")]
    Rcode(Rcode),
    /// AA is not set: the server does not serve the zone itself, or has let it expire.
    #[error("not authoritative")]
    NotAuthoritative,
    /// It refers to the servers of a delegation, and caches keep that for so many seconds.
    #[error("refers to the servers of a delegation")]
    Delegated(u32),
    /// There is no SOA record of the zone in the answer.
    #[error("no SOA record")]
    NoSoa,
    /// It shows other content under its serial than the version has.
    #[error("other content under the same serial")]
    OtherContent,
    /// The answer was cut over TCP too.
    #[error("answer cut short")]
    Truncated,
    /// The answer breaks the format.
    #[error("malformed answer")]
    Malformed,
    /// The question did not get there.
    #[error("{0}")]
    Network(Failure),
    /// No answer came.
    #[error("no answer")]
    Silence,
}

impl Reason {
    /// Whether the server said something.
    pub fn is_answer(self) -> bool {
        !matches!(self, Reason::Network(_) | Reason::Silence)
    }
}
