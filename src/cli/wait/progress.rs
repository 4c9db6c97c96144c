//! How far a wait has come: which servers have shown the change, and what the others show instead.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::ask::support::Omission;
use crate::cli::exit::Exit;
use crate::cli::wait::goal::{Goal, data};
use crate::probe::observation::{Observation, Reason};
use crate::probe::observe::Event;
use crate::time::{Mono, Now, Utc};
use crate::wire::name::NameRef;
use crate::wire::rtype::Rcode;
use crate::zone::digest::Digest;
use crate::zone::serial::Serial;

/// Caches count TTLs in whole seconds: what one hands on to another may live longer by so much.
const ROUNDED: Duration = Duration::from_secs(1);

/// Where a wait stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A server has not shown the change.
    Waiting,
    /// All servers have, and caches may hold the old data until then.
    Settling(Mono),
    /// The change is visible everywhere asked for.
    Converged,
}

/// The servers and what they have shown.
#[derive(Debug)]
pub struct Progress {
    goal: Option<Goal>,
    servers: Vec<Server>,
    worst_case: bool,
    /// The longest TTL seen, in seconds.
    ttl: u32,
    /// Whether the TTL of what was there before the change is among those: a server showed it, or the user told it.
    saw_old: bool,
    /// Who had converged and does so no longer.
    reopened: Vec<SocketAddr>,
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
    converged: Option<Mono>,
}

