//! Lag, from version history and from what was observed: how stale a server is, and how long a version took to get there.
//!
//! Staleness of a server at t is 0 when it serves the newest published version, else t less the publication time of the
//! *successor* of what it serves: the age of its oldest missing change, never a difference of serials. The propagation of
//! a version to a server runs from its publication to the moment the server first served it or a newer one.
//!
//! Every result is an [`Interval`] that contains the true value, built only from facts on this machine's monotonic clock:
//!
//! - What was seen at a server had been published by the time the answer was here.
//! - What a server knew to be current at a moment had no successor before that moment. The primary ([`Ledger::source`])
//!   knows it at any moment from [`Sighting::sent`] on, another node [`Told::age`] earlier, an ordinary server by what is left of EXPIRE,
//!   if it tells that.
//!
//! Stamps are readings of another machine's clock, and are compared with that clock ([`Clocks`]). They give the best estimate and never
//! widen or shift an interval.
//! Serials are compared by RFC 1982; versions are taken to be published in that order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::time::{Hlc, Mono, Now, Utc};
use crate::zone::clocks::Clocks;
use crate::zone::serial::Serial;
use crate::zone::stamp::{Stamp, Told};

use server::Server;
use versions::{Known, Versions};

pub use interval::{Interval, own_staleness};
pub use server::Sighting;

mod interval;
mod server;
mod versions;

/// Servers kept per zone: beyond what one zone is served by.
const MAX_SERVERS: usize = 1_024;
/// A version that nobody has shown for so long, while all who had it show older ones, is taken for gone: a backup was put back, or a serial
/// was taken back by order. Before that it may be a server behind a balancer that shows both.
const GONE: Duration = Duration::from_secs(60);

/// What is known of one zone's versions and of the servers that were seen to serve them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    versions: Versions,
    servers: BTreeMap<SocketAddr, Server>,
    /// What is served here.
    held: Option<Serial>,
    /// The clocks that stamps are readings of.
    clocks: Clocks,
    /// The number of this node, if it is one.
    own: Option<u64>,
}

impl Ledger {
    /// The number of the node that keeps it, whose clock nobody has to tell.
    pub fn kept_by(&mut self, node: u64) {
        self.own = Some(node);
    }

    /// This server is where the zone is published: what it shows is the newest version.
    pub fn source(&mut self, server: SocketAddr) {
        if let Some(server) = self.server(server) {
            server.source = true;
        }
    }

    /// A version was published here and now.
    pub fn published(&mut self, now: Now, stamp: &Stamp, previous: Option<Serial>) {
        self.holds(now.mono, stamp);
        if let Some(previous) = previous {
            self.learn(previous, now.mono, |known| known.head_at = Some(now.mono));
        }
        self.learn(stamp.serial, now.mono, |known| {
            known.head_at = Some(now.mono);
            known.follow(previous);
        });
    }

    /// A version is served here: under its serial this is the content.
    pub fn holds(&mut self, now: Mono, stamp: &Stamp) {
        self.held = Some(stamp.serial);
        self.learn(stamp.serial, now, |known| {
            known.stamped(stamp);
            known.digest = Some(stamp.digest);
        });
    }

    /// This version has been served here since then, in a former life too: it had been published by then.
    pub fn served_since(&mut self, now: Mono, serial: Serial, at: Utc) {
        self.learn(serial, now, |known| known.served = Some(at));
    }

    /// A stretch of version history: stamps that follow each other, and the first of them `after`.
    pub fn told(&mut self, now: Mono, after: Option<Serial>, stamps: &[Stamp]) {
        let mut previous = after;
        for stamp in stamps {
            self.learn(stamp.serial, now, |known| {
                known.stamped(stamp);
                known.follow(previous);
            });
            previous = Some(stamp.serial);
        }
    }

