//! Forwarding and stub resolution: one question put to the servers of one zone until one of them answers.
//!
//! ```text
//!            ask           no reply in time: the next server, or the same again
//!   start ─────────▶ Wait ◀──────────────────────────────────────────────────┐
//!                     │ └── SERVFAIL, REFUSED, a referral, no way there ─────┤
//!                     │ └── a version older than one of its zone that was seen ┘
//!                     ├── a reply of use ───────────────▶ Done
//!                     └── out of time or of servers ────▶ Exhausted
//! ```
//!
//! What passes between this node and one server is a [`Question`]'s business. It stays open when the next server is asked, so a
//! reply that is merely late still counts.
//!
//! Servers of a stub zone are asked which version they answer from (RFC 9660). One that is behind is passed over while another may be
//! asked, so that clients do not go back and forth between versions; its reply counts where nobody has a newer one.

use std::net::SocketAddr;
use std::time::Duration;

use crate::ask::exchange::{Arrival, Failure, Outbox, Start, Token, Transport};
use crate::ask::query::{Edns, Query};
use crate::ask::question::{Event, Fault, Policy, Question, Reply};
use crate::time::Mono;
use crate::wire::edns::{ZONEVERSION, push_option};
use crate::wire::message::{Message, flags};
use crate::wire::rtype::Rcode;
use crate::zone::serial::Serial;
use crate::zone::zoneversion;

use super::bailiwick::{self, Verdict};
use super::cache::Ask;
use super::upstream::Upstreams;

/// How long the first datagram is waited for, the second, and so on, whichever servers they go to.
const WAITS: [Duration; 3] =
    [Duration::from_millis(400), Duration::from_millis(800), Duration::from_millis(1_600)];
/// How long a server is waited for over TCP.
pub const TCP_TIMEOUT: Duration = Duration::from_millis(2_000);
/// How long a question lasts at most. Stub resolvers commonly wait for 5 s, and the answer must reach them before.
pub const BUDGET: Duration = Duration::from_millis(4_500);
/// How often a server is turned to for one question at most: more would not be reached within the budget anyway.
pub const MAX_SENDS: usize = 16;

/// What has become of a question.
#[derive(Debug)]
pub enum Step {
    /// Nothing yet; an arrival or [`Forward::next_timeout`] comes next.
    Wait,
    /// A reply of use; the verdict is never [`Verdict::Useless`].
    Done {
        /// What it says.
        verdict: Verdict,
        /// Who said it.
        from: SocketAddr,
    },
    /// Nobody answered in time, or nobody could.
    Exhausted,
}

/// One question on its way through the servers of one route.
#[derive(Debug)]
pub struct Forward {
    ask: Ask,
    route: usize,
    until: Mono,
    timer: Mono,
    candidates: Vec<Candidate>,
    /// The candidate that was turned to last.
    current: usize,
    sends: usize,
    /// Waits that are over.
    waited: usize,
    /// What a server said that is behind.
    older: Option<Older>,
}

/// A reply from a version that is older than another one of the zone that was seen.
#[derive(Debug)]
struct Older {
    verdict: Verdict,
    from: SocketAddr,
    serial: Serial,
    /// Until when another server is waited for.
    until: Mono,
}

/// A server as this question sees it.
#[derive(Debug)]
struct Candidate {
    server: usize,
    asked: u32,
    failed: bool,
    question: Option<Question>,
}

impl Forward {
    /// Sends the first message. Gives up at `until`.
    pub fn start(
        now: Mono,
        ask: Ask,
        route: usize,
        until: Mono,
        upstreams: &mut Upstreams,
        out: &mut Outbox,
    ) -> (Forward, Step) {
        let servers = upstreams.route(route).servers.iter();
        let candidate = |&server| Candidate { server, asked: 0, failed: false, question: None };
        let candidates = servers.map(candidate).collect();
        let mut forward = Forward {
            ask,
            route,
            until,
            timer: until,
            candidates,
            current: 0,
            sends: 0,
            waited: 0,
            older: None,
        };
        let step = forward.next(now, upstreams, out);
        (forward, step)
    }

