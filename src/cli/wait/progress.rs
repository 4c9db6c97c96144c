//! How far a wait has come: which servers have shown the change, and what the others show instead.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::ask::support::Omission;
use crate::cli::exit::{Exit, Failure};
use crate::cli::wait::file::File;
use crate::config::value;
use crate::probe::observation::{Observation, Reason};
use crate::probe::observe::Event;
use crate::text::rdata::{read, write};
use crate::time::{Mono, Now, Utc};
use crate::wire::name::{Name, NameRef};
use crate::wire::rdata;
use crate::wire::rtype::{Rcode, Rtype};
use crate::zone::digest::Digest;
use crate::zone::serial::Serial;

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// A serial, or a newer one (RFC 1982).
    Serial(Serial),
    /// A record.
    Record(Wanted),
    /// What a zone file holds, under whatever serial.
    File(File),
}

/// A record that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The owner.
    pub name: Name,
    /// The type.
    pub rtype: Rtype,
    /// The data in wire form.
    pub rdata: Vec<u8>,
}

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
    /// The longest TTL seen.
    ttl: u32,
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

impl Goal {
    /// A serial or a newer one.
    pub fn serial(serial: u32) -> Goal {
        Goal::Serial(Serial(serial))
    }

    fn is_shown(&self, seen: &Observation) -> bool {
        match self {
            Goal::Serial(serial) => seen.serial.is_some_and(|shown| shown.covers(*serial)),
            // Known when all have been heard of.
            Goal::File(_) => false,
            Goal::Record(wanted) => seen.records.iter().any(|record| {
                record.rtype == wanted.rtype && rdata::same(wanted.rtype, &record.rdata, &wanted.rdata)
            }),
        }
    }

    fn text(&self) -> String {
        match self {
            Goal::Serial(serial) => format!("serial {serial}"),
            Goal::File(file) => match file.published() {
                Some(serial) => format!("{} (serial {serial})", file.path),
                None => file.path.clone(),
            },
            Goal::Record(wanted) => {
                format!("{} {} {}", wanted.name, wanted.rtype, data(wanted.rtype, &wanted.rdata))
            }
        }
    }
}

impl Wanted {
    /// Reads `NAME TYPE RDATA`; a name outside the zone is below it.
    pub fn parse(text: &str, zone: &NameRef) -> Result<Wanted, Failure> {
        let wrong = |why: String| {
            Failure::new(format!(
                "--record `{text}`: {why}; write NAME TYPE RDATA, for example `www.example.org. A 192.0.2.80`"
            ))
        };
        let mut rest = text.trim();
        let mut word = || {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            rest = behind.trim_start();
            word
        };
        let (name, rtype) = (word(), word());
        let whole = value::name(name).ok().filter(|name| name.is_in(zone));
        let name = match whole {
            Some(name) => name,
            None => Name::parse(name.as_bytes(), Some(zone)).map_err(|error| wrong(error.to_string()))?,
        };
        if !name.is_in(zone) {
            return Err(wrong(format!("{name} is not in {zone}")));
        }
        let rtype: Rtype = rtype.parse().map_err(|_| wrong(format!("`{rtype}` is not a record type")))?;
        if rtype.is_meta() {
            return Err(wrong(format!("{rtype} is not a type of records in zones")));
        }
        let rdata = read::parse(rtype, rest, Some(zone)).map_err(|fault| {
            let expected = fault.expected.map_or(String::new(), |expected| format!(", expected {expected}"));
            wrong(format!("{}{expected}", fault.message))
        })?;
        Ok(Wanted { name, rtype, rdata })
    }
}

impl Progress {
    /// Nothing has been shown yet. Without a goal it is the newest serial shown in the first answers.
    pub fn new(goal: Option<Goal>, servers: &[SocketAddr], worst_case: bool) -> Progress {
        let mut progress = Progress { goal, servers: Vec::new(), worst_case, ttl: 0, reopened: Vec::new() };
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
            let ttl = seen.records.iter().map(|record| record.ttl).max().or(seen.negative_ttl);
            self.ttl = self.ttl.max(ttl.unwrap_or(0));
        }
        if reopened {
            let all = self.servers.iter_mut().filter_map(|it| it.converged.take().map(|_| it.addr));
            self.reopened.extend(all);
        }
        match self.goal {
            None => self.set_goal(),
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
        let until = last.into_iter().max().unwrap_or_default() + Duration::from_secs(self.ttl.into());
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
            State::Converged => format!("{all} {servers} showed {goal} within {took}\n"),
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
            "servers": servers,
        })
    }

    /// The newest serial becomes the goal once each server has answered or failed to.
    fn set_goal(&mut self) {
        if self.servers.iter().any(|server| server.last.is_none()) {
            return;
        }
        let serials = self.servers.iter().filter_map(|server| server.serial);
        let newest =
            serials.reduce(|newest, serial| if serial.is_newer_than(newest) { serial } else { newest });
        let Some(newest) = newest else { return };
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
            return format!("no {} record", wanted.rtype);
        }
        // Servers rotate the records of a set.
        let mut shown: Vec<String> =
            seen.records.iter().map(|record| data(record.rtype, &record.rdata)).collect();
        shown.sort();
        format!("{} {}", wanted.rtype, shown.join(", "))
    }
}

fn data(rtype: Rtype, rdata: &[u8]) -> String {
    let mut text = String::new();
    write::write(rtype, rdata, &mut text);
    text
}

/// Whole seconds, rounded up.
fn whole(span: Duration) -> u64 {
    span.as_millis().div_ceil(1_000) as u64
}

#[cfg(test)]
mod tests;