    /// Takes in what was seen at a server.
    pub fn observe(&mut self, sighting: &Sighting) {
        let Sighting { serial, sent, received, .. } = *sighting;
        let told =
            sighting.told.as_ref().filter(|told| told.served().is_some_and(|stamp| stamp.serial == serial));
        let digest = told.and_then(Told::served).map(|stamp| stamp.digest);
        // First of all: versions are kept by what servers show.
        if let Some(server) = self.server(sighting.server) {
            server.show(sighting, digest);
        }
        if let Some((served, later)) = told.and_then(|told| told.stamps.split_first()) {
            self.told(received, None, std::slice::from_ref(served));
            if sighting.asked.is_some_and(|asked| serial.is_newer_than(asked)) {
                self.told(received, sighting.asked, later);
            }
        }
        let later = told.and_then(|told| told.later).map(|later| (serial, later.get() as usize));
        if let Some(asked) = sighting.asked.filter(|asked| later.is_some() && serial.is_newer_than(*asked)) {
            self.learn(asked, received, |known| known.later = later);
        }
        told.into_iter().for_each(|told| self.clocks.hear(told, self.own, sent, received));
        let is_source = self.servers.get(&sighting.server).is_some_and(|server| server.source);
        let by_expire = || {
            let age = u64::try_from(sighting.unconfirmed?.as_micros()).ok()?;
            sent.0.checked_sub(age).map(Mono)
        };
        let head_at = match told {
            _ if is_source => Some(sent),
            Some(told) => told.current_at(sent),
            None => by_expire(),
        };
        self.learn(serial, received, |known| {
            known.digest = digest.filter(|_| is_source).or(known.digest);
            known.head_at = known.head_at.max(head_at);
            known.shown = received;
        });
        self.forget_what_is_gone(received);
    }

    /// Forgets a server.
    pub fn forget(&mut self, server: SocketAddr) {
        self.servers.remove(&server);
    }

    /// The newest version known.
    pub fn head(&self) -> Option<Serial> {
        self.versions.head().map(|known| known.serial)
    }

    /// When its primary says that a version was published.
    pub fn stamp(&self, serial: Serial) -> Option<Hlc> {
        self.versions.find(serial)?.stamp?.published
    }

    /// When a version was first known to be published; it was so earlier.
    pub fn published_by(&self, serial: Serial) -> Option<Mono> {
        self.versions.find(serial).map(|known| known.by)
    }

    /// The serial that a server last showed.
    pub fn serial(&self, server: SocketAddr) -> Option<Serial> {
        self.servers.get(&server)?.last.map(|step| step.serial)
    }

    /// When a server was first seen to show what it shows.
    pub fn shows_since(&self, server: SocketAddr) -> Option<Utc> {
        self.servers.get(&server)?.steps.back().map(|step| step.about.utc)
    }

    /// How stale at `now` is what a server last showed; `None` when it has shown nothing yet.
    pub fn staleness(&self, server: SocketAddr, now: Now) -> Option<Interval> {
        Some(self.staleness_at(server, self.serial(server)?, now))
    }

    /// Whether a server shows other content under its serial than the version has here, or where it is published; while neither is
    /// known, than any other server.
    pub fn differs(&self, server: SocketAddr) -> bool {
        let content = |seen: &Server| Some((seen.last?.serial, seen.digest?));
        let Some((serial, digest)) = self.servers.get(&server).and_then(content) else { return false };
        match self.versions.find(serial).and_then(|known| known.digest) {
            Some(known) => known != digest,
            None => {
                let mut others = self.servers.values().filter_map(content);
                others.any(|(other, theirs)| other == serial && theirs != digest)
            }
        }
    }

    /// How stale at `now` is this server, which serves this serial. Where it is cut off and nobody else knows this to be the newest version,
    /// there is no estimate; where its content is not that of the version, nothing is known.
    pub fn staleness_at(&self, server: SocketAddr, serial: Serial, now: Now) -> Interval {
        if self.differs(server) {
            return Interval::default();
        }
        let interval = self.staleness_of(serial, now);
        let unverified = self.servers.get(&server).and_then(|server| server.unverified);
        let is_unsure = unverified.is_some_and(|since| {
            self.versions.newer(serial).next().is_none() && !self.is_vouched_for(serial, since)
        });
        if is_unsure { Interval { estimate: None, ..interval } } else { interval }
    }

    /// Whether a server that was asked since then has this for the newest version and would know of a newer one. Who only believes in a
    /// secondary that may be cut off itself tells when its content was current, which bounds how stale the same is anywhere, and no more.
    fn is_vouched_for(&self, serial: Serial, since: Mono) -> bool {
        self.servers
            .values()
            .filter(|server| server.source || server.vouches)
            .any(|server| server.last.is_some_and(|last| last.serial == serial && last.sent >= since))
    }

