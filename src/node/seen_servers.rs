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

    /// How a server is. `head`: the version served here, when it is known to be the newest, and a moment at which it was so.
    pub(super) fn server(&self, now: Now, server: SocketAddr, head: Option<(Serial, Mono)>) -> ServerStatus {
        let shown = self.shown.get(&server).copied().unwrap_or_default();
        let up = shown == Shown::Zone;
        let serial = self.ledger.serial(server);
        let mut staleness = self.ledger.staleness(server, now);
        // Who has it lacks nothing that was published before that moment, and is known to be current whatever it knows itself.
        let has_head = |(head, _): &(Serial, Mono)| serial.is_some_and(|serial| serial.covers(*head));
        if let (Some((_, at)), Some(interval)) = (head.filter(has_head).filter(|_| up), staleness.as_mut())
            && interval.low.is_zero()
        {
            let high = now.mono.since(at);
            interval.high = Some(interval.high.map_or(high, |known| known.min(high)));
            interval.estimate = Some(Duration::ZERO);
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
