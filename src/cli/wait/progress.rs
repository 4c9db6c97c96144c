//! How far a wait has come: which servers have shown the change, and what the others show instead.

use std::net::SocketAddr;
use std::time::Duration;

use crate::ask::support::Omission;
use crate::cli::exit::Exit;
use crate::cli::wait::goal::Goal;
use crate::cli::wait::history::{Doubt, Published, Witness, Word};
use crate::probe::observation::Reason;
use crate::probe::observe::Event;
use crate::time::{Mono, Now, Utc};
use crate::wire::rtype::Rcode;
use crate::zone::digest::Digest;
use crate::zone::serial::Serial;

mod report;

/// Caches count TTLs in whole seconds: what one hands on to another may live longer by so much.
const ROUNDED: Duration = Duration::from_secs(1);

/// For how long who publishes the zone may leave a question about what another shows unanswered, before what is known without it counts; or
/// twice as long as it took to answer before. It is asked three times in this; a wait may end a tenth of a second late at most.
const SILENCE: Duration = Duration::from_millis(60);

/// Where a wait stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A server has not shown the change.
    Waiting,
    /// Those that have not shown it serve what was never published, and take nothing older.
    Refuted,
    /// All servers have, and caches may hold the old data until then.
    Settling(Mono),
    /// The change is visible everywhere asked for.
    Converged,
}

/// The servers and what they have shown.
#[derive(Debug)]
pub struct Progress {
    goal: Option<Goal>,
    /// Whether it is a serial that was named, and not one that servers showed.
    is_given: bool,
    /// The newest version, by the node that publishes the zone, where that is asked.
    published: Option<Published>,
    servers: Vec<Server>,
    worst_case: bool,
    /// Whether the servers are asked as caches.
    are_caches: bool,
    /// The longest TTL seen, in seconds.
    ttl: u32,
    /// Whether the TTL of what was there before the change is among those: a server showed it, or the user told it.
    saw_old: bool,
    /// Who had converged and does so no longer.
    reopened: Vec<SocketAddr>,
    /// Between an answer and the next question to a server.
    interval: Duration,
}

#[derive(Debug)]
struct Server {
    addr: SocketAddr,
    shows: String,
    serial: Option<Serial>,
    /// Since when it shows this; the beginning while it has not been heard of.
    since: Option<Utc>,
    last: Option<Mono>,
    /// Whether anything came back that a name server sends.
    answered: bool,
    /// Whether it has ever shown a serial.
    shown: bool,
    /// The digest of what it serves, where it tells that.
    digest: Option<Digest>,
    /// Whether it is known not to tell digests.
    is_mute: bool,
    /// What it told last of what it serves.
    word: Option<Word>,
    /// The serial that it showed when the node that publishes the zone was asked and did not have it.
    refuted: Option<Serial>,
    /// Whether it gives no answer of the zone's to questions like these.
    refuses: bool,
    converged: Option<Mono>,
    /// Whether it has shown the serial waited for or an older one: it has followed the zone since.
    has_followed: bool,
    /// Where it is asked on, for what others show: when the question leaves that it has not answered.
    asked_on: Option<Mono>,
    /// The longest that it has taken to answer.
    round_trip: Duration,
    /// Whether it is silent ([`SILENCE`]).
    is_silent: bool,
    /// What it showed when the node that publishes the zone was asked last.
    asked_about: Option<Serial>,
}

impl Server {
    /// Whether the node that publishes the zone was asked about what it shows, and does not have it.
    fn is_refuted(&self) -> bool {
        self.refuted.is_some() && self.refuted == self.serial
    }

    /// When it will have been silent for too long, if nothing comes from it.
    fn silence(&self) -> Option<Mono> {
        Some(self.asked_on? + SILENCE.max(2 * self.round_trip))
    }
}

impl Progress {
    /// Nothing has been shown yet. Without a goal it is the newest serial shown in the first answers.
    pub fn new(goal: Option<Goal>, servers: &[SocketAddr], worst_case: bool) -> Progress {
        let mut progress = Progress {
            is_given: matches!(goal, Some(Goal::Serial(_))),
            goal,
            published: None,
            servers: Vec::new(),
            worst_case,
            are_caches: false,
            ttl: 0,
            saw_old: false,
            reopened: Vec::new(),
            interval: Duration::ZERO,
        };
        for &addr in servers {
            if !progress.servers.iter().any(|server| server.addr == addr) {
                progress.servers.push(Server {
                    addr,
                    shows: "no answer".into(),
                    serial: None,
                    since: None,
                    last: None,
                    answered: false,
                    shown: false,
                    digest: None,
                    is_mute: false,
                    word: None,
                    refuted: None,
                    refuses: false,
                    converged: None,
                    has_followed: false,
                    asked_on: None,
                    round_trip: Duration::ZERO,
                    is_silent: false,
                    asked_about: None,
                });
            }
        }
        progress
    }