    /// How stale at `now` is a server that serves this serial.
    pub fn staleness_of(&self, serial: Serial, now: Now) -> Interval {
        let high = self.versions.unpublished_until(serial).map(|until| now.mono.since(until));
        let Some(by) = self.versions.newer(serial).map(|known| known.by).min() else {
            return Interval::new(Duration::ZERO, high, Some(Duration::ZERO));
        };
        let successor = self.versions.successor(serial).and_then(|known| known.stamp);
        Interval::new(now.mono.since(by), high, successor.and_then(|stamp| self.clocks.since(&stamp, now)))
    }

    /// For how long at least a server lacks a version that serves this serial, by the stamps of those that are known to have followed and by
    /// when they were served here: what is left where the next one is not known.
    pub fn behind_for(&self, serial: Serial, now: Now) -> Option<Duration> {
        let since = |known: &Known| {
            let stamped = known.stamp.and_then(|stamp| self.clocks.since(&stamp, now));
            stamped.max(known.served.map(|at| now.utc.since(at)))
        };
        self.versions.newer(serial).filter_map(since).max()
    }

    /// The clocks of who publishes the zone, as far as servers tell them.
    pub fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// The version that was published next after this one, if that is known.
    pub fn successor_of(&self, serial: Serial) -> Option<Serial> {
        self.versions.successor(serial).map(|known| known.serial)
    }

    /// How many versions were published after this one; `None` when not all of them are known.
    pub fn versions_after(&self, serial: Serial) -> Option<usize> {
        let head = self.head()?;
        let later = self.versions.find(serial).and_then(|known| known.later);
        later
            .filter(|(to, _)| *to == head)
            .map(|(_, count)| count)
            .or_else(|| self.versions.counted(serial, head))
    }

    /// How long a version took from its publication until this server served it or a newer one; `None` when the server
    /// was not seen to, or nothing is known of the version.
    pub fn propagation(&self, server: SocketAddr, serial: Serial) -> Option<Interval> {
        let server = self.servers.get(&server)?;
        if server.forgotten.is_some_and(|forgotten| !serial.is_newer_than(forgotten)) {
            return None;
        }
        let step = server.steps.iter().find(|step| step.serial.covers(serial))?;
        let known = self.versions.find(serial)?;
        let low = step.not_before.map_or(Duration::ZERO, |not_before| not_before.since(known.by));
        let high = self.versions.unpublished_until_before(serial).map(|until| step.by.since(until));
        Some(Interval::new(low, high, known.stamp.and_then(|stamp| self.clocks.since(&stamp, step.about))))
    }

    /// The servers that were not seen to serve this version or a newer one, with what they showed last.
    pub fn laggards(&self, serial: Serial) -> impl Iterator<Item = (SocketAddr, Option<Serial>)> {
        self.servers
            .iter()
            .map(|(&server, seen)| (server, seen.last.map(|step| step.serial)))
            .filter(move |(_, shown)| !shown.is_some_and(|shown| shown.covers(serial)))
    }

    fn server(&mut self, server: SocketAddr) -> Option<&mut Server> {
        if self.servers.len() >= MAX_SERVERS && !self.servers.contains_key(&server) {
            return None;
        }
        Some(self.servers.entry(server).or_default())
    }

    /// Takes in a version that has been published by now, and what else is known of it.
    fn learn(&mut self, serial: Serial, by: Mono, note: impl FnOnce(&mut Known)) {
        let Ledger { versions, servers, .. } = self;
        let is_shown = |serial| {
            let mut shown = servers.values().filter_map(|server| server.last);
            shown.any(|last| last.serial == serial)
        };
        versions.learn(serial, by, is_shown, note);
    }

    /// Forgets versions that were taken back: they are newer than what anybody has.
    fn forget_what_is_gone(&mut self, now: Mono) {
        // Nearly always somebody has shown the newest one just now.
        if self.versions.head().is_none_or(|head| now < head.shown + GONE) {
            return;
        }
        let shown = self.servers.values().filter_map(|server| server.last).map(|last| last.serial);
        let newest =
            shown.chain(self.held).reduce(|one, other| if other.is_newer_than(one) { other } else { one });
        let Some(newest) = newest else { return };
        let is_gone = |known: &Known| known.serial.is_newer_than(newest) && now >= known.shown + GONE;
        if self.versions.head().is_none_or(|head| !is_gone(head)) {
            return;
        }
        self.versions.retain(|known| !is_gone(known));
        for server in self.servers.values_mut() {
            server.steps.retain(|step| !step.serial.is_newer_than(newest));
        }
    }
}

#[cfg(test)]
mod tests;
