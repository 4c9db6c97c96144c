//! One question to one server, repeated until it is answered.
//!
//! ```text
//! start --> Waiting --answer--------------------------> Seen | Failed
//!            |   ^  \--FORMERR, NOTIMP without OPT----> (once more, without EDNS: RFC 6891 7)
//!            |   |   \-nobody listens, no way there---> Failed
//!            |   '-- a wait is over: send again
//!            '------ the last wait is over -----------> Silent
//! ```
//!
//! Every repetition is an exchange of its own (new port, new id), and the earlier ones stay open: the answer that comes
//! first ends the probe, and says by its exchange when its question left. Whatever a server shows, it shows at some moment
//! between [`Observation::sent`] and [`Observation::received`].

use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::ask::exchange::{Arrival, Outbox, Token, Transport};
use crate::time::{Mono, Now};
use crate::wire::edns::{self, push_option};
use crate::wire::message::flags;
use crate::wire::name::Name;
use crate::wire::rtype::{CLASS_IN, Rcode, Rtype};
use crate::wire::writer::Writer;
use crate::zone::stamp::{self};

use super::observation::{Ask, Observation, Reason};
use super::reading::{self, Answered};

/// How long an answer is waited for before the question is repeated, and, by the last one, given up. Twice what most
/// paths take, doubled each time: a lost datagram costs a third of a second, a dead server three questions.
pub const PATIENCE: &[Duration] =
    &[Duration::from_millis(300), Duration::from_millis(600), Duration::from_millis(1_200)];

/// How a probe ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server showed what it serves.
    Seen(Observation),
    /// The server cannot be asked, or its answer says nothing about the zone.
    Failed {
        /// The server.
        server: SocketAddr,
        /// The zone that was asked about.
        zone: Name,
        /// When the question left.
        sent: Mono,
        /// When the failure was known.
        received: Mono,
        /// What is wrong.
        reason: Reason,
    },
    /// No answer came.
    Silent {
        /// The server.
        server: SocketAddr,
        /// The zone that was asked about.
        zone: Name,
        /// When it was asked first.
        since: Mono,
    },
}

/// One question on its way.
#[derive(Debug)]
pub struct Probe {
    ask: Ask,
    patience: &'static [Duration],
    sendings: Vec<Sending>,
    since: Mono,
    deadline: Mono,
    edns: bool,
}

#[derive(Debug)]
struct Sending {
    token: Token,
    at: Now,
}

impl Probe {
    /// Asks for the first time. `patience`: how long to wait for an answer after each sending.
    pub fn start(
        now: Now,
        ask: Ask,
        patience: &'static [Duration],
        rng: &mut StdRng,
        out: &mut Outbox,
    ) -> Probe {
        let mut probe =
            Probe { ask, patience, sendings: Vec::new(), since: now.mono, deadline: now.mono, edns: true };
        probe.send(now, rng, out);
        probe
    }

    /// Whom and what it asks.
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// The exchanges that are open.
    pub fn tokens(&self) -> impl Iterator<Item = Token> {
        self.sendings.iter().map(|sending| sending.token)
    }

    /// When [`Probe::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Mono {
        self.deadline
    }

    /// Takes in what came back; an event ends the probe.
    pub fn arrival(
        &mut self,
        now: Now,
        token: Token,
        arrival: Arrival,
        rng: &mut StdRng,
        out: &mut Outbox,
    ) -> Option<Event> {
        let sent = self.sendings.iter().find(|sending| sending.token == token)?.at;
        let answered = match arrival {
            Arrival::Sent => return None,
            Arrival::Message(bytes) => reading::read(&self.ask, &bytes),
            Arrival::Failed(failure) => Answered::Wrong(Reason::Network(failure)),
        };
        let event = match answered {
            Answered::NotThis => return None,
            Answered::WithoutEdns if self.edns => {
                self.edns = false;
                self.stop(out);
                self.send(now, rng, out);
                return None;
            }
            Answered::WithoutEdns => self.failed(sent.mono, now.mono, Reason::Rcode(Rcode::FORMERR)),
            Answered::Wrong(reason) => self.failed(sent.mono, now.mono, reason),
            Answered::Shown(mut observation) => {
                observation.sent = sent.mono;
                observation.sent_utc = sent.utc;
                observation.received = now.mono;
                Event::Seen(*observation)
            }
        };
        self.stop(out);
        Some(event)
    }

    /// Asks again, or gives up; an event ends the probe. Does nothing before its time.
    pub fn handle_timeout(&mut self, now: Now, rng: &mut StdRng, out: &mut Outbox) -> Option<Event> {
        if now.mono < self.deadline {
            return None;
        }
        if self.sendings.len() < self.patience.len() {
            self.send(now, rng, out);
            return None;
        }
        self.stop(out);
        Some(Event::Silent { server: self.ask.server, zone: self.ask.zone.clone(), since: self.since })
    }

    /// Ends all exchanges.
    pub fn stop(&mut self, out: &mut Outbox) {
        self.sendings.drain(..).for_each(|sending| out.cancel(sending.token));
    }

    fn send(&mut self, now: Now, rng: &mut StdRng, out: &mut Outbox) {
        let wait = self.patience.get(self.sendings.len()).or(self.patience.last()).copied();
        self.deadline = now.mono + wait.unwrap_or_default();
        let message = query(&self.ask, rng.random(), self.edns);
        let token = out.send(self.ask.server, Transport::Udp, message);
        self.sendings.push(Sending { token, at: now });
    }

    fn failed(&self, sent: Mono, received: Mono, reason: Reason) -> Event {
        Event::Failed { server: self.ask.server, zone: self.ask.zone.clone(), sent, received, reason }
    }
}

fn query(ask: &Ask, id: u16, edns: bool) -> Vec<u8> {
    let flags = if ask.recursive { flags::RD } else { 0 };
    if edns {
        let mut options = Vec::new();
        push_option(&mut options, edns::ZONEVERSION, &[]);
        push_option(&mut options, edns::NSID, &[]);
        // EXPIRE goes with a query for the SOA record only (RFC 7314).
        if ask.rtype == Rtype::SOA {
            push_option(&mut options, edns::EXPIRE, &[]);
        }
        push_option(&mut options, edns::STAMP, &stamp::ask(ask.have));
        return Writer::query(id, flags, &ask.name, ask.rtype, &options);
    }
    let mut bytes = Vec::with_capacity(64);
    let mut writer = Writer::new(&mut bytes, 512, id, flags);
    // A header and one question are at most 271 bytes.
    let _ = writer.question(&ask.name, ask.rtype, CLASS_IN);
    writer.finish();
    bytes
}

#[cfg(test)]
mod tests;