impl Progress {
    /// Nothing has been shown yet. Without a goal it is the newest serial shown in the first answers.
    pub fn new(goal: Option<Goal>, servers: &[SocketAddr], worst_case: bool) -> Progress {
        let mut progress =
            Progress { goal, servers: Vec::new(), worst_case, ttl: 0, saw_old: false, reopened: Vec::new() };
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
                    converged: None,
                });
            }
        }
        progress
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
        (server.serial, server.digest) = (None, None);
        let mut reopened = false;
        if let Event::Seen(seen) = event {
            server.serial = seen.serial;
            server.digest = seen.digest();
            server.is_mute = seen.told.is_none() && seen.omission == Omission::Absent;
            let is_first = seen.serial.is_some() && !std::mem::replace(&mut server.shown, true);
            if let Some(Goal::File(file)) = &mut self.goal
                && file.take(seen, is_first)
            {
                reopened = true;
            }
            if self.goal.as_ref().is_some_and(|goal| goal.is_shown(seen)) {
                server.converged = server.converged.or(Some(seen.received));
            }
            self.ttl = self.ttl.max(seen.ttl.or(seen.negative_ttl).unwrap_or(0));
            self.saw_old |= server.converged.is_none();
        }
        if reopened {
            let all = self.servers.iter_mut().filter_map(|it| it.converged.take().map(|_| it.addr));
            self.reopened.extend(all);
        }
        match self.goal {
            None => self.newest().into_iter().for_each(|newest| self.set_goal(newest)),
            Some(Goal::Next(above)) => self.look_for_next(above),
            Some(Goal::File(_)) => self.compare(),
            Some(Goal::Serial(_)) => self.doubt(addr),
            Some(Goal::Record(_)) => {}
        }
    }

    /// The servers that had converged and were then contradicted by another; they are to be asked again. Each is given once.
    pub fn reopened(&mut self) -> Vec<SocketAddr> {
        std::mem::take(&mut self.reopened)
    }

    /// Of servers that show one serial with different contents none counts: nobody knows which of them is right.
    fn doubt(&mut self, addr: SocketAddr) {
        let rivals: Vec<SocketAddr> = self.rivals(addr).collect();
        if rivals.is_empty() {
            return;
        }
        for server in &mut self.servers {
            if server.addr == addr {
                server.converged = None;
            } else if rivals.contains(&server.addr) && server.converged.take().is_some() {
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
            return State::Waiting;
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

    /// One line for a display.
    pub fn sentence(&self, now: Mono) -> String {
        match self.state(now) {
            State::Converged => format!("show {}", self.goal_text()),
            State::Settling(until) => {
                format!(
                    "show {}; caches may hold the old data for {} s",
                    self.goal_text(),
                    whole(until.since(now))
                )
            }
            State::Waiting => {
                let shown = |server: &Server| format!("{} ({})", server.addr, self.account(server));
                let missing: Vec<String> = self.missing().map(shown).collect();
                format!("show {}; missing: {}", self.goal_text(), missing.join(", "))
            }
        }
    }

    /// What is printed at the end, line by line.
    pub fn report(&self, took: Duration, now: Mono) -> String {
        let goal = self.goal_text();
        let (all, took) = (self.servers.len(), format!("{:.3} s", took.as_secs_f64()));
        let servers = if all == 1 { "server" } else { "servers" };
        match self.state(now) {
            State::Converged if !self.worst_case => format!("{all} {servers} showed {goal} within {took}\n"),
            State::Converged => {
                let ttl = self.ttl;
                let text = format!(
                    "{all} {servers} showed {goal}, and no cache can hold the old data any more: {ttl} s have passed since ({took})\n"
                );
                match self.saw_old {
                    true => text,
                    false => {
                        text + "no server showed the old data any more, so its TTL is not known: that was the TTL of the new; name a longer \
                                one with --old-ttl\n"
                    }
                }
            }
            State::Settling(until) => format!(
                "timed out after {took}: {all} {servers} showed {goal}, but caches may hold the old data for {} s more \
                 (TTL {} s)\n",
                whole(until.since(now)),
                self.ttl
            ),
            State::Waiting => {
                let mut text = format!(
                    "timed out after {took}: {} of {all} {servers} did not show {goal}\n",
                    all - self.converged()
                );
                for server in self.missing() {
                    let since = server.since.map_or(String::new(), |since| format!(" since {since}"));
                    text.push_str(&format!("  {}: {}{since}\n", server.addr, self.account(server)));
                }
                text
            }
        }
    }

    /// The same for programs; its shape is documented with the command's arguments.
    pub fn json(&self, zone: &NameRef, began: Mono, now: Mono) -> Value {
        let servers: Vec<Value> = self
            .servers
            .iter()
            .map(|server| {
                let after = server.converged.map(|at| at.since(began).as_secs_f64());
                json!({
                    "server": server.addr,
                    "converged_after": after,
                    "shows": self.account(server),
                    "since": server.since.map(|since| since.to_string()),
                })
            })
            .collect();
        json!({
            "zone": zone.to_string(),
            "goal": self.goal.as_ref().map(Goal::text),
            "converged": self.state(now) == State::Converged,
            "seconds": now.since(began).as_secs_f64(),
            "ttl": self.worst_case.then_some(self.ttl),
            "ttl_is_of_old_data": self.worst_case.then_some(self.saw_old),
            "servers": servers,
        })
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
        all.into_iter().for_each(|addr| self.doubt(addr));
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

    fn missing(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(|server| server.converged.is_none())
    }

    /// What a server shows, and who contradicts it.
    fn account(&self, server: &Server) -> String {
        match self.rivals(server.addr).next() {
            Some(rival) if server.converged.is_none() => {
                format!("{} with other content than {rival}", server.shows)
            }
            _ => server.shows.clone(),
        }
    }

    fn goal_text(&self) -> String {
        self.goal.as_ref().map_or_else(|| "the newest serial".into(), Goal::text)
    }

    fn described(&self, seen: &Observation) -> String {
        let Some(Goal::Record(wanted)) = &self.goal else {
            return seen.serial.map_or_else(|| "no serial".into(), |serial| format!("serial {serial}"));
        };
        if seen.rcode == Rcode::NXDOMAIN {
            return "no such name".into();
        }
        if seen.records.is_empty() {
            return match &seen.alias {
                Some(target) => format!("an alias of {target}, which it says no {} record of", wanted.rtype),
                None => format!("no {} record", wanted.rtype),
            };
        }
        // Servers rotate the records of a set.
        let mut shown: Vec<String> =
            seen.records.iter().map(|record| data(record.rtype, &record.rdata)).collect();
        shown.sort();
        format!("{} {}", wanted.rtype, shown.join(", "))
    }
}

/// Whole seconds, rounded up.
pub fn whole(span: Duration) -> u64 {
    span.as_millis().div_ceil(1_000) as u64
}

#[cfg(test)]
mod tests;