    /// How long after an answer a server is asked again, from now on.
    pub fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// Takes the servers for caches.
    pub fn set_caches(&mut self) {
        self.are_caches = true;
    }

    /// The node that publishes the zone is asked about what the servers show now.
    pub fn ask_publisher(&mut self) {
        self.servers.iter_mut().for_each(|server| server.asked_about = server.serial);
    }

    /// The node that publishes the zone had this when it was asked last, which was the newest there was: what servers showed before that it
    /// does not cover was never published.
    pub fn set_published(&mut self, published: Published, now: Mono) {
        self.published = Some(published);
        let Some(Goal::Serial(goal)) = self.goal else { return };
        let doubted = |server: &Server| {
            server
                .asked_about
                .filter(|_| server.asked_about == server.serial && self.is_unpublished(server, goal))
        };
        let refuted: Vec<Option<Serial>> = self.servers.iter().map(doubted).collect();
        self.servers.iter_mut().zip(refuted).for_each(|(server, refuted)| server.refuted = refuted);
        self.judge(goal, None, now);
    }

    /// Whether a server shows what the node that publishes the zone did not have when it was asked, and was not asked about since.
    pub fn is_to_ask_publisher(&self) -> bool {
        let Some(Goal::Serial(goal)) = self.goal else { return false };
        let is_new = |server: &Server| self.is_unpublished(server, goal) && !server.is_refuted();
        self.servers.iter().any(is_new)
    }

    fn is_unpublished(&self, server: &Server, goal: Serial) -> bool {
        self.doubt(server, goal) == Some(Doubt::Unpublished)
    }

    /// Counts on old data with this TTL, in seconds.
    pub fn set_old_ttl(&mut self, ttl: u32) {
        self.ttl = self.ttl.max(ttl);
        self.saw_old = true;
    }

    /// How many servers there are.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Whether there are no servers.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// How many have shown the change.
    pub fn converged(&self) -> usize {
        self.servers.iter().filter(|server| server.converged.is_some()).count()
    }

    /// What a server showed last.
    pub fn shows(&self, server: SocketAddr) -> &str {
        self.servers.iter().find(|known| known.addr == server).map_or("nothing", |known| &known.shows)
    }

    /// Takes in what a server showed; returns the servers that have thereby converged.
    pub fn take(&mut self, event: &Event, now: Now) -> Vec<SocketAddr> {
        let before: Vec<SocketAddr> = self.at_goal().collect();
        self.note(event, now);
        self.at_goal().filter(|addr| !before.contains(addr)).collect()
    }

    /// When one who is asked for what others show will have been silent for too long, if nothing comes from it.
    pub fn silence(&self) -> Option<Mono> {
        self.servers.iter().filter(|server| !server.is_silent).filter_map(Server::silence).min()
    }

    /// Takes in that it is that late; returns the servers that have thereby converged.
    pub fn pass(&mut self, now: Mono) -> Vec<SocketAddr> {
        let Some(Goal::Serial(goal)) = self.goal else { return Vec::new() };
        if self.silence().is_none_or(|at| now < at) {
            return Vec::new();
        }
        for server in &mut self.servers {
            server.is_silent = server.silence().is_some_and(|at| at <= now);
        }
        let before: Vec<SocketAddr> = self.at_goal().collect();
        self.judge(goal, None, now);
        self.at_goal().filter(|addr| !before.contains(addr)).collect()
    }

    /// The servers that have converged.
    fn at_goal(&self) -> impl Iterator<Item = SocketAddr> {
        self.servers.iter().filter(|server| server.converged.is_some()).map(|server| server.addr)
    }

