//! One question to one server, from the first datagram to the answer.
//!
//! ```text
//!           start, ask_again                     TC, or silence where the policy says so
//!        ┌──────────────────▶ over UDP ──────────────────────────────────────────┐
//!        │                     ▲ │  └─ a wait is over: the next datagram         │
//!        │  an error that is   │ │                                               ▼
//!        └─ due to EDNS: less ─┴─┼──────────────────────────────────────────── over TCP ◀── start (transfers)
//!                                │                                               │
//!                                ├── a reply, whatever its code ──▶ Answered ◀───┤
//!                                ├── no way there ───────────────▶ Failed ◀──────┤
//!                                └── the last wait is over ───────▶ Silent ◀─────┘──▶ Transfer, Transfer, ...
//! ```
//!
//! **Sendings.** Every sending is an exchange of its own, with another port and id, and the earlier ones stay open: the answer
//! that comes first counts, and dates from the sending that it answers.
//!
//! **EDNS.** A server or the path to it may object to options or to EDNS altogether. FORMERR, NOTIMP and BADVERS are taken as
//! such an objection (RFC 6891 section 7), whether or not an OPT record comes back, REFUSED and SERVFAIL as well while nothing
//! better is known of the server and they give no other reason (RFC 8914); the question is put again without options, then without
//! EDNS. Silence is taken as an objection by every third datagram, and by a second connection, which go without EDNS. [`Support`]
//! keeps what came of it. Silence may always be the network's doing: [`Omission`] tells what an answer lacks for that reason from what a server does
//! not have.
//!
//! **What is believed.** The driver has checked from whom a message comes; [`reply::read`] checks the rest. Over UDP what does
//! not match is passed over and counted, over TCP nobody else can speak and it ends the question.

use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::time::{Mono, Now};
use crate::wire::edns::EDE;
use crate::wire::message::Message;
use crate::wire::rtype::Rcode;

use super::exchange::{Arrival, Failure, Outbox, Start, Token, Transport};
use super::query::{Level, Query};
use super::reply::{self, Reading};
use super::support::{Omission, Support};

/// Datagrams that go out with EDNS to a server of which nothing is known, before one goes out without.
const DATAGRAMS_WITH_EDNS: usize = 2;
/// How long a connection to such a server is waited on before another one is opened without EDNS.
pub const CONNECTION_WITH_EDNS: Duration = Duration::from_secs(2);
/// Datagrams that are no reply to the question before it is given up: somebody is guessing (RFC 5452 9.3).
pub const MAX_STRANGE: u32 = 16;

/// How long an answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// After each datagram. Without any the question goes over TCP at once.
    pub datagrams: &'static [Duration],
    /// Over TCP, from the first connection on.
    pub tcp: Duration,
    /// Whether a question that no datagram was answered to goes over TCP.
    pub silence_to_tcp: bool,
    /// When the first sending may leave; whatever it takes to get an answer to it leaves at once.
    pub start: Start,
}

/// What one call into a question has at hand.
#[derive(Debug)]
pub struct Call<'a> {
    /// The present.
    pub now: Now,
    /// Of message ids.
    pub rng: &'a mut StdRng,
    /// What servers take of EDNS.
    pub support: &'a mut Support,
    /// For what is to be sent.
    pub out: &'a mut Outbox,
}

/// What comes of a question. [`Event::Answered`] ends it; after the others the caller decides, by [`Question::stop`] or
/// [`Question::ask_again`], or by waiting on.
#[derive(Debug)]
pub enum Event {
    /// The server replied. No other way of asking changes its response code.
    Answered(Reply),
    /// The message that has just arrived is the next one of the transfer.
    Transfer {
        /// When the question left that it answers.
        asked: Now,
        /// As in [`Reply::omission`].
        omission: Omission,
    },
    /// The last sending failed, or what came back is no answer.
    Failed {
        /// When it left.
        asked: Now,
        /// Why it failed.
        fault: Fault,
    },
    /// The last wait is over. What arrives until the question is stopped still counts.
    Silent,
}

/// A server's reply.
#[derive(Debug)]
pub struct Reply {
    /// The message.
    pub message: Message,
    /// When the question left that it answers.
    pub asked: Now,
    /// The transport that it came over.
    pub transport: Transport,
    /// What it means when an option is missing in it.
    pub omission: Omission,
}

/// Why a question failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The exchange ended.
    #[error("{0}")]
    Network(Failure),
    /// What came back breaks the format, or is no reply to the question.
    #[error("malformed answer")]
    Malformed,
    /// More than [`MAX_STRANGE`] datagrams came that are no reply to the question.
    #[error("too many datagrams that are no answer")]
    Strange,
}

