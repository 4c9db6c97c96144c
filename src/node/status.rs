//! What a node can say of its zones and of the servers it watches: plain data for `/metrics`, the API and `tidemark status`.

use std::net::SocketAddr;

use serde::Serialize;

use crate::lag::Interval;
use crate::time::Utc;
use crate::time::remote::Offset;
use crate::transfer::refresh::Odd;
use crate::wire::name::Name;
use crate::zone::digest::Digest;
use crate::zone::serial::Serial;

/// Which zones are asked about: a page of them.
#[derive(Clone, Debug)]
pub struct Ask {
    /// In which order, and from where on.
    pub from: From,
    /// How many at most.
    pub limit: usize,
}

/// Where a [`Page`] begins.
#[derive(Clone, Debug)]
pub enum From {
    /// By name, with the first one behind this.
    Name(Option<Name>),
    /// Those that have changed since this change, in the order of their latest one.
    Change(u64),
    /// These, as far as they are there.
    These(Vec<Name>),
    /// Those with something wrong about them, or about a server that they have, the worst first; and stub zones.
    Troubled,
}

/// Some zones at one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Page {
    /// How the zones are.
    pub zones: Vec<ZoneStatus>,
    /// Zones that have been taken out, where changes were asked for.
    pub removed: Vec<Name>,
    /// The last zone of a page by name behind which there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Name>,
    /// The change up to which this tells: what to ask from the next time.
    pub change: u64,
}

/// Whether a zone is served, and served up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Served, and no newer version is known.
    Current,
    /// Served, and no newer version is known, but the last round of polls found no primary that would have told of one: how old it may
    /// be is the upper bound of its staleness.
    Unverified,
    /// Served, but a newer version is known to exist, or the zone file's latest content could not be published.
    Behind,
    /// Not served any more: no primary confirmed it within the SOA's EXPIRE.
    Expired,
    /// Not served yet: there never was any content.
    Failed,
}

impl State {
    /// All of them, in order.
    pub const ALL: [State; 5] =
        [State::Current, State::Unverified, State::Behind, State::Expired, State::Failed];

    /// The word used in metrics and tables.
    pub fn word(self) -> &'static str {
        match self {
            State::Current => "current",
            State::Unverified => "unverified",
            State::Behind => "behind",
            State::Expired => "expired",
            State::Failed => "failed",
        }
    }
}

/// One zone.
#[derive(Clone, Debug, Serialize)]
pub struct ZoneStatus {
    /// The zone.
    pub zone: Name,
    /// `primary`, `secondary`, or `stub` for a zone that only a cache here asks about.
    pub role: &'static str,
    /// Whether it is served.
    pub state: State,
    /// The serial served.
    pub serial: Option<Serial>,
    /// The newest serial known of, when that is not the one served.
    pub newer: Option<Serial>,
    /// Records served.
    pub records: Option<u64>,
    /// The digest of what is served.
    pub digest: Option<Digest>,
    /// When the primary published what is served.
    pub published: Option<Utc>,
    /// When this node began to serve it.
    pub applied: Option<Utc>,
    /// When it is last known to have been current: the start of a poll that found it so, less what its primary's own copy was older
    /// (secondaries).
    pub verified: Option<Utc>,
    /// When it expires, or did (secondaries).
    pub expires: Option<Utc>,
    /// How long it has been out of date; for one that expired, what it would be. `None` for a primary whose file could not be published.
    pub staleness: Option<Interval>,
    /// How far the clock of the node that publishes it is ahead of this node's, where that is known and another node.
    pub clock_offset: Option<Offset>,
    /// What is wrong now, in a sentence, and since when.
    pub problem: Option<Problem>,
    /// From where it is pulled (secondaries).
    pub primaries: Vec<SocketAddr>,
    /// The servers that are told of changes or watched.
    pub servers: Vec<ServerStatus>,
}

/// Something that keeps a zone from being up to date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What, in a sentence.
    pub what: String,
    /// Since when.
    pub since: Utc,
}

impl Problem {
    /// What primaries show that are not followed, if any do: since the first of them does.
    pub(super) fn at_odds(shown: impl Iterator<Item = (SocketAddr, Odd, Utc)>) -> Option<Problem> {
        shown
            .map(|(primary, odd, since)| Problem { what: format!("primary {primary} {odd}"), since })
            .reduce(|a, b| Problem { what: format!("{}; {}", a.what, b.what), since: a.since.min(b.since) })
    }
}

/// Another server of a zone, as seen from here.
#[derive(Clone, Debug, Serialize)]
pub struct ServerStatus {
    /// The server.
    pub server: SocketAddr,
    /// Whether it is watched at all: there is a bound on how many are.
    pub watched: bool,
    /// Whether it answered the last probe with what it serves.
    pub up: bool,
    /// Whether it answered the last probe at all.
    pub answers: bool,
    /// What is wrong with its answer to the last probe, such as a response code (`REFUSED`), why there is none, or what is wrong with its
    /// serial.
    pub fault: Option<String>,
    /// The serial it showed last.
    pub serial: Option<Serial>,
    /// How long it has been out of date.
    pub staleness: Option<Interval>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primaries_at_odds_are_one_problem_that_names_them_since_the_first() {
        let shown = [(1, 7, 39), (2, 5, 40)].map(|(last, since, theirs)| {
            let odd = match theirs {
                40 => Odd::OtherContent(Serial(40)),
                _ => Odd::Older { theirs: Serial(theirs), ours: Serial(40) },
            };
            (SocketAddr::from(([192, 0, 2, last], 53)), odd, Utc(since))
        });
        let problem = Problem::at_odds(shown.into_iter()).unwrap();
        assert_eq!(problem.since, Utc(5));
        let (older, other) = problem.what.split_once("; ").unwrap();
        assert!(older.starts_with("primary 192.0.2.1:53 shows serial 39, which is older than 40"), "{older}");
        assert!(other.starts_with("primary 192.0.2.2:53 has other content"), "{other}");
        assert_eq!(Problem::at_odds(std::iter::empty()), None);
    }
}
