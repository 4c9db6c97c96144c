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

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::time::{Hlc, Mono, Now, Utc};
use crate::zone::clocks::Clocks;
use crate::zone::digest::Digest;
use crate::zone::serial::Serial;
use crate::zone::stamp::{Stamp, Told};

pub use interval::{Interval, own_staleness};

mod interval;

/// Versions kept per zone. The oldest go first, but for those that servers show and those that followed these: since when a server is
/// behind, and by how many versions, stays known.
const MAX_VERSIONS: usize = 1_024;
/// Servers kept per zone: beyond what one zone is served by.
const MAX_SERVERS: usize = 1_024;
/// Changes kept per server, for [`Ledger::propagation`].
const MAX_STEPS: usize = 64;
/// A version that nobody has shown for so long, while all who had it show older ones, is taken for gone: a backup was put back, or a serial
/// was taken back by order. Before that it may be a server behind a balancer that shows both.
const GONE: Duration = Duration::from_secs(60);

/// What was seen at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The server.
    pub server: SocketAddr,
    /// The serial it showed.
    pub serial: Serial,
    /// When it was asked.
    pub sent: Mono,
    /// When its answer was here.
    pub received: Mono,
    /// When it was asked, in civil time.
    pub sent_utc: Utc,
    /// The serial whose successors it was asked for.
    pub asked: Option<Serial>,
    /// What it told of versions.
    pub told: Option<Told>,
    /// For how long at most what it shows may not have been current, by EXPIRE (RFC 7314), of one that tells nothing better.
    pub unconfirmed: Option<Duration>,
}

/// What is known of one zone's versions and of the servers that were seen to serve them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// By serial, oldest first.
    versions: VecDeque<Known>,
    servers: BTreeMap<SocketAddr, Server>,
    /// What is served here.
    held: Option<Serial>,
    /// The clocks that stamps are readings of.
    clocks: Clocks,
    /// The number of this node, if it is one.
    own: Option<u64>,
}

/// One version.
#[derive(Clone, Copy, Debug)]
struct Known {
    serial: Serial,
    /// It had been published by then.
    by: Mono,
    /// It was still the newest version then.
    head_at: Option<Mono>,
    /// When one was asked last that would have known of a newer one.
    sure_at: Option<Mono>,
    /// When its primary says that it published it.
    stamp: Option<Stamp>,
    /// The version before it, of those that are kept...
    follows: Option<Serial>,
    /// ...and how many were published between the two.
    skipped: usize,
    /// A newer version, and how many there are from this one to that, as somebody told.
    later: Option<(Serial, usize)>,
    /// Its content, by who serves it here or publishes it.
    digest: Option<Digest>,
    /// When a server showed it last, or it was heard of first.
    shown: Mono,
}

#[derive(Clone, Debug, Default)]
struct Server {
    source: bool,
    /// Since when it says that it would not know of a newer version than it serves.
    unverified: Option<Mono>,
    last: Option<Step>,
    /// The content of what it showed last, if it tells.
    digest: Option<Digest>,
    /// Each change of the serial that it showed, oldest first.
    steps: VecDeque<Step>,
    /// The last serial whose step is no longer kept.
    forgotten: Option<Serial>,
}