/// One question on its way.
#[derive(Debug)]
pub struct Question {
    to: SocketAddr,
    query: Query,
    policy: Policy,
    waits: std::slice::Iter<'static, Duration>,
    /// The most of EDNS that the next sending has.
    level: Level,
    /// Whether the server was known to take that much when it was asked first.
    known: bool,
    transport: Transport,
    sendings: Vec<Sending>,
    /// Datagrams sent at this level.
    datagrams: usize,
    deadline: Option<Mono>,
    /// When the last wait over TCP is over.
    end: Mono,
    /// The reply that made the question go out with less of EDNS: what the server has to say if nothing better comes.
    objection: Option<Reply>,
    strange: u32,
    malformed: bool,
    /// When the next sending may leave.
    start: Start,
    /// The sending that waits for its turn, and how long an answer to it is to be waited for: until the next step, and in all.
    turn: Option<(Token, Option<Duration>, Duration)>,
    /// The exchange that a transfer comes by.
    transfer: Option<Token>,
    omission: Omission,
}

#[derive(Clone, Copy, Debug)]
struct Sending {
    token: Token,
    id: u16,
    asked: Now,
    transport: Transport,
    level: Level,
}

impl Question {
    /// Asks for the first time.
    pub fn start(to: SocketAddr, query: Query, policy: Policy, call: &mut Call<'_>) -> Question {
        let known = call.support.level(call.now.mono, to);
        let level = known.map_or(query.level(), |known| known.min(query.level()));
        let mut question = Question {
            to,
            query,
            policy,
            waits: policy.datagrams.iter(),
            level,
            known: known.is_some(),
            transport: Transport::Udp,
            sendings: Vec::new(),
            datagrams: 0,
            deadline: None,
            end: call.now.mono,
            objection: None,
            strange: 0,
            malformed: false,
            start: policy.start,
            turn: None,
            transfer: None,
            omission: Omission::Absent,
        };
        question.begin(call);
        if let Some((_, wait, end)) = &mut question.turn {
            *wait = question.deadline.take().map(|deadline| deadline.since(call.now.mono));
            *end = question.end.since(call.now.mono);
        }
        question
    }

    /// Sends another datagram, and waits so long.
    pub fn ask_again(&mut self, wait: &'static Duration, call: &mut Call<'_>) {
        self.waits = std::slice::from_ref(wait).iter();
        self.next_datagram(call);
    }

    /// The server.
    pub fn to(&self) -> SocketAddr {
        self.to
    }

    /// The transport of the last sending.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// When the last sending left.
    pub fn last_asked(&self) -> Option<Now> {
        self.sendings.last().map(|sending| sending.asked)
    }

    /// The exchanges that are open.
    pub fn tokens(&self) -> impl Iterator<Item = Token> {
        self.sendings.iter().map(|sending| sending.token)
    }

    /// When [`Question::handle_timeout`] is due; `None` when no wait is left.
    pub fn next_timeout(&self) -> Option<Mono> {
        self.deadline
    }

    /// Takes in what came back; tokens of others are left alone.
    pub fn arrived(&mut self, token: Token, arrival: &Arrival, call: &mut Call<'_>) -> Option<Event> {
        let at = self.sendings.iter().position(|sending| sending.token == token)?;
        let sending = self.sendings[at];
        let bytes = match arrival {
            Arrival::Sent => {
                self.turn_came(at, call.now);
                return None;
            }
            Arrival::Message(bytes) => bytes,
            Arrival::Failed(failure) => return self.failed(at, *failure, call),
        };
        match self.incoming(&sending, bytes) {
            Reading::Reply(message) => self.replied(at, *message, call),
            Reading::Transfer => self.transferred(&sending, call),
            Reading::Malformed | Reading::Other if self.transfer.is_some() => {
                self.transferred(&sending, call)
            }
            Reading::Malformed => self.stranger(&sending, true),
            Reading::Other => self.stranger(&sending, false),
        }
    }

    /// Sends again, or says that no wait is left. Does nothing before its time.
    pub fn handle_timeout(&mut self, call: &mut Call<'_>) -> Option<Event> {
        self.deadline.filter(|deadline| *deadline <= call.now.mono)?;
        match self.transport {
            Transport::Udp if !self.waits.as_slice().is_empty() => self.next_datagram(call),
            Transport::Udp if self.policy.silence_to_tcp => self.connect(self.level, call),
            Transport::Tcp if call.now.mono < self.end => {
                self.send(Transport::Tcp, Level::Plain, call);
                self.deadline = Some(self.end);
            }
            _ => {
                self.deadline = None;
                return Some(self.silent(call));
            }
        }
        None
    }

