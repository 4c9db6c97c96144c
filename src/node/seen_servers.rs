//! What a cache knows of a zone that it asks given servers about: which version they show, and how far behind it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::lag::{Interval, Ledger, Sighting};
use crate::probe::observation::{Observation, Reason};
use crate::probe::observe;
use crate::publish::history::History;
use crate::time::{Hlc, Mono, Now};
use crate::wire::name::Name;
use crate::zone::serial::Serial;

use super::status::{ServerStatus, State, ZoneStatus};

/// The servers of a zone as they were seen: of a stub zone, or of one that is served here.
#[derive(Debug, Default)]
pub(super) struct SeenServers {
    pub(super) ledger: Ledger,
    /// What each server's last probe came to.
    pub(super) shown: BTreeMap<SocketAddr, Shown>,
}

/// The version that is served here, while it is known to be the newest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) serial: Serial,
    /// A moment at which it was so.
    pub(super) current_at: Mono,
    /// Whether it still is, by more than belief.
    pub(super) vouches: bool,
}

/// What a probe of a server came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Shown {
    /// It showed what it serves.
    Zone,
    /// It did not, for this reason.
    Fault(Reason),
    /// It has not come to anything yet.
    #[default]
    Nothing,
    /// It is not asked: there are too many of them.
    Unwatched,
}

impl Shown {
    pub(super) fn of(event: &observe::Event) -> Shown {
        event.fault().map_or(Shown::Zone, Shown::Fault)
    }

    /// The same without why there is no answer: of a host that is away, routers and the silence of the host tell in turns.
    pub(super) fn kind(self) -> Shown {
        match self {
            Shown::Fault(reason) if !reason.is_answer() => Shown::Fault(Reason::Silence),
            other => other,
        }
    }

    /// What is wrong, if anything is.
    pub(super) fn fault(self) -> Option<Reason> {
        match self {
            Shown::Fault(reason) => Some(reason),
            Shown::Zone | Shown::Nothing | Shown::Unwatched => None,
        }
    }
}

/// What an observation says to a ledger of lag; nothing where no serial was shown.
pub fn sighting(seen: &Observation) -> Option<Sighting> {
    Some(Sighting {
        server: seen.server,
        serial: seen.serial?,
        sent: seen.sent,
        received: seen.received,
        sent_utc: seen.sent_utc,
        asked: seen.asked,
        unconfirmed: seen.unconfirmed(),
        told: seen.told.clone(),
    })
}

impl SeenServers {
    /// Takes in what a server showed; its serial.
    pub(super) fn take_in(&mut self, seen: &Observation) -> Option<Serial> {
        let sighting = sighting(seen)?;
        self.ledger.observe(&sighting);
        Some(sighting.serial)
    }

    /// Takes in of the zone's history what followed a version that a server shows, where so much was published since that it is not in mind;
    /// what followed first of all that is left where this version itself is forgotten.
    pub(super) fn look_up(&mut self, now: Now, serial: Serial, history: &History) {
        let is_behind = self.ledger.head().is_some_and(|head| head.is_newer_than(serial));
        if !is_behind || self.ledger.successor_of(serial).is_some() {
            return;
        }
        let next = history.after(serial).and_then(|mut after| after.next());
        let next = next.filter(|next| next.serial.is_newer_than(serial));
        let oldest = || history.stamps().find(|stamp| stamp.serial.is_newer_than(serial));
        let follows = next.map(|_| serial);
        if let Some(stamp) = next.or_else(oldest) {
            self.ledger.told(now.mono, follows, std::slice::from_ref(stamp));
        }
    }

    /// How many of them are not watched.
    pub(super) fn unwatched(&self) -> usize {
        self.shown.values().filter(|shown| **shown == Shown::Unwatched).count()
    }

    /// How a server is.
    pub(super) fn server(&self, now: Now, server: SocketAddr, head: Option<Head>) -> ServerStatus {
        let shown = self.shown.get(&server).copied().unwrap_or_default();
        let up = shown == Shown::Zone;
        let serial = self.ledger.serial(server);
        let mut staleness = self.ledger.staleness(server, now);
        // Who has it lacks nothing that was published before that moment, and is known to be current, whatever it knows itself, by who knows it.
        let has_head = |head: &Head| serial.is_some_and(|serial| serial.covers(head.serial));
        if let (Some(head), Some(interval)) = (head.filter(has_head).filter(|_| up), staleness.as_mut())
            && interval.low.is_zero()
        {
            let high = now.mono.since(head.current_at);
            interval.high = Some(interval.high.map_or(high, |known| known.min(high)));
            interval.estimate = match head.vouches {
                true => Some(Duration::ZERO),
                false => interval.estimate.map(|estimate| estimate.min(high)),
            };
        }
        // Of one that does not answer nobody knows whether it is still current.
        if let Some(interval) = staleness.as_mut().filter(|interval| !up && interval.low.is_zero()) {
            interval.estimate = None;
        }
        // That it lacks a version is known of the moment when it was asked. It may have followed since, at any moment.
        if let Some(interval) = staleness.as_mut().filter(|interval| !interval.low.is_zero()) {
            let known = || serial.and_then(|serial| self.ledger.behind_for(serial, now)).unwrap_or_default();
            let longest = interval.estimate.unwrap_or_else(|| interval.low.max(known()));
            interval.estimate = Some(interval.high.map_or(longest, |high| longest.min(high)));
            interval.low = Duration::ZERO;
        }
        let fault = shown.fault();
        ServerStatus {
            server,
            watched: shown != Shown::Unwatched,
            up,
            answers: up || fault.is_some_and(Reason::is_answer),
            fault: fault.map(|reason| reason.to_string()),
            serial,
            staleness,
        }
    }