    fn note(&mut self, event: &Event, now: Now) {
        let (addr, shows) = match event {
            Event::Seen(seen) => (seen.server, self.described(seen)),
            Event::Failed { server, reason, .. } => (*server, reason.to_string()),
            Event::Silent { server, .. } => (*server, "no answer".into()),
        };
        let Some(server) = self.servers.iter_mut().find(|server| server.addr == addr) else { return };
        if server.since.is_none() || server.shows != shows {
            server.shows = shows;
            server.since = Some(now.utc);
        }
        server.last = Some(now.mono);
        server.answered |= match event {
            Event::Seen(_) => true,
            Event::Failed { reason, .. } => !matches!(reason, Reason::Network(_)),
            Event::Silent { .. } => false,
        };
        let fault = event.fault();
        server.refuses = matches!(fault, Some(Reason::Rcode(Rcode::REFUSED) | Reason::NotAuthoritative));
        // Caches follow a delegation for as long.
        if let Some(Reason::Delegated(ttl)) = fault {
            self.ttl = self.ttl.max(ttl);
            self.saw_old |= server.converged.is_none();
        }
        (server.serial, server.digest) = (None, None);
        let mut reopened = false;
        if let Event::Seen(seen) = event {
            server.serial = seen.serial;
            server.asked_on = server.asked_on.map(|_| now.mono + self.interval);
            server.is_silent = false;
            server.round_trip = server.round_trip.max(seen.received.since(seen.sent));
            server.digest = seen.digest();
            server.word = Word::of(seen).or(server.word);
            server.is_mute = seen.told.is_none() && seen.omission == Omission::Absent;
            let is_first = seen.serial.is_some() && !std::mem::replace(&mut server.shown, true);
            if let Some(Goal::File(file)) = &mut self.goal
                && file.take(seen, is_first)
            {
                reopened = true;
            }
            if let (Some(Goal::Serial(goal)), Some(shown)) = (&self.goal, seen.serial) {
                server.has_followed |= goal.covers(shown);
            }
            let is_shown = self.goal.as_ref().is_some_and(|goal| goal.is_shown(seen));
            // Whether a serial counts is told by what others show, too.
            if is_shown && !matches!(self.goal, Some(Goal::Serial(_))) {
                server.converged = server.converged.or(Some(seen.received));
            }
            self.ttl = self.ttl.max(seen.ttl.or(seen.negative_ttl).unwrap_or(0));
            self.saw_old |= server.converged.is_none() && !is_shown;
        }
        if reopened {
            let all = self.servers.iter_mut().filter_map(|it| it.converged.take().map(|_| it.addr));
            self.reopened.extend(all);
        }
        match self.goal {
            None => self.newest().into_iter().for_each(|newest| self.set_goal(newest)),
            Some(Goal::Next(above)) => self.look_for_next(above),
            Some(Goal::File(_)) => self.compare(),
            Some(Goal::Serial(goal)) => {
                self.judge(goal, Some(addr), now.mono);
                self.contradict(addr);
            }
            Some(Goal::Record(_)) => {}
        }
    }

    /// The servers that had converged and were then contradicted by another; they are to be asked again. Each is given once.
    pub fn reopened(&mut self) -> Vec<SocketAddr> {
        std::mem::take(&mut self.reopened)
    }

    /// Why what a server shows does not count, though it is the serial waited for or a newer one.
    fn doubt(&self, server: &Server, goal: Serial) -> Option<Doubt> {
        let shown = server.serial.filter(|shown| shown.covers(goal))?;
        if let Some(published) = &self.published {
            return published.doubt(shown, server.digest);
        }
        // Those that show that very serial are told apart by their digests.
        if shown == goal || !self.is_given {
            return None;
        }
        if self.servers.iter().any(|server| server.last.is_none()) {
            return Some(Doubt::Early);
        }
        let witness = |server: &Server| {
            Some(Witness { addr: server.addr, word: server.word?, is_silent: server.is_silent })
        };
        let witnesses: Vec<Witness> = self.servers.iter().filter_map(witness).collect();
        Doubt::of(shown, server.word, server.has_followed, &witnesses)
    }

    /// Counts those that show the serial or a later version than its, as far as is known now that `heard` was heard of.
    fn judge(&mut self, goal: Serial, heard: Option<SocketAddr>, now: Mono) {
        let counts = |server: &Server| {
            let shown = server.serial.filter(|shown| shown.covers(goal))?;
            if self.doubt(server, goal).is_some() {
                return Some(false);
            }
            let is_news = heard == Some(server.addr) || shown != goal;
            (is_news && self.rivals(server.addr).next().is_none()).then_some(true)
        };
        let counts: Vec<Option<bool>> = self.servers.iter().map(counts).collect();
        let has_publisher = self.words().any(|word| word.is_publisher);
        let is_doubted = counts.contains(&Some(false)) && self.published.is_none();
        for (server, counts) in self.servers.iter_mut().zip(counts) {
            match counts {
                Some(true) => server.converged = server.converged.or(server.last),
                Some(false) if server.converged.take().is_some() => {
                    server.asked_on = None;
                    self.reopened.push(server.addr);
                }
                _ => {}
            }
            // They may have by now what somebody shows that they did not have.
            let knows = server.word.is_some_and(|word| word.is_publisher || !has_publisher);
            if is_doubted && knows && server.converged.is_some() && server.asked_on.is_none() {
                server.asked_on = Some(now);
                self.reopened.push(server.addr);
            }
        }
    }