    /// Whether it has not left yet: its turn at the server has not come.
    pub fn is_waiting(&self) -> bool {
        self.turn.is_some()
    }

    /// Counts the time from when the question left, now that it has.
    fn turn_came(&mut self, at: usize, now: Now) {
        let sending = &mut self.sendings[at];
        if let Some((_, wait, end)) = self.turn.take_if(|(token, ..)| *token == sending.token) {
            sending.asked = now;
            self.deadline = wait.map(|wait| now.mono + wait);
            self.end = now.mono + end;
        }
    }

    /// Ends all exchanges; that of a transfer has come to its end, and its connection can carry another one.
    pub fn finish(&mut self, out: &mut Outbox) {
        if let Some(token) = self.transfer {
            out.finish(token);
            self.sendings.retain(|sending| sending.token != token);
        }
        self.stop(out);
    }

    /// Ends all exchanges.
    pub fn stop(&mut self, out: &mut Outbox) {
        self.sendings.drain(..).for_each(|sending| out.cancel(sending.token));
        self.deadline = None;
        self.turn = None;
    }

    /// Makes the bytes of a message. Every message of every question passes here: a MAC (RFC 8945) is appended here.
    fn outgoing(&self, id: u16, level: Level) -> Vec<u8> {
        self.query.write(id, level)
    }

    /// Reads the bytes of a message. Every message in reply to every question passes here, those of transfers too: a MAC
    /// (RFC 8945 5.3.1) is checked here.
    fn incoming(&self, sending: &Sending, bytes: &[u8]) -> Reading {
        reply::read(&self.query, sending.id, bytes)
    }

    fn begin(&mut self, call: &mut Call<'_>) {
        self.waits = self.policy.datagrams.iter();
        self.datagrams = 0;
        match self.policy.datagrams {
            [] => self.connect(self.level, call),
            _ => self.next_datagram(call),
        }
    }

    fn next_datagram(&mut self, call: &mut Call<'_>) {
        let Some(wait) = self.waits.next() else { return };
        let is_objected_to = !self.known && self.datagrams >= DATAGRAMS_WITH_EDNS;
        let level = if is_objected_to { Level::Plain } else { self.level };
        self.datagrams += 1;
        self.send(Transport::Udp, level, call);
        self.deadline = Some(call.now.mono + *wait);
    }

    fn connect(&mut self, level: Level, call: &mut Call<'_>) {
        self.send(Transport::Tcp, level, call);
        self.end = call.now.mono + self.policy.tcp;
        let first = if self.may_object(level) { call.now.mono + CONNECTION_WITH_EDNS } else { self.end };
        self.deadline = Some(first.min(self.end));
    }

    fn send(&mut self, transport: Transport, level: Level, call: &mut Call<'_>) {
        let id = call.rng.random();
        let message = self.outgoing(id, level);
        let token = match std::mem::replace(&mut self.start, Start::AtOnce) {
            Start::AtOnce => call.out.send(self.to, transport, message),
            Start::InTurn => {
                let token = call.out.queue(self.to, transport, message);
                self.turn = Some((token, None, Duration::ZERO));
                token
            }
        };
        self.transport = transport;
        self.sendings.push(Sending { token, id, asked: call.now, transport, level });
    }

    /// Whether silence or a refusal may be due to this much of EDNS.
    fn may_object(&self, level: Level) -> bool {
        level > Level::Plain && !self.known
    }

    fn failed(&mut self, at: usize, failure: Failure, call: &mut Call<'_>) -> Option<Event> {
        let Sending { token, asked, transport, level, .. } = self.sendings.remove(at);
        let fault = Fault::Network(failure);
        if self.transfer == Some(token) {
            return Some(Event::Failed { asked, fault });
        }
        let is_followed = at < self.sendings.len();
        let is_beside = transport == Transport::Tcp
            && self.sendings.iter().any(|sending| sending.transport == Transport::Tcp);
        if is_followed || is_beside {
            return None;
        }
        if transport == Transport::Tcp && failure == Failure::Closed && self.may_object(level) {
            self.connect(Level::Plain, call);
            return None;
        }
        Some(self.objection(call.out).unwrap_or(Event::Failed { asked, fault }))
    }

    fn stranger(&mut self, sending: &Sending, is_ours: bool) -> Option<Event> {
        let asked = sending.asked;
        self.malformed |= is_ours;
        self.strange += 1;
        let fault = match sending.transport {
            Transport::Tcp => Fault::Malformed,
            Transport::Udp if self.strange > MAX_STRANGE => Fault::Strange,
            Transport::Udp => return None,
        };
        Some(Event::Failed { asked, fault })
    }

