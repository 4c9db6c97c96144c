//! Forwarding and stub resolution: one question put to the servers of one zone until one of them answers.
//!
//! ```text
//!            send          no reply in time: the next server, or the same again
//!   start ─────────▶ Wait ◀──────────────────────────────────────────────────┐
//!                     │ ├── TC ─▶ the same server by TCP ────────────────────┤
//!                     │ ├── FORMERR to EDNS ─▶ the same server without EDNS ─┤
//!                     │ ├── SERVFAIL, REFUSED, a referral ─▶ the next server ┘
//!                     │ └── not a reply to this question: ignored, counted
//!                     ├── a reply of use ───────────────▶ Done
//!                     └── out of time or of servers ────▶ Exhausted
//! ```
//!
//! An exchange stays open when the next one begins, so a reply that is merely late still counts.

use std::net::SocketAddr;
use std::time::Duration;

use crate::ask::exchange::{Arrival, Failure, Outbox, Token, Transport};
use crate::time::Mono;
use crate::wire::edns::UDP_PAYLOAD;
use crate::wire::message::{Message, Opcode, flags};
use crate::wire::rtype::{CLASS_IN, Rcode};
use crate::wire::writer::Writer;

use super::bailiwick::{self, Verdict};
use super::cache::Ask;
use super::upstream::Upstreams;

/// How long the first message is waited for; doubled with each further one.
pub const FIRST_TIMEOUT: Duration = Duration::from_millis(400);
/// The longest wait for one message.
pub const MOST_TIMEOUT: Duration = Duration::from_millis(1_600);
/// How long a TCP exchange is waited for.
pub const TCP_TIMEOUT: Duration = Duration::from_millis(2_000);
/// How long a question lasts at most. Stub resolvers commonly wait for 5 s, and the answer must reach them before.
pub const BUDGET: Duration = Duration::from_millis(4_500);
/// Messages sent for one question at most: more servers than that would not be reached within the budget anyway.
pub const MAX_SENDS: usize = 16;
/// Messages that are no reply to the question before the server is given up (RFC 5452 9.3: somebody is guessing).
pub const MAX_BAD: u32 = 16;

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
    timeout: Duration,
    candidates: Vec<Candidate>,
    sent: Vec<Sent>,
    sends: usize,
    bad: u32,
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
        let candidates = servers.map(|&server| Candidate { server, asked: 0, failed: false }).collect();
        let mut forward = Forward {
            ask,
            route,
            until,
            timer: until,
            timeout: FIRST_TIMEOUT,
            candidates,
            sent: Vec::new(),
            sends: 0,
            bad: 0,
        };
        let step = forward.next(now, upstreams, out);
        (forward, step)
    }

    /// When [`Forward::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Mono {
        self.timer
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
        let Some(at) = self.sent.iter().position(|sent| sent.token == token) else { return Step::Wait };
        match arrival {
            Arrival::Sent => Step::Wait,
            Arrival::Message(bytes) => self.message(now, at, &bytes, upstreams, out),
            Arrival::Failed(failure) => {
                let sent = self.sent.remove(at);
                if matches!(failure, Failure::Refused | Failure::Unreachable) {
                    upstreams.unreachable(now, self.candidates[sent.candidate].server);
                }
                self.give_up(now, sent.candidate, upstreams, out)
            }
        }
    }

    /// Sends again, or to the next server, when the time has come.
    pub fn handle_timeout(&mut self, now: Mono, upstreams: &mut Upstreams, out: &mut Outbox) -> Step {
        if now < self.timer {
            return Step::Wait;
        }
        self.timeout = (self.timeout * 2).min(MOST_TIMEOUT);
        if let Some(last) = self.sent.last_mut().filter(|last| !last.lost) {
            last.lost = true;
            let Sent { candidate, at, transport, .. } = *last;
            upstreams.lost(now, self.candidates[candidate].server, now.since(at));
            if transport == Transport::Tcp {
                return self.give_up(now, candidate, upstreams, out);
            }
        }
        self.next(now, upstreams, out)
    }

    /// Ends every exchange that is still open.
    pub fn finish(self, out: &mut Outbox) {
        for sent in &self.sent {
            out.cancel(sent.token);
        }
    }

    fn message(
        &mut self,
        now: Mono,
        at: usize,
        bytes: &[u8],
        upstreams: &mut Upstreams,
        out: &mut Outbox,
    ) -> Step {
        let Sent { candidate, at: sent_at, transport, edns, .. } = self.sent[at];
        let server = self.candidates[candidate].server;
        let Some(message) = reply_to(&self.ask, bytes) else {
            self.bad += 1;
            return if self.bad > MAX_BAD {
                self.give_up(now, candidate, upstreams, out)
            } else {
                Step::Wait
            };
        };
        upstreams.replied(server, (transport == Transport::Udp).then(|| now.since(sent_at)));
        if message.header.is_truncated() && transport == Transport::Udp {
            return self.again(now, at, Transport::Tcp, edns, upstreams, out);
        }
        match message.rcode() {
            // RFC 6891 section 7: a server that does not know EDNS.
            Rcode::FORMERR | Rcode::NOTIMP | Rcode::BADVERS if edns => {
                self.again(now, at, transport, false, upstreams, out)
            }
            Rcode::NOERROR | Rcode::NXDOMAIN | Rcode::YXDOMAIN if !message.header.is_truncated() => {
                match bailiwick::sift(message, &self.ask, |name| upstreams.may_tell(self.route, name)) {
                    Verdict::Useless => self.give_up(now, candidate, upstreams, out),
                    verdict => Step::Done { verdict, from: upstreams.address(server) },
                }
            }
            _ => self.give_up(now, candidate, upstreams, out),
        }
    }

    /// Asks no more of a server for this question and goes to the next one.
    fn give_up(&mut self, now: Mono, candidate: usize, upstreams: &mut Upstreams, out: &mut Outbox) -> Step {
        self.candidates[candidate].failed = true;
        self.sent.retain(|sent| {
            if sent.candidate == candidate {
                out.cancel(sent.token);
            }
            sent.candidate != candidate
        });
        self.next(now, upstreams, out)
    }

    /// Asks the same server in another way.
    fn again(
        &mut self,
        now: Mono,
        at: usize,
        transport: Transport,
        edns: bool,
        upstreams: &mut Upstreams,
        out: &mut Outbox,
    ) -> Step {
        let sent = self.sent.remove(at);
        out.cancel(sent.token);
        if self.sends >= MAX_SENDS {
            return self.give_up(now, sent.candidate, upstreams, out);
        }
        let wait = if transport == Transport::Tcp { TCP_TIMEOUT } else { self.timeout };
        self.send(now, sent.candidate, transport, edns, wait, upstreams, out);
        Step::Wait
    }

    /// Sends to the best server that has not failed yet.
    fn next(&mut self, now: Mono, upstreams: &mut Upstreams, out: &mut Outbox) -> Step {
        if now >= self.until {
            return Step::Exhausted;
        }
        let open: Vec<_> = self
            .candidates
            .iter()
            .map(|candidate| (!candidate.failed).then_some((candidate.server, candidate.asked)))
            .collect();
        let Some(candidate) = upstreams.pick(now, &open) else { return Step::Exhausted };
        if self.sends >= MAX_SENDS || now + FIRST_TIMEOUT > self.until {
            // Another one could not answer in time any more; whoever has been asked has until the end.
            self.timer = self.until;
            return if self.sent.is_empty() { Step::Exhausted } else { Step::Wait };
        }
        self.candidates[candidate].asked += 1;
        self.send(now, candidate, Transport::Udp, true, self.timeout, upstreams, out);
        Step::Wait
    }

    #[allow(clippy::too_many_arguments)] // One message has this many properties, and two callers.
    fn send(
        &mut self,
        now: Mono,
        candidate: usize,
        transport: Transport,
        edns: bool,
        wait: Duration,
        upstreams: &mut Upstreams,
        out: &mut Outbox,
    ) {
        let recursive = upstreams.route(self.route).recursive;
        let message = query(&self.ask, upstreams.id(), recursive, edns);
        let to = upstreams.address(self.candidates[candidate].server);
        let token = out.send(to, transport, message);
        self.sent.push(Sent { token, candidate, at: now, transport, edns, lost: false });
        self.sends += 1;
        self.timer = (now + wait).min(self.until);
    }
}