/// A server was first seen at a serial.
#[derive(Clone, Copy, Debug)]
struct Step {
    serial: Serial,
    /// The last question before it whose answer still showed another serial.
    not_before: Option<Mono>,
    by: Mono,
    /// Halfway between the question and its answer: the best guess of when the server answered.
    about: Now,
    /// When the last question left that it was shown in answer to.
    sent: Mono,
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
            known.stamp = Some(*stamp).filter(|stamp| stamp.published.is_some()).or(known.stamp);
            known.digest = Some(stamp.digest);
        });
    }

    /// A stretch of version history: stamps that follow each other, and the first of them `after`.
    pub fn told(&mut self, now: Mono, after: Option<Serial>, stamps: &[Stamp]) {
        let mut previous = after;
        for stamp in stamps {
            self.learn(stamp.serial, now, |known| {
                known.stamp = Some(*stamp).filter(|stamp| stamp.published.is_some()).or(known.stamp);
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
        let is_sure = is_source || told.is_some_and(|told| told.is_verified);
        let sure_at = is_sure.then_some(sent);
        let digest = told.and_then(Told::served).map(|stamp| stamp.digest);
        self.learn(serial, received, |known| {
            known.digest = digest.filter(|_| is_source).or(known.digest);
            known.head_at = known.head_at.max(head_at);
            known.sure_at = known.sure_at.max(sure_at);
            known.shown = received;
        });
        if let Some(server) = self.server(sighting.server) {
            server.show(sighting, digest);
        }
        self.forget_what_is_gone(received);
    }

    /// Forgets a server.
    pub fn forget(&mut self, server: SocketAddr) {
        self.servers.remove(&server);
    }

    /// The newest version known.
    pub fn head(&self) -> Option<Serial> {
        self.versions.back().map(|known| known.serial)
    }

    /// When its primary says that a version was published.
    pub fn stamp(&self, serial: Serial) -> Option<Hlc> {
        self.find(serial)?.stamp?.published
    }

    /// When a version was first known to be published; it was so earlier.
    pub fn published_by(&self, serial: Serial) -> Option<Mono> {
        self.find(serial).map(|known| known.by)
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
        match self.find(serial).and_then(|known| known.digest) {
            Some(known) => known != digest,
            None => {
                let mut others = self.servers.values().filter_map(content);
                others.any(|(other, theirs)| other == serial && theirs != digest)
            }
        }
    }

    /// How stale at `now` is this server, which serves this serial. Where it is cut off and nobody else has shown this to be the newest
    /// version since, there is no estimate; where its content is not that of the version, nothing is known.
    pub fn staleness_at(&self, server: SocketAddr, serial: Serial, now: Now) -> Interval {
        if self.differs(server) {
            return Interval::default();
        }
        let interval = self.staleness_of(serial, now);
        let unverified = self.servers.get(&server).and_then(|server| server.unverified);
        let is_unsure = unverified.is_some_and(|since| {
            self.newer(serial).next().is_none()
                && self.find(serial).is_none_or(|known| known.sure_at < Some(since))
        });
        if is_unsure { Interval { estimate: None, ..interval } } else { interval }
    }

    /// How stale at `now` is a server that serves this serial.
    pub fn staleness_of(&self, serial: Serial, now: Now) -> Interval {
        let high = self.unpublished_until(serial).map(|until| now.mono.since(until));
        let Some(by) = self.newer(serial).map(|known| known.by).min() else {
            return Interval::new(Duration::ZERO, high, Some(Duration::ZERO));
        };
        let successor = self.successor(serial).and_then(|known| known.stamp);
        Interval::new(now.mono.since(by), high, successor.and_then(|stamp| self.clocks.since(&stamp, now)))
    }

    /// The clocks of who publishes the zone, as far as servers tell them.
    pub fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// The version that was published next after this one, if that is known.
    pub fn successor_of(&self, serial: Serial) -> Option<Serial> {
        self.successor(serial).map(|known| known.serial)
    }

    /// How many versions were published after this one; `None` when not all of them are known.
    pub fn versions_after(&self, serial: Serial) -> Option<usize> {
        let head = self.head()?;
        let later = self.find(serial).and_then(|known| known.later);
        later.filter(|(to, _)| *to == head).map(|(_, count)| count).or_else(|| self.counted(serial, head))
    }

    /// How many versions lead from one to another, all of which are known.
    fn counted(&self, serial: Serial, head: Serial) -> Option<usize> {
        let mut at = head;
        let (mut count, mut steps) = (0, 0);
        while at != serial {
            let known = self.find(at)?;
            at = known.follows?;
            count += 1 + known.skipped;
            steps += 1;
            if steps > self.versions.len() {
                return None;
            }
        }
        Some(count)
    }

    /// How long a version took from its publication until this server served it or a newer one; `None` when the server
    /// was not seen to, or nothing is known of the version.
    pub fn propagation(&self, server: SocketAddr, serial: Serial) -> Option<Interval> {
        let server = self.servers.get(&server)?;
        if server.forgotten.is_some_and(|forgotten| !serial.is_newer_than(forgotten)) {
            return None;
        }
        let step = server.steps.iter().find(|step| step.serial.covers(serial))?;
        let known = self.find(serial)?;
        let low = step.not_before.map_or(Duration::ZERO, |not_before| not_before.since(known.by));
        let high = self.unpublished_until_before(serial).map(|until| step.by.since(until));
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

    /// Takes in a version that has been published by now, and what else is known of it. One older than all that fit is not kept.
    fn learn(&mut self, serial: Serial, by: Mono, note: impl FnOnce(&mut Known)) {
        let older = self.versions.iter().rposition(|known| !known.serial.is_newer_than(serial));
        let mut at = older.unwrap_or(0);
        if older.is_none_or(|older| self.versions[older].serial != serial) {
            at = older.map_or(0, |older| older + 1);
            if self.versions.len() >= MAX_VERSIONS {
                let spare = self.spare();
                if at <= spare {
                    return;
                }
                at -= 1;
                self.drop(spare);
            }
            self.versions.insert(
                at,
                Known {
                    serial,
                    by,
                    head_at: None,
                    sure_at: None,
                    stamp: None,
                    follows: None,
                    skipped: 0,
                    later: None,
                    digest: None,
                    shown: by,
                },
            );
        }
        let known = &mut self.versions[at];
        known.by = known.by.min(by);
        note(known);
    }

    /// Forgets versions that were taken back: they are newer than what anybody has.
    fn forget_what_is_gone(&mut self, now: Mono) {
        // Nearly always somebody has shown the newest one just now.
        if self.versions.back().is_none_or(|head| now < head.shown + GONE) {
            return;
        }
        let shown = self.servers.values().filter_map(|server| server.last).map(|last| last.serial);
        let newest =
            shown.chain(self.held).reduce(|one, other| if other.is_newer_than(one) { other } else { one });
        let Some(newest) = newest else { return };
        let is_gone = |known: &Known| known.serial.is_newer_than(newest) && now >= known.shown + GONE;
        if self.versions.back().is_none_or(|head| !is_gone(head)) {
            return;
        }
        self.versions.retain(|known| !is_gone(known));
        for server in self.servers.values_mut() {
            server.steps.retain(|step| !step.serial.is_newer_than(newest));
        }
    }

    /// The oldest version that says nothing of a server.
    fn spare(&self) -> usize {
        let shown = |serial: Serial| {
            let mut servers = self.servers.values().filter_map(|server| server.last);
            servers.any(|last| last.serial == serial)
        };
        let is_spare = |known: &Known| !(shown(known.serial) || known.follows.is_some_and(shown));
        self.versions.iter().position(is_spare).unwrap_or(0)
    }

    /// Forgets a version; it is known that there was one.
    fn drop(&mut self, at: usize) {
        let Some(gone) = self.versions.remove(at) else { return };
        if let Some(next) = self.versions.iter_mut().skip(at).find(|known| known.follows == Some(gone.serial))
        {
            next.follows = gone.follows;
            next.skipped += 1 + gone.skipped;
        }
    }

    fn find(&self, serial: Serial) -> Option<&Known> {
        self.versions.iter().rev().find(|known| known.serial == serial)
    }

    fn newer(&self, serial: Serial) -> impl Iterator<Item = &Known> {
        self.versions.iter().filter(move |known| known.serial.is_newer_than(serial))
    }

    fn successor(&self, serial: Serial) -> Option<&Known> {
        self.versions.iter().find(|known| known.follows == Some(serial) && known.skipped == 0)
    }

    /// A moment at which nothing newer than this serial had been published.
    fn unpublished_until(&self, serial: Serial) -> Option<Mono> {
        self.versions
            .iter()
            .filter(|known| serial.covers(known.serial))
            .filter_map(|known| known.head_at)
            .max()
    }

    /// A moment at which this serial had not been published.
    fn unpublished_until_before(&self, serial: Serial) -> Option<Mono> {
        self.versions
            .iter()
            .filter(|known| serial.is_newer_than(known.serial))
            .filter_map(|known| known.head_at)
            .max()
    }
}

impl Known {
    /// A version is told to be the one before; what was there between them before it was forgotten is not taken back.
    fn follow(&mut self, previous: Option<Serial>) {
        if previous.is_some() && self.skipped == 0 {
            self.follows = previous;
        }
    }
}

impl Server {
    fn show(&mut self, sighting: &Sighting, digest: Option<Digest>) {
        let &Sighting { serial, sent, received, sent_utc, .. } = sighting;
        // Answers may come in another order than questions went out.
        if self.last.is_some_and(|last| sent < last.sent) {
            return;
        }
        self.digest = digest;
        self.unverified = match &sighting.told {
            Some(told) if !told.is_verified => self.unverified.or(Some(sent)),
            _ => None,
        };
        if let Some(last) = self.last.as_mut().filter(|last| last.serial == serial) {
            last.sent = sent;
            return;
        }
        let not_before = self.last.map(|last| last.sent);
        let half = received.since(sent) / 2;
        let about = Now { mono: sent + half, utc: sent_utc + half };
        let step = Step { serial, not_before, by: received, about, sent };
        self.last = Some(step);
        self.steps.push_back(step);
        if self.steps.len() > MAX_STEPS {
            self.forgotten = self.steps.pop_front().map(|step| step.serial);
        }
    }
}

#[cfg(test)]
mod tests;
