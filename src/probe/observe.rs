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

use crate::outbox::{Arrival, Failure, Outbox, Token, Transport};
use crate::time::{Mono, Now, Utc};
use crate::wire::edns::{self, push_option};
use crate::wire::message::{Record, flags};
use crate::wire::name::Name;
use crate::wire::rtype::{CLASS_IN, Rcode, Rtype};
use crate::wire::writer::Writer;
use crate::zone::serial::Serial;
use crate::zone::stamp::{self, Told};

use super::reading::{self, Answered};

/// How long an answer is waited for before the question is repeated, and, by the last one, given up. Twice what most
/// paths take, doubled each time: a lost datagram costs a third of a second, a dead server three questions.
pub const PATIENCE: &[Duration] =
    &[Duration::from_millis(300), Duration::from_millis(600), Duration::from_millis(1_200)];

/// What is asked of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The server.
    pub server: SocketAddr,
    /// The zone that the question is about.
    pub zone: Name,
    /// QNAME, at or below the zone's apex.
    pub name: Name,
    /// QTYPE.
    pub rtype: Rtype,
    /// Whether the server is asked as a cache: RD is set, and its answer need not be authoritative.
    pub recursive: bool,
    /// The serial whose successors' stamps are asked for.
    pub have: Option<Serial>,
}

impl Ask {
    /// Asks an authoritative server for the SOA record of a zone.
    pub fn soa(server: SocketAddr, zone: Name) -> Ask {
        Ask { server, name: zone.clone(), zone, rtype: Rtype::SOA, recursive: false, have: None }
    }
}

/// What a server showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The server.
    pub server: SocketAddr,
    /// The zone that was asked about.
    pub zone: Name,
    /// When the question left that was answered.
    pub sent: Mono,
    /// When the answer was here.
    pub received: Mono,
    /// When the question left, in civil time.
    pub sent_utc: Utc,
    /// The serial whose successors were asked for.
    pub asked: Option<Serial>,
    /// The serial that the answer shows: of the SOA record where it was asked for, else by ZONEVERSION (RFC 9660).
    pub serial: Option<Serial>,
    /// The stamps, from a server that has some.
    pub told: Option<Told>,
    /// Seconds until the zone expires at the server (RFC 7314).
    pub expire: Option<u32>,
    /// EXPIRE of the SOA record in the answer, in seconds.
    pub soa_expire: Option<u32>,
    /// For how many seconds an answer that denies may be believed (RFC 2308), from the SOA record of the answer.
    pub negative_ttl: Option<u32>,
    /// The server's identifier.
    pub nsid: Option<Vec<u8>>,
    /// Whether AA was set.
    pub authoritative: bool,
    /// The response code: NOERROR, or NXDOMAIN for a name below the apex.
    pub rcode: Rcode,
    /// The records that were asked for, if there are any.
    pub records: Vec<Record>,
}

impl Observation {
    /// How long ago the server knew its content to be current, by its own word: from the stamp, in milliseconds, or else
    /// from EXPIRE, in whole seconds (it is SOA.EXPIRE less the time since the last good refresh, RFC 7314).
    pub fn verified_age(&self) -> Option<Duration> {
        if let Some(told) = &self.told {
            return Some(told.age).filter(|age| age.as_millis() < u128::from(u32::MAX));
        }
        let left = self.expire?;
        Some(Duration::from_secs(self.soa_expire?.saturating_sub(left).into()))
    }
}

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

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A response code that says nothing about the zone's content.
    #[error("{0}")]
    Rcode(Rcode),
    /// AA is not set: the server does not serve the zone itself, or has let it expire.
    #[error("not authoritative")]
    NotAuthoritative,
    /// There is no SOA record of the zone in the answer.
    #[error("no SOA record")]
    NoSoa,
    /// The answer does not fit into a datagram.
    #[error("answer too long for UDP")]
    Truncated,
    /// The answer breaks the format.
    #[error("malformed answer")]
    Malformed,
    /// The question did not get there.
    #[error("{0}")]
    Network(Failure),
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