    /// When [`Forward::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Mono {
        self.older.as_ref().map_or(self.timer, |older| older.until.min(self.timer))
    }

    /// Takes what came in under one of this machine's tokens; unknown ones are ignored.
    pub fn handle(
        &mut self,
        now: Mono,
        token: Token,
        arrival: Arrival,
        upstreams: &mut Upstreams,
        out: &mut Outbox,
    ) -> Step {
        let asked = |candidate: &Candidate| {
            candidate.question.as_ref().is_some_and(|question| question.tokens().any(|known| known == token))
        };
        let Some(at) = self.candidates.iter().position(asked) else { return Step::Wait };
        let Some(question) = &mut self.candidates[at].question else { return Step::Wait };
        let event = question.arrived(token, &arrival, &mut upstreams.call(now, out));
        self.after(now, at, event, upstreams, out)
    }

    /// Sends again, or to the next server, when the time has come.
    pub fn handle_timeout(&mut self, now: Mono, upstreams: &mut Upstreams, out: &mut Outbox) -> Step {
        if now < self.next_timeout() {
            return Step::Wait;
        }
        if now >= self.until || self.older.as_ref().is_some_and(|older| now >= older.until) {
            return self.exhausted(upstreams);
        }
        let current = self.current;
        let Some(question) = self.candidates.get_mut(current).and_then(|it| it.question.as_mut()) else {
            return self.next(now, upstreams, out);
        };
        match question.handle_timeout(&mut upstreams.call(now, out)) {
            // No wait of its own is left, only that for the end.
            None if question.next_timeout().is_none() => self.next(now, upstreams, out),
            event => self.after(now, current, event, upstreams, out),
        }
    }

    /// Ends every exchange that is still open.
    pub fn finish(self, out: &mut Outbox) {
        self.candidates.into_iter().filter_map(|it| it.question).for_each(|mut question| question.stop(out));
    }

    /// Follows up on what came of a candidate's question.
    fn after(
        &mut self,
        now: Mono,
        at: usize,
        event: Option<Event>,
        upstreams: &mut Upstreams,
        out: &mut Outbox,
    ) -> Step {
        let candidate = &self.candidates[at];
        let server = candidate.server;
        match event {
            None => {
                if at == self.current {
                    let due = candidate.question.as_ref().and_then(Question::next_timeout);
                    self.timer = due.map_or(self.timer, |due| due.min(self.until));
                }
                Step::Wait
            }
            Some(Event::Answered(reply)) => self.answered(now, at, reply, upstreams, out),
            Some(Event::Silent) => {
                self.waited += 1;
                let question = candidate.question.as_ref();
                let asked = question.and_then(Question::last_asked).map_or(now, |asked| asked.mono);
                upstreams.lost(now, server, now.since(asked));
                match question.map(Question::transport) {
                    Some(Transport::Tcp) => self.give_up(now, at, upstreams, out),
                    _ => self.next(now, upstreams, out),
                }
            }
            Some(Event::Failed { fault, .. }) => {
                if let Fault::Network(Failure::Refused | Failure::Unreachable | Failure::Unanswered) = fault {
                    upstreams.unreachable(now, server);
                }
                self.give_up(now, at, upstreams, out)
            }
            // Transfers are not resolved.
            Some(Event::Transfer { .. }) => self.give_up(now, at, upstreams, out),
        }
    }

    fn answered(
        &mut self,
        now: Mono,
        at: usize,
        reply: Reply,
        upstreams: &mut Upstreams,
        out: &mut Outbox,
    ) -> Step {
        let Reply { message, asked, transport, .. } = reply;
        let server = self.candidates[at].server;
        let serial = self.serial(&message, upstreams);
        upstreams.replied(server, (transport == Transport::Udp).then(|| now.since(asked.mono)));
        match message.rcode() {
            Rcode::NOERROR | Rcode::NXDOMAIN | Rcode::YXDOMAIN if !message.header.is_truncated() => {
                let zone = &upstreams.route(self.route).zone;
                match bailiwick::sift(message, &self.ask, zone, |name| {
                    upstreams.may_tell(self.route, name, self.ask.rtype)
                }) {
                    Verdict::Useless => self.give_up(now, at, upstreams, out),
                    verdict => {
                        let from = upstreams.address(server);
                        match serial.filter(|serial| !upstreams.shows(self.route, *serial)) {
                            Some(serial) => self.is_behind(now, at, (verdict, from, serial), upstreams, out),
                            None => Step::Done { verdict, from },
                        }
                    }
                }
            }
            _ => self.give_up(now, at, upstreams, out),
        }
    }

    /// Which version of the zone a server of it answers from.
    fn serial(&self, message: &Message, upstreams: &Upstreams) -> Option<Serial> {
        let route = upstreams.route(self.route);
        let version = message.option(ZONEVERSION).filter(|_| !route.recursive)?;
        zoneversion::read(&route.zone, version)
    }

    /// Keeps the newest of the replies from servers that are behind, and turns to the next server.
    fn is_behind(
        &mut self,
        now: Mono,
        at: usize,
        (verdict, from, serial): (Verdict, SocketAddr, Serial),
        upstreams: &mut Upstreams,
        out: &mut Outbox,
    ) -> Step {
        let until = self.older.as_ref().map_or(now + WAITS[0], |older| older.until);
        if self.older.as_ref().is_none_or(|older| serial.is_newer_than(older.serial)) {
            self.older = Some(Older { verdict, from, serial, until });
        }
        self.give_up(now, at, upstreams, out)
    }

    /// Nobody answers any more: what a server said that is behind is the newest there is.
    fn exhausted(&mut self, upstreams: &mut Upstreams) -> Step {
        let Some(Older { verdict, from, serial, .. }) = self.older.take() else { return Step::Exhausted };
        upstreams.steps_back(self.route, serial);
        Step::Done { verdict, from }
    }

    /// Asks no more of a server for this question and goes to the next one.
    fn give_up(&mut self, now: Mono, at: usize, upstreams: &mut Upstreams, out: &mut Outbox) -> Step {
        self.candidates[at].failed = true;
        if let Some(mut question) = self.candidates[at].question.take() {
            question.stop(out);
        }
        self.next(now, upstreams, out)
    }

    /// Turns to the best server that has not failed yet.
    fn next(&mut self, now: Mono, upstreams: &mut Upstreams, out: &mut Outbox) -> Step {
        if now >= self.until {
            return self.exhausted(upstreams);
        }
        let open: Vec<_> = self
            .candidates
            .iter()
            .map(|candidate| (!candidate.failed).then_some((candidate.server, candidate.asked)))
            .collect();
        let pick = upstreams.pick(now, &open);
        // Those that are silent are not worth the wait where somebody has answered.
        let Some(at) = pick
            .filter(|at| self.older.is_none() || !upstreams.is_held_down(now, self.candidates[*at].server))
        else {
            return self.exhausted(upstreams);
        };
        if self.sends >= MAX_SENDS || now + WAITS[0] > self.until {
            // Another one could not answer in time any more; whoever has been asked has until the end.
            self.timer = self.until;
            let is_asked = self.candidates.iter().any(|candidate| candidate.question.is_some());
            return if is_asked { Step::Wait } else { self.exhausted(upstreams) };
        }
        self.sends += 1;
        self.current = at;
        let last = self.waited.min(WAITS.len() - 1);
        let recursive = upstreams.route(self.route).recursive;
        let candidate = &mut self.candidates[at];
        candidate.asked += 1;
        let to = upstreams.address(candidate.server);
        let call = &mut upstreams.call(now, out);
        match &mut candidate.question {
            Some(question) => question.ask_again(&WAITS[last], call),
            None => {
                let policy = Policy {
                    datagrams: &WAITS[last..=last],
                    tcp: TCP_TIMEOUT,
                    silence_to_tcp: false,
                    start: Start::AtOnce,
                };
                candidate.question = Some(Question::start(to, query(&self.ask, recursive), policy, call));
            }
        }
        self.after(now, at, None, upstreams, out)
    }
}

fn query(ask: &Ask, recursive: bool) -> Query {
    // Who recurses answers from many zones, and may not know the option.
    let mut options = Vec::new();
    if !recursive {
        push_option(&mut options, ZONEVERSION, &[]);
    }
    // Whoever validates is told that the client does (RFC 6840 5.9).
    let disabled = if ask.flags.checking_disabled { flags::CD } else { 0 };
    Query {
        flags: if recursive { flags::RD | disabled } else { 0 },
        edns: Some(Edns { dnssec_ok: ask.flags.dnssec_ok, options }),
        ..Query::new(ask.name.clone(), ask.rtype)
    }
}

#[cfg(test)]
mod tests;