    /// A stub zone: its serial is the newest that a server shows, its staleness that of the most outdated server, because any
    /// of them may be asked.
    pub(super) fn stub(&self, now: Now, zone: &Name, servers: &[SocketAddr]) -> ZoneStatus {
        let servers: Vec<ServerStatus> =
            servers.iter().map(|server| self.server(now, *server, None)).collect();
        let serial = servers
            .iter()
            .filter_map(|server| server.serial)
            .reduce(|a, b| if b.is_newer_than(a) { b } else { a });
        let published = serial.and_then(|serial| self.ledger.stamp(serial));
        let up = servers.iter().filter(|server| server.up);
        let longest = up.filter_map(|server| server.staleness).reduce(Interval::longer);
        let state = match (longest.map(|longest| longest.estimate), serial) {
            (Some(Some(Duration::ZERO)), _) => State::Current,
            (Some(Some(_)), _) => State::Behind,
            // They do not know themselves, or nobody answers.
            (Some(None), _) | (None, Some(_)) => State::Unverified,
            (None, None) => State::Failed,
        };
        ZoneStatus {
            zone: zone.clone(),
            role: "stub",
            state,
            serial,
            newer: None,
            records: None,
            digest: None,
            published: published.map(Hlc::utc),
            applied: None,
            verified: None,
            expires: None,
            staleness: servers.iter().filter_map(|server| server.staleness).reduce(Interval::longer),
            clock_offset: self.ledger.clocks().offset(now),
            problem: None,
            primaries: Vec::new(),
            servers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Utc;
    use crate::zone::digest::Digest;
    use crate::zone::stamp::{Stamp, Told};

    fn at(second: u64) -> Now {
        Now { mono: Mono(second * 1_000_000), utc: Utc((1_700_000_000 + second) * 1_000_000) }
    }

    fn server(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 53))
    }

    fn example() -> Name {
        "example.".parse().unwrap()
    }

    /// Of two servers with the same content the first one is cut off since second 10; what the other one tells is its word.
    fn seen(word: &Told) -> SeenServers {
        let digest = Digest::from_bytes([1; 32]);
        let stamps = vec![Stamp { serial: Serial(7), published: None, digest, writer: 1 }];
        let cut_off = Told { age: Duration::from_secs(90), stamps, ..Told::default() };
        let other = Told { stamps: cut_off.stamps.clone(), ..word.clone() };
        let mut seen = SeenServers::default();
        for (number, told) in [(1, cut_off), (2, other)] {
            let plain = Observation::plain(server(number), example(), Some(Serial(7)), at(100));
            seen.take_in(&Observation { told: Some(told), ..plain });
            seen.shown.insert(server(number), Shown::Zone);
        }
        seen
    }

    fn word(is_verified: bool, is_belief: bool) -> Told {
        Told { age: Duration::from_secs(60), is_verified, is_belief, ..Told::default() }
    }

    #[test]
    fn a_stub_zone_is_current_by_the_word_of_who_knows_alone() {
        for (word, state) in [
            (word(true, false), State::Current),
            (word(true, true), State::Unverified),
            (word(false, false), State::Unverified),
        ] {
            let stub = seen(&word).stub(at(101), &example(), &[server(1), server(2)]);
            assert_eq!(stub.state, state, "{word:?}");
            // When the content was current is no belief.
            let high = stub.servers.iter().map(|server| server.staleness.unwrap().high);
            assert!(high.eq([Some(Duration::from_secs(61)); 2]), "{stub:?}");
            // Alone it is what it says.
            let alone = seen(&word).stub(at(101), &example(), &[server(2)]);
            assert_eq!(alone.state == State::Current, word.is_verified);
        }
    }

    #[test]
    fn a_node_that_believes_calls_no_server_current_that_does_not_know_it() {
        let seen = seen(&word(true, true));
        for vouches in [true, false] {
            let head = Head { serial: Serial(7), current_at: at(95).mono, vouches };
            let told = |number| seen.server(at(101), server(number), Some(head)).staleness.unwrap();
            assert_eq!(told(1).estimate, vouches.then_some(Duration::ZERO));
            assert_eq!(told(2).estimate, Some(Duration::ZERO));
            assert_eq!([told(1).high, told(2).high], [Some(Duration::from_secs(6)); 2]);
        }
    }
}