    fn words(&self) -> impl Iterator<Item = Word> {
        self.servers.iter().filter_map(|server| server.word)
    }

    /// Of servers that show one serial with different contents none counts: nobody knows which of them is right.
    fn contradict(&mut self, addr: SocketAddr) {
        let rivals: Vec<SocketAddr> = self.rivals(addr).collect();
        if rivals.is_empty() {
            return;
        }
        for server in &mut self.servers {
            if server.addr == addr {
                (server.converged, server.asked_on) = (None, None);
            } else if rivals.contains(&server.addr) && server.converged.take().is_some() {
                server.asked_on = None;
                self.reopened.push(server.addr);
            }
        }
    }

    /// Who shows other content than this server under the same serial.
    fn rivals(&self, addr: SocketAddr) -> impl Iterator<Item = SocketAddr> {
        let content = |server: &Server| Some((server.serial?, server.digest?));
        let own = self.servers.iter().find(|server| server.addr == addr).and_then(content);
        let differs = move |server: &&Server| match (own, content(server)) {
            (Some((serial, digest)), Some((other, theirs))) => serial == other && digest != theirs,
            _ => false,
        };
        self.servers.iter().filter(differs).map(|server| server.addr)
    }

    /// Where it stands now.
    pub fn state(&self, now: Mono) -> State {
        let Some(last) = self.servers.iter().map(|server| server.converged).collect::<Option<Vec<_>>>()
        else {
            return if self.missing().all(Server::is_refuted) { State::Refuted } else { State::Waiting };
        };
        let rounded = if self.ttl > 0 { ROUNDED } else { Duration::ZERO };
        let until =
            last.into_iter().max().unwrap_or_default() + Duration::from_secs(self.ttl.into()) + rounded;
        if self.worst_case && now < until { State::Settling(until) } else { State::Converged }
    }

    /// The exit status, were it to end now.
    pub fn exit(&self, now: Mono) -> Exit {
        if self.state(now) == State::Converged {
            Exit::Done
        } else if self.servers.iter().any(|server| server.answered) {
            Exit::Pending
        } else {
            Exit::Unreachable
        }
    }

    /// The newest serial that is shown, once each server has answered or failed to.
    fn newest(&self) -> Option<Serial> {
        if self.servers.iter().any(|server| server.last.is_none()) {
            return None;
        }
        let serials = self.servers.iter().filter_map(|server| server.serial);
        serials.reduce(|newest, serial| if serial.is_newer_than(newest) { serial } else { newest })
    }

    /// The first serial above those that there were becomes the goal.
    fn look_for_next(&mut self, above: Option<Serial>) {
        let Some(newest) = self.newest() else { return };
        match above {
            None => self.goal = Some(Goal::Next(Some(newest))),
            Some(above) if newest.is_newer_than(above) => self.set_goal(newest),
            Some(_) => {}
        }
    }

    /// A serial becomes the goal, which servers may show already.
    fn set_goal(&mut self, newest: Serial) {
        self.goal = Some(Goal::Serial(newest));
        for server in &mut self.servers {
            if server.serial.is_some_and(|shown| shown.covers(newest)) {
                server.converged = server.last;
            }
        }
        let all: Vec<SocketAddr> = self.servers.iter().map(|server| server.addr).collect();
        all.into_iter().for_each(|addr| self.contradict(addr));
        // They are being asked still.
        self.reopened.clear();
    }

    /// Those that have what a file holds; nothing is known of that before all have been asked.
    fn compare(&mut self) {
        let Some(Goal::File(file)) = &self.goal else { return };
        if self.servers.iter().any(|server| server.last.is_none()) {
            return;
        }
        for server in &mut self.servers {
            if server.serial.is_some_and(|serial| file.is_in(serial, server.digest)) {
                server.converged = server.converged.or(server.last);
            }
        }
    }

    /// The serial above which the next one is waited for, once all servers have been heard of.
    pub fn awaits(&self) -> Option<Serial> {
        match self.goal {
            Some(Goal::Next(above)) => above,
            _ => None,
        }
    }

    /// Whether nobody among those who are asked tells what it holds.
    pub fn cannot_tell(&self) -> bool {
        matches!(self.goal, Some(Goal::File(_))) && self.servers.iter().all(|server| server.is_mute)
    }

    /// The serial of which the servers are asked what followed it.
    pub fn floor(&self) -> Option<Serial> {
        match &self.goal {
            Some(Goal::File(file)) => file.floor(),
            _ => None,
        }
    }
}

/// Whole seconds, rounded up.
pub fn whole(span: Duration) -> u64 {
    span.as_millis().div_ceil(1_000) as u64
}

#[cfg(test)]
mod tests;