    fn transferred(&mut self, sending: &Sending, call: &mut Call<'_>) -> Option<Event> {
        if *self.transfer.get_or_insert(sending.token) != sending.token {
            return None;
        }
        if self.deadline.take().is_some() {
            let others = self.sendings.iter().filter(|other| other.token != sending.token);
            others.for_each(|other| call.out.cancel(other.token));
            self.sendings.retain(|other| other.token == sending.token);
            self.omission = self.note(sending.level, call);
        }
        Some(Event::Transfer { asked: sending.asked, omission: self.omission })
    }

    fn replied(&mut self, at: usize, message: Message, call: &mut Call<'_>) -> Option<Event> {
        let sending = self.sendings[at];
        let Sending { asked, transport, level, .. } = sending;
        if self.transfer.is_some() || self.query.is_transfer() && message.rcode() == Rcode::NOERROR {
            // An empty message within a transfer, or in place of one: whoever takes it in knows what that means.
            return self.transferred(&sending, call);
        }
        let objects = match message.rcode() {
            Rcode::FORMERR | Rcode::NOTIMP | Rcode::BADVERS => level > Level::Plain,
            Rcode::REFUSED | Rcode::SERVFAIL => {
                // With an OPT record of its own it has understood EDNS, and only options may have been too much; with an option
                // in it that no query has, which says why (RFC 8914), not even those.
                let has_reason = message.option(EDE).is_some();
                self.may_object(level) && !has_reason && (level == Level::Options || message.opt.is_none())
            }
            _ => false,
        };
        if objects {
            self.objected(level, Reply { message, asked, transport, omission: Omission::Absent }, call);
            return None;
        }
        if transport == Transport::Udp && message.header.is_truncated() {
            // RFC 2181 section 9: what it holds is not to be used.
            self.drop_sending(at, call.out);
            if self.transport == Transport::Udp {
                if message.rcode() == Rcode::NOERROR {
                    self.note(level, call);
                    self.known |= level == self.level;
                }
                self.connect(level, call);
            }
            return None;
        }
        let useful = matches!(message.rcode(), Rcode::NOERROR | Rcode::NXDOMAIN | Rcode::YXDOMAIN);
        let omission = if useful { self.note(level, call) } else { Omission::Absent };
        call.out.finish(self.sendings.remove(at).token);
        self.stop(call.out);
        Some(Event::Answered(Reply { message, asked, transport, omission }))
    }

    /// Puts the question again with less of EDNS: each time with less than before, so that it comes to an end.
    fn objected(&mut self, level: Level, reply: Reply, call: &mut Call<'_>) {
        let is_options = level == Level::Options && reply.message.rcode() != Rcode::BADVERS;
        self.level = if is_options { Level::Edns } else { Level::Plain };
        self.known = false;
        let transport = reply.transport;
        self.objection = Some(reply);
        self.stop(call.out);
        match transport {
            Transport::Udp => self.begin(call),
            Transport::Tcp => self.connect(self.level, call),
        }
    }

    /// Notes what an answer of use to a sending at this level says of the server.
    fn note(&mut self, level: Level, call: &mut Call<'_>) -> Omission {
        let (now, most) = (call.now.mono, self.query.level());
        if most == Level::Plain {
            return Omission::Absent;
        }
        if level < self.level {
            if self.objection.is_some() {
                call.support.objects(self.to, self.level);
            }
            let is_silent = call.support.is_silent_to_edns(now, self.to);
            return if is_silent { Omission::Unasked } else { Omission::Doubtful };
        }
        if level == Level::Plain && self.objection.is_none() && call.support.was_silent(self.to) {
            return Omission::Unasked;
        }
        // It takes all that was asked of it.
        let level = if level == most { Level::Options } else { level };
        call.support.takes(now, self.to, level);
        Omission::Absent
    }

    fn drop_sending(&mut self, at: usize, out: &mut Outbox) {
        out.cancel(self.sendings.remove(at).token);
    }

    /// What the server said before, where nothing better came.
    fn objection(&mut self, out: &mut Outbox) -> Option<Event> {
        let reply = self.objection.take()?;
        self.stop(out);
        Some(Event::Answered(reply))
    }

    fn silent(&mut self, call: &mut Call<'_>) -> Event {
        let malformed = Event::Failed { asked: call.now, fault: Fault::Malformed };
        let nothing = if self.malformed { malformed } else { Event::Silent };
        self.objection(call.out).unwrap_or(nothing)
    }
}

#[cfg(test)]
mod tests;
