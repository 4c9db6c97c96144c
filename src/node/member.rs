//! What a node keeps of one configured zone: its machines, and what is known of its lag.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use crate::lag::{Interval, own_staleness};
use crate::publish::proposal::Proposal;
use crate::publish::zone::Zone;
use crate::time::{Mono, Now, Utc};
use crate::transfer::notify::Notifier;
use crate::transfer::query::Kind;
use crate::transfer::reason::Reason;
use crate::transfer::refresh::Refresh;
use crate::zone::clocks::Clocks;
use crate::zone::serial::Serial;
use crate::zone::snapshot::Snapshot;

use super::asking::Asking;
use super::board::Mark;
use super::seen_servers::{Head, SeenServers, Shown};
use super::settings::ZoneConfig;
use super::status::{Problem, ServerStatus, State, ZoneStatus};

/// How far apart the moments are that the journal learns of, from when on EXPIRE is counted; ...
const NOTED: Duration = Duration::from_secs(60);
/// ... or this part of EXPIRE, if that is shorter.
const NOTED_PARTS: u64 = 20;

/// A configured zone's machines and memory.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) config: ZoneConfig,
    /// Tells what it asks for now from what members of this name asked for before, and from what earlier zone files did.
    pub(super) epoch: u64,
    pub(super) zone: std::sync::Arc<Zone>,
    /// For secondaries.
    pub(super) refresh: Option<Box<Refresh>>,
    /// For zones of which others are told.
    pub(super) notifier: Option<Box<Notifier>>,
    /// The other servers.
    pub(super) seen: SeenServers,
    pub(super) problem: Option<Problem>,
    /// What is wrong for as long as several files hold the zone, whatever becomes of its content.
    pub(super) contest: Option<Problem>,
    /// What primaries show that are not followed: it keeps nothing from being up to date, and stays until they show something else.
    pub(super) at_odds: Option<Problem>,
    /// Why no primary's word is enough to call it current.
    pub(super) doubt: Option<Problem>,
    /// What has been told that failed at the primaries since the content was last found current: the last of each kind, by the label of its
    /// reason and what exactly was wrong. The reason itself may hold serials, which are others all the time.
    pub(super) failures: BTreeMap<(SocketAddr, Kind), (&'static str, Option<String>)>,
    /// Why the whole zone was pulled in place of differences, if that has been told.
    pub(super) fell_back: Option<Reason>,
    /// From when on EXPIRE is counted, as the journal has it.
    pub(super) noted: Option<Utc>,
    /// Whether the zone file that was read last was refused, which has been told.
    pub(super) is_refused: bool,
    /// The serial in the zone file that was read last.
    pub(super) filed: Option<Serial>,
    /// When a version newer than the one served was first heard of.
    pub(super) heard: Option<Now>,
    /// A change that could not be written down, and when it is tried again.
    pub(super) retry: Option<(Mono, Box<Proposal>)>,
    /// What is waited for before the first content is published.
    pub(super) asking: Option<Asking>,
    /// When this zone wants to be called next, as booked with the node.
    pub(super) due: Option<Mono>,
    /// How it stands on the board.
    pub(super) mark: Option<Mark>,
}

impl Member {
    /// When the first of its machines wants to be called.
    pub(super) fn next_timeout(&self) -> Option<Mono> {
        let refresh = self.refresh.as_ref().and_then(|refresh| refresh.next_timeout());
        let notifier = self.notifier.as_ref().and_then(|notifier| notifier.next_timeout());
        let retry = self.retry.as_ref().map(|(at, _)| *at);
        let asking = self.asking.as_ref().map(|asking| asking.until);
        refresh.into_iter().chain(notifier).chain(retry).chain(asking).min()
    }

    /// Notes what is wrong; the first moment of one wrong stays.
    pub(super) fn blame(&mut self, now: Now, what: String) {
        self.problem = Some(goes_on(self.problem.take(), now, what));
    }

