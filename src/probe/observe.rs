//! What a server shows of a zone: one [`Question`] to it, and its answer read.
//!
//! Whatever a server shows, it shows at some moment between [`Observation::sent`] and [`Observation::received`]: an answer
//! counts for the sending that it answers, however often the question was repeated since.

use std::net::SocketAddr;
use std::time::Duration;

use crate::ask::exchange::{Arrival, Outbox, Start, Token};
use crate::ask::query::{Edns, Query};
use crate::ask::question::{self, Call, Fault, Policy, Question};
use crate::time::{Mono, Now};
use crate::wire::edns::{self, push_option};
use crate::wire::message::flags;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::zone::stamp;

use super::observation::{Ask, Observation, Reason};
use super::reading;

/// How long an answer is waited for before the question is repeated, and, by the last one, given up. Twice what most
/// paths take, doubled each time: a lost datagram costs a third of a second, a dead server three questions.
pub const PATIENCE: &[Duration] =
    &[Duration::from_millis(300), Duration::from_millis(600), Duration::from_millis(1_200)];
/// How long an answer is waited for over TCP, when the one over UDP was cut.
const TCP_WAIT: Duration = Duration::from_secs(2);

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

impl Event {
    /// The same about another zone of the server.
    pub(super) fn about(&self, zone: &Name) -> Event {
        let mut event = self.clone();
        match &mut event {
            Event::Seen(seen) => seen.zone = zone.clone(),
            Event::Failed { zone: about, .. } | Event::Silent { zone: about, .. } => *about = zone.clone(),
        }
        event
    }

    /// What is wrong with the server, as all who tell of it have it.
    pub fn fault(&self) -> Option<Reason> {
        match self {
            Event::Seen(_) => None,
            Event::Failed { reason, .. } => Some(*reason),
            Event::Silent { .. } => Some(Reason::Silence),
        }
    }

    /// Whether the server said nothing at all.
    pub fn is_silence(&self) -> bool {
        self.fault().is_some_and(|fault| !fault.is_answer())
    }
}

/// One question on its way.
#[derive(Debug)]
pub struct Probe {
    ask: Ask,
    question: Question,
    since: Mono,
}

impl Probe {
    /// Asks for the first time. `patience`: how long to wait for an answer after each datagram.
    pub fn start(ask: Ask, patience: &'static [Duration], call: &mut Call<'_>) -> Probe {
        let policy =
            Policy { datagrams: patience, tcp: TCP_WAIT, silence_to_tcp: false, start: Start::AtOnce };
        let question = Question::start(ask.server, query(&ask), policy, call);
        Probe { ask, question, since: call.now.mono }
    }

    /// Whom and what it asks.
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// The exchanges that are open.
    pub fn tokens(&self) -> impl Iterator<Item = Token> {
        self.question.tokens()
    }

    /// When [`Probe::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<Mono> {
        self.question.next_timeout()
    }

    /// Takes in what came back; an event ends the probe.
    pub fn arrived(&mut self, token: Token, arrival: &Arrival, call: &mut Call<'_>) -> Option<Event> {
        let event = self.question.arrived(token, arrival, call)?;
        Some(self.end(event, call))
    }

    /// Asks again, or gives up; an event ends the probe. Does nothing before its time.
    pub fn handle_timeout(&mut self, call: &mut Call<'_>) -> Option<Event> {
        let event = self.question.handle_timeout(call)?;
        Some(self.end(event, call))
    }

    /// Ends all exchanges.
    pub fn stop(&mut self, out: &mut Outbox) {
        self.question.stop(out);
    }

    fn end(&mut self, event: question::Event, call: &mut Call<'_>) -> Event {
        self.stop(call.out);
        let (server, zone) = (self.ask.server, self.ask.zone.clone());
        let failed = |asked: Now, reason| Event::Failed {
            server,
            zone: zone.clone(),
            sent: asked.mono,
            received: call.now.mono,
            reason,
        };
        match event {
            question::Event::Answered(reply) => match reading::read(&self.ask, &reply, call.now.mono) {
                Ok(observation) => Event::Seen(observation),
                Err(reason) => failed(reply.asked, reason),
            },
            question::Event::Failed { asked, fault: Fault::Network(failure) } => {
                failed(asked, Reason::Network(failure))
            }
            question::Event::Failed { asked, .. } | question::Event::Transfer { asked, .. } => {
                failed(asked, Reason::Malformed)
            }
            question::Event::Silent => Event::Silent { server, zone, since: self.since },
        }
    }
}

fn query(ask: &Ask) -> Query {
    let mut options = Vec::new();
    push_option(&mut options, edns::ZONEVERSION, &[]);
    push_option(&mut options, edns::NSID, &[]);
    // EXPIRE goes with a query for the SOA record only (RFC 7314).
    if ask.rtype == Rtype::SOA {
        push_option(&mut options, edns::EXPIRE, &[]);
    }
    push_option(&mut options, edns::STAMP, &stamp::ask(ask.have));
    Query {
        flags: if ask.recursive { flags::RD } else { 0 },
        edns: Some(Edns { dnssec_ok: false, options }),
        ..Query::new(ask.name.clone(), ask.rtype)
    }
}

#[cfg(test)]
mod tests;