/// A server as this question sees it.
#[derive(Debug)]
struct Candidate {
    server: usize,
    asked: u32,
    failed: bool,
}

/// An open exchange.
#[derive(Clone, Copy, Debug)]
struct Sent {
    token: Token,
    candidate: usize,
    at: Mono,
    transport: Transport,
    edns: bool,
    /// Whether its time has run out (it may still be answered).
    lost: bool,
}

fn query(ask: &Ask, id: u16, recursive: bool, edns: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    let mut writer = Writer::new(&mut bytes, 512, id, if recursive { flags::RD } else { 0 });
    // A question takes 259 bytes at most and an empty OPT 11: always within 512.
    let _ = writer.question(&ask.name, ask.rtype, CLASS_IN);
    if edns {
        let _ = writer.opt(UDP_PAYLOAD, Rcode::NOERROR, ask.dnssec_ok, &[]);
    }
    writer.finish();
    bytes
}

/// The message, if it is a reply to this question. Only a server that could not read the question may leave it out.
fn reply_to(ask: &Ask, bytes: &[u8]) -> Option<Message> {
    let message = Message::read(bytes).ok()?;
    let answers = match &message.question {
        Some(question) => {
            question.name == ask.name && question.rtype == ask.rtype && question.class == CLASS_IN
        }
        None => matches!(message.rcode(), Rcode::FORMERR | Rcode::NOTIMP),
    };
    let reply = message.header.is_response() && message.header.opcode() == Opcode::QUERY;
    (reply && answers).then_some(message)
}

#[cfg(test)]
mod tests;