    /// Notes how a primary did not serve the purpose. Whatever one attempt after the other fails by, it is one wrong until one succeeds.
    pub(super) fn blame_primary(&mut self, now: Now, what: String) {
        let since = self.problem.as_ref().map_or(now.utc, |problem| problem.since);
        self.problem = Some(Problem { what, since });
    }

    /// Notes that several files hold the zone, or only one again; whether all is well by that.
    pub(super) fn contested(&mut self, now: Now, what: Option<String>) -> bool {
        let before = self.contest.take();
        let was_contested = before.is_some();
        self.contest = what.map(|what| goes_on(before, now, what));
        was_contested && self.problem().is_none()
    }

    /// What is wrong now. A fault of the content goes before one of files, of a primary that is not followed, or of one that is not believed:
    /// it keeps more from being served.
    pub(super) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref().or(self.contest.as_ref()).or(self.at_odds.as_ref()).or(self.doubt.as_ref())
    }

    /// Whether the journal is to learn that EXPIRE is counted from then on: a restart may find it a little older than it is, and polls are
    /// frequent.
    pub(super) fn is_worth_noting(&mut self, counted_from: Utc) -> bool {
        let expire = self.zone.current().as_ref().map_or(0, |version| version.snapshot.timers().expire);
        let apart = Duration::from_secs(u64::from(expire) / NOTED_PARTS).min(NOTED);
        let is_worth = self.noted.is_none_or(|noted| counted_from.since(noted) >= apart);
        if is_worth {
            self.noted = Some(counted_from);
        }
        is_worth
    }

    /// Notes the serial of a zone file; what it was before, when it is lower now and the content is what is served.
    pub(super) fn lowered(&mut self, content: &Snapshot) -> Option<(Serial, Serial)> {
        let file = content.serial();
        let before = self.filed.replace(file).filter(|before| before.is_newer_than(file))?;
        let served = self.zone.current().as_ref().map(|version| version.stamp)?;
        (served.digest == content.digest()).then_some((before, served.serial))
    }

    /// Whether it is served, and served up to date.
    pub(super) fn state(&self, now: Mono) -> State {
        let is_behind = self.refresh.as_ref().is_some_and(|refresh| refresh.newer().is_some());
        match &*self.zone.current() {
            None if self.expired_at().is_some() => State::Expired,
            None => State::Failed,
            // Failing polls alone do not make a secondary outdated; a file that could not be published does a primary.
            Some(_) if is_behind || (self.refresh.is_none() && self.problem().is_some()) => State::Behind,
            Some(_) if !self.zone.is_verified(now) => State::Unverified,
            Some(_) => State::Current,
        }
    }

    /// When it expired, if that is why it is not served.
    pub(super) fn expired_at(&self) -> Option<Utc> {
        self.zone.expired_at().filter(|_| self.refresh.is_some() && self.zone.current().is_none())
    }

    /// A number for what is told of it, but for what changes with time alone.
    pub(super) fn look(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let current = self.zone.current();
        current.as_ref().map(|version| (version.stamp.serial, version.applied.0)).hash(&mut hasher);
        self.refresh.as_ref().and_then(|refresh| refresh.newer()).map(|newer| newer.serial).hash(&mut hasher);
        self.problem().map(|problem| (&problem.what, problem.since)).hash(&mut hasher);
        for server in self.config.options.servers() {
            let shown = self.seen.shown.get(&server).map(|shown| shown.kind());
            (shown, self.seen.ledger.serial(server)).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Whether something is wrong about it, or about a server that has shown itself before.
    pub(super) fn is_troubled(&self) -> bool {
        let is_down = |server: &SocketAddr| {
            let shown = self.seen.shown.get(server).copied().unwrap_or_default();
            !matches!(shown, Shown::Zone | Shown::Unwatched)
        };
        self.problem().is_some() || self.config.options.servers().iter().any(is_down)
    }

    /// When it is last known to have been current; what a former life of this node wrote down, as long as this one knows nothing. How stale it
    /// is at most does not follow from that: the clock it was dated by may have been set since.
    fn verified(&self, now: Now) -> Option<Utc> {
        let known = self.zone.fresh_at().map(|at| now.utc - now.mono.since(at));
        known.or_else(|| self.zone.verified_at())
    }

    /// When it expires, or did.
    fn expires(&self, now: Now) -> Option<Utc> {
        let in_time = |at: Mono| now.utc + at.since(now.mono) - now.mono.since(at);
        self.zone.expired_at().or_else(|| self.zone.expires_at().map(in_time))
    }

    /// The clocks of who publishes the zone, where that is not this node.
    pub(super) fn clocks(&self) -> Option<&Clocks> {
        self.refresh.as_ref().map(|refresh| refresh.clocks())
    }

    /// A server of a primary zone that has a newer version than is published here: it takes nothing from here, and what it lacks nobody
    /// knows.
    fn ahead(&self, server: ServerStatus) -> ServerStatus {
        let own = self.zone.version().filter(|_| self.refresh.is_none()).map(|version| version.stamp.serial);
        match own.zip(server.serial).filter(|(own, theirs)| theirs.is_newer_than(*own)) {
            None => server,
            Some((own, _)) => {
                let fault =
                    server.fault.or_else(|| Some(format!("a serial above {own}, and takes nothing older")));
                ServerStatus { fault, staleness: server.staleness.map(|_| Interval::default()), ..server }
            }
        }
    }

    pub(super) fn status(&self, now: Now) -> ZoneStatus {
        let version = self.zone.version();
        let newer = self.refresh.as_ref().and_then(|refresh| refresh.newer());
        let state = self.state(now.mono);
        let is_known = match &self.refresh {
            // When the change was made that is not published nobody can tell: the file may have been edited more than once since.
            None => state == State::Current,
            Some(_) => version.is_some() || state == State::Expired,
        };
        let staleness = is_known.then(|| match &self.refresh {
            None => {
                Interval { high: Some(Duration::ZERO), estimate: Some(Duration::ZERO), ..Interval::default() }
            }
            Some(_) => own_staleness(
                now.mono,
                self.zone.fresh_at(),
                state != State::Expired && self.zone.is_verified(now.mono),
                newer.map(|newer| newer.learned_at),
                self.clocks()
                    .zip(newer.and_then(|newer| newer.successor))
                    .and_then(|(clocks, stamp)| clocks.since(&stamp, now)),
            ),
        });
        let fresh_at = if self.refresh.is_none() { Some(now.mono) } else { self.zone.fresh_at() };
        let known = version.as_ref().filter(|_| self.zone.is_verified(now.mono));
        let vouches = self.zone.vouches(now.mono);
        let head = known.zip(fresh_at).map(|(version, current_at)| Head {
            serial: version.stamp.serial,
            current_at,
            vouches,
        });
        ZoneStatus {
            zone: self.config.name.clone(),
            role: if self.refresh.is_some() { "secondary" } else { "primary" },
            state,
            serial: version.as_ref().map(|version| version.stamp.serial),
            newer: newer.map(|newer| newer.serial),
            records: version.as_ref().map(|version| version.snapshot.records()),
            digest: version.as_ref().map(|version| version.stamp.digest),
            published: version.as_ref().and_then(|version| version.stamp.published).map(|hlc| hlc.utc()),
            applied: version.as_ref().map(|version| version.applied),
            verified: self.refresh.as_ref().and_then(|_| self.verified(now)),
            expires: self.refresh.as_ref().and_then(|_| self.expires(now)),
            staleness,
            clock_offset: self.clocks().and_then(|clocks| clocks.offset(now)),
            problem: self.problem().cloned(),
            primaries: self.config.options.primaries().to_vec(),
            servers: self
                .config
                .options
                .servers()
                .into_iter()
                .map(|server| self.ahead(self.seen.server(now, server, head)))
                .collect(),
        }
    }
}

/// Something wrong that is the same as before began then.
pub(super) fn goes_on(before: Option<Problem>, now: Now, what: String) -> Problem {
    let since = before.filter(|problem| problem.what == what).map(|problem| problem.since);
    Problem { what, since: since.unwrap_or(now.utc) }
}
