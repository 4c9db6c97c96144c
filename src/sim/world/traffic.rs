//! What passes between hosts: datagrams, connections, and questions of clients to caches.

use super::*;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::answer::context::{Client, Outcome};
use crate::answer::door::{self, Asked};
use crate::answer::reply::Reply;
use crate::answer::transfer::Transfer;
use crate::ask::admission::{Orders, Turn};
use crate::ask::exchange::{Exchange, Failure, Token, Transport};
use crate::publish::zone::Zone;
use crate::sim::check::number_in;
use crate::sim::content::{below, canary};
use crate::sim::host::FollowUp;
use crate::sim::net::Segment;
use crate::transfer::query::Kind;
use crate::wire::edns::EDE;
use crate::wire::message::{Message, flags};
use crate::wire::rtype::{Rcode, Rtype};
use crate::wire::via::Via;
use crate::wire::writer::Writer;
use crate::zone::builder::Builder;

/// A segment that finds no way is tried again after so long.
const AGAIN: Duration = Duration::from_millis(500);
/// So often, which makes the minute after which the daemon gives a connection up.
const TRIES: u32 = 120;
/// Between two messages of a connection.
const SPACING: Duration = Duration::from_micros(300);
/// A connection without requests is closed by the server, as in the daemon.
const IDLE: Duration = Duration::from_secs(10);
/// The canary that stands for the RRset which fits no datagram.
pub(super) const LARGE: usize = 2;
/// For how long after its TTL an answer may be one that a cache asked for just before it ran out: what a question lasts at most,
/// and the rounding of TTLs to seconds.
const LATE: Duration = Duration::from_millis(6_500);

/// A connection from a host's exchange to a server.
pub(super) struct Connection {
    back: Back,
    client: usize,
    server: usize,
    request: Vec<u8>,
    /// What the server sends.
    sends: Sends,
    /// When the last message arrives; later ones do not overtake it.
    arrived: Mono,
    tries: u32,
}

enum Sends {
    /// The connection is not there yet.
    Nothing,
    /// One reply.
    Reply(Option<Vec<u8>>),
    /// A transfer, with the message that is about to leave.
    Transfer(Box<Transfer>, Option<Vec<u8>>),
}

impl World {
    /// Carries out what a host's machines ask for.
    pub(super) fn carry_out(&mut self, host: usize, driver: Driver) {
        let life = self.hosts[host].life;
        let now = self.hosts[host].now(self.now);
        let Some(running) = self.hosts[host].running.as_mut() else { return };
        let mut orders = Orders::default();
        let outbox = match driver {
            Driver::Node => {
                running.admission.pass(now.mono, &mut running.effects.out, &mut orders);
                &mut running.effects.out
            }
            Driver::Resolver => &mut running.resolver_outbox,
        };
        let exchanges = std::mem::take(&mut outbox.exchanges);
        // In what order machines let go is not for others to see.
        let cancels: BTreeSet<_> = std::mem::take(&mut outbox.cancels).into_iter().collect();
        for exchange in exchanges {
            self.begin(host, Back::Exchange { host, life, driver, token: exchange.token }, exchange);
        }
        for token in cancels.into_iter().chain(orders.close) {
            self.hang_up(host, driver, token);
        }
        for Turn { exchange, after } in orders.begin {
            // A connection that is used again is a new one here.
            after.into_iter().for_each(|token| self.hang_up(host, driver, token));
            let back = Back::Exchange { host, life, driver, token: exchange.token };
            self.begin(host, back, exchange);
            self.schedule(self.now, Happening::Arrival { back, arrival: Arrival::Sent });
        }
        self.work(host);
    }

    fn hang_up(&mut self, host: usize, driver: Driver, token: Token) {
        if let Some(running) = self.hosts[host].running.as_mut() {
            running.open.remove(&(driver, token));
        }
        self.connections.retain(|_, connection| {
            !matches!(connection.back,
            Back::Exchange { host: whose, driver: which, token: known, .. }
                if (whose, which, known) == (host, driver, token))
        });
    }

    fn begin(&mut self, host: usize, back: Back, exchange: Exchange) {
        if let (Back::Exchange { driver, token, .. }, Some(running)) = (back, &mut self.hosts[host].running) {
            running.open.insert((driver, token));
        }
        let Some(to) = (0..self.hosts.len()).find(|&other| address(other) == exchange.to) else {
            let arrival = Arrival::Failed(Failure::Unreachable);
            return self.schedule(self.now, Happening::Arrival { back, arrival });
        };
        match exchange.transport {
            Transport::Udp => {
                for delay in self.net.datagram(host, to) {
                    let bytes = exchange.message.clone();
                    self.schedule(self.now + delay, Happening::Request { to, back, bytes });
                }
            }
            Transport::Tcp => {
                let connection = self.sequence;
                self.connections.insert(
                    connection,
                    Connection {
                        back,
                        client: host,
                        server: to,
                        request: exchange.message,
                        sends: Sends::Nothing,
                        arrived: self.now,
                        tries: 0,
                    },
                );
                self.schedule(self.now, Happening::Connect { connection, tries: 0 });
            }
        }
    }

    /// A request arrives at a host in a datagram.
    pub(super) fn request(&mut self, to: usize, back: Back, bytes: &[u8]) -> Result<(), Violation> {
        self.summary.messages += 1;
        self.trace.mix(self.now, &[3, to as u64], bytes);
        let from = match back {
            Back::Exchange { host, .. } => host,
            Back::Connection(_) | Back::Client(_) => to,
        };
        if self.hosts[to].running.as_ref().is_none_or(|running| !running.listens) {
            if !self.net.stays_silent() {
                let refused: Vec<Duration> = self.net.datagram(to, from).collect();
                for delay in refused.into_iter().take(1) {
                    let arrival = Arrival::Failed(Failure::Refused);
                    self.schedule(self.now + delay, Happening::Arrival { back, arrival });
                }
            }
            return Ok(());
        }
        self.respond(to, Client { addr: address(from), via: Via::Udp }, back, bytes)
    }

    /// A host answers a request, as the daemon's workers do.
    fn respond(&mut self, host: usize, from: Client, back: Back, bytes: &[u8]) -> Result<(), Violation> {
        let now = self.hosts[host].now(self.now);
        let bytes_per_message = self.hosts[host].plan.message_bytes;
        let Some(running) = self.hosts[host].running.as_mut() else { return Ok(()) };
        let mut reply = Reply::default();
        let outcome = door::answer_one(&running.served, now, Asked { bytes, from }, &mut reply);
        let reply = reply.as_bytes().to_vec();
        match outcome {
            Outcome::Reply(_) => self.reply(host, back, reply),
            Outcome::Drop => Ok(()),
            Outcome::Notified { from, notify } => {
                self.reply(host, back, reply)?;
                self.tell(host, Input::Notified { from, notify })
            }
            Outcome::Transfer(zone) => {
                let Back::Connection(connection) = back else { return Ok(()) };
                let transfer = Transfer::begin(Arc::clone(&zone), bytes, now, from, &mut running.stuck);
                let transfer = transfer.with_message_bytes(bytes_per_message);
                self.note_transfer(host, zone, from, transfer.kind())?;
                self.hand_out(connection, Sends::Transfer(Box::new(transfer), None));
                Ok(())
            }
            Outcome::FollowUp(ask) => {
                let number = running.next_waiter;
                running.next_waiter += 1;
                let (request, fetched) = (bytes.to_vec(), Vec::new());
                running.waiting.insert(number, FollowUp { ask, fetched, request, source: from, back });
                self.resolve(host, number)
            }
        }
    }

    /// Takes an AXFR apart that is about to be given, message by message.
    fn note_transfer(
        &mut self,
        host: usize,
        zone: Arc<Zone>,
        from: Client,
        kind: Result<Kind, Rcode>,
    ) -> Result<(), Violation> {
        match kind {
            Ok(Kind::Ixfr) => self.summary.transfers[1] += 1,
            Ok(Kind::Axfr) => {
                self.summary.transfers[0] += 1;
                let now = self.hosts[host].now(self.now);
                let bytes_per_message = self.hosts[host].plan.message_bytes;
                let Some(running) = self.hosts[host].running.as_ref() else { return Ok(()) };
                let whole = Writer::query(0, 0, zone.name(), Rtype::AXFR, &[]);
                let transfer = Transfer::begin(zone, &whole, now, from, &mut Default::default());
                let mut transfer = transfer.with_message_bytes(bytes_per_message);
                let mut builder = Builder::new(apex());
                let mut message = Vec::new();
                while transfer.write_next(&running.served, &mut message) {
                    let records = Message::read(&message).map(|message| message.answer).unwrap_or_default();
                    records.iter().for_each(|record| builder.push(record));
                    message.clear();
                }
                let given = builder.finish().map_err(|faults| Violation {
                    at: self.now,
                    host,
                    what: format!("gives an AXFR that is no zone: {faults:?}"),
                })?;
                self.oracle.transfer(self.now, host, &given.0)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Sends a reply on its way.
    pub(super) fn reply(&mut self, host: usize, back: Back, bytes: Vec<u8>) -> Result<(), Violation> {
        match back {
            Back::Exchange { host: to, .. } => {
                for delay in self.net.datagram(host, to) {
                    let arrival = Arrival::Message(bytes.clone());
                    self.schedule(self.now + delay, Happening::Arrival { back, arrival });
                }
                Ok(())
            }
            Back::Connection(connection) => {
                self.hand_out(connection, Sends::Reply(Some(bytes)));
                Ok(())
            }
            Back::Client(canary) => self.answered(host, canary, &bytes),
        }
    }

    /// Something arrives for an exchange of a host.
    pub(super) fn arrival(&mut self, back: Back, arrival: Arrival) -> Result<(), Violation> {
        let Back::Exchange { host, life, driver, token } = back else { return Ok(()) };
        if self.hosts[host].life != life {
            return Ok(());
        }
        let now = self.hosts[host].now(self.now);
        let Some(running) = self.hosts[host].running.as_mut() else { return Ok(()) };
        if !running.open.contains(&(driver, token)) {
            return Ok(());
        }
        match &arrival {
            Arrival::Sent => {}
            Arrival::Message(bytes) => {
                self.summary.messages += 1;
                self.trace.mix(self.now, &[4, host as u64, token.0], bytes);
            }
            Arrival::Failed(failure) => {
                self.trace.mix(self.now, &[5, host as u64, token.0], failure.to_string().as_bytes());
                running.open.remove(&(driver, token));
            }
        }
        if driver == Driver::Node && !running.admission.arrived(token, &arrival) {
            self.carry_out(host, driver);
            return Ok(());
        }
        match (driver, &mut running.resolver) {
            (Driver::Node, _) => self.tell(host, Input::Arrival(token, arrival)),
            (Driver::Resolver, Some(resolver)) => {
                let events = resolver.handle(now, token, arrival, &mut running.resolver_outbox);
                self.resolved(host, events)
            }
            (Driver::Resolver, None) => Ok(()),
        }
    }

    /// A client's connection gets through to its server, with the request.
    pub(super) fn connect(&mut self, id: u64, tries: u32) -> Result<(), Violation> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let (client, server, back) = (connection.client, connection.server, connection.back);
        if tries == 0 {
            // There and back and there again.
            let ways = [(client, server), (server, client), (client, server)];
            let mut takes = Duration::ZERO;
            for (from, to) in ways {
                match self.net.segment(from, to) {
                    Segment::Arrives(delay) => takes += delay,
                    _ => {
                        connection.tries += 1;
                        if connection.tries > TRIES {
                            self.connections.remove(&id);
                            let arrival = Arrival::Failed(Failure::Unreachable);
                            self.schedule(self.now, Happening::Arrival { back, arrival });
                        } else {
                            self.schedule(self.now + AGAIN, Happening::Connect { connection: id, tries });
                        }
                        return Ok(());
                    }
                }
            }
            self.schedule(self.now + takes, Happening::Connect { connection: id, tries: 1 });
            return Ok(());
        }
        if self.hosts[server].running.as_ref().is_none_or(|running| !running.listens) {
            self.connections.remove(&id);
            if !self.net.stays_silent() {
                self.schedule(
                    self.now,
                    Happening::Arrival { back, arrival: Arrival::Failed(Failure::Refused) },
                );
            }
            return Ok(());
        }
        self.summary.messages += 1;
        let request = connection.request.clone();
        self.trace.mix(self.now, &[6, server as u64], &request);
        let source = Client { addr: address(client), via: Via::Tcp };
        self.respond(server, source, Back::Connection(id), &request)
    }

    fn hand_out(&mut self, id: u64, sends: Sends) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.sends = sends;
            connection.tries = 0;
            self.schedule(self.now, Happening::Stream { connection: id });
        }
    }

    /// Sends a connection's next message.
    pub(super) fn stream(&mut self, id: u64) -> Result<(), Violation> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let (client, server, back) = (connection.client, connection.server, connection.back);
        let next = match &mut connection.sends {
            Sends::Nothing => None,
            Sends::Reply(reply) => reply.take(),
            Sends::Transfer(transfer, held) => held.take().or_else(|| {
                let served = &self.hosts[server].running.as_ref()?.served;
                let mut bytes = Vec::new();
                transfer.write_next(served, &mut bytes).then_some(bytes)
            }),
        };
        let Some(bytes) = next else {
            // Everything was sent; the server waits for another request and then closes.
            let at = connection.arrived.max(self.now) + IDLE;
            self.connections.remove(&id);
            self.schedule(at, Happening::Arrival { back, arrival: Arrival::Failed(Failure::Closed) });
            return Ok(());
        };
        match self.net.segment(server, client) {
            Segment::Arrives(delay) => {
                let at = (self.now + delay).max(connection.arrived);
                connection.arrived = at;
                connection.tries = 0;
                self.schedule(at, Happening::Arrival { back, arrival: Arrival::Message(bytes) });
                self.schedule(self.now + SPACING, Happening::Stream { connection: id });
            }
            Segment::Held => {
                match &mut connection.sends {
                    Sends::Transfer(_, held) => *held = Some(bytes),
                    Sends::Reply(reply) => *reply = Some(bytes),
                    Sends::Nothing => {}
                }
                connection.tries += 1;
                if connection.tries > TRIES {
                    self.close(id, Failure::Unreachable);
                } else {
                    self.schedule(self.now + AGAIN, Happening::Stream { connection: id });
                }
            }
            Segment::Breaks => self.close(id, Failure::Closed),
        }
        Ok(())
    }

    fn close(&mut self, id: u64, failure: Failure) {
        if let Some(connection) = self.connections.remove(&id) {
            let at = connection.arrived.max(self.now);
            let arrival = Arrival::Failed(failure);
            self.schedule(at, Happening::Arrival { back: connection.back, arrival });
        }
    }

    /// A host is gone, and its connections with it; the other side learns of it where packets pass.
    pub(super) fn sever(&mut self, host: usize) {
        let mine: Vec<u64> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.client == host || connection.server == host)
            .map(|(id, _)| *id)
            .collect();
        for id in mine {
            let Some(connection) = self.connections.get(&id) else { continue };
            if connection.server == host && self.net.passes(host, connection.client) {
                self.close(id, Failure::Closed);
            } else {
                self.connections.remove(&id);
            }
        }
    }

    /// A client asks a cache for a canary.
    pub(super) fn ask(&mut self, cache: usize, index: usize) -> Result<(), Violation> {
        if self.hosts[cache].running.is_none() {
            return Ok(());
        }
        // What fits no datagram is asked for over TCP, as the cache has to.
        let (name, rtype, via) = match index {
            LARGE => (below(&[b"big"]), Rtype::TXT, Via::Tcp),
            _ => (canary(index), Rtype::A, Via::Udp),
        };
        let query = Writer::query(index as u16, flags::RD, &name, rtype, &[]);
        let client = Client { addr: ([192, 0, 2, 9], 4_000).into(), via };
        self.respond(cache, client, Back::Client(index), &query)
    }

    /// A client gets an answer: one that a server really had, no longer ago than the TTL, or else an old one that says so.
    fn answered(&mut self, cache: usize, index: usize, bytes: &[u8]) -> Result<(), Violation> {
        let fail = |at, what| Err(Violation { at, host: cache, what });
        let Ok(message) = Message::read(bytes) else { return fail(self.now, "a broken answer".to_owned()) };
        let stale = message.option(EDE).is_some_and(|ede| ede.starts_with(&[0, 3]));
        self.trace.mix(self.now, &[7, cache as u64, index as u64], bytes);
        let number = number_in(&message);
        self.trace.note(self.now, || {
            let rcode = message.rcode();
            format!("cache {cache} answers {number:?} {rcode}{}", if stale { " (stale)" } else { "" })
        });
        self.summary.answers[0] += 1;
        self.summary.answers[1] += u64::from(stale);
        match number {
            None if message.rcode() == Rcode::SERVFAIL => return Ok(()),
            None => return fail(self.now, format!("no canary and no failure: {}", message.rcode())),
            Some(number) => {
                self.told.insert(cache, number);
                if !self.oracle.published().iter().any(|known| known.number == number) {
                    return fail(self.now, format!("canary {number} was never published"));
                }
                let Role::Cache { upstreams, recursive: false } = &self.plan.hosts[cache].role else {
                    return Ok(());
                };
                // What is left of the TTL says how old the answer is.
                let left = message.answer.iter().map(|record| record.ttl).max().unwrap_or_default();
                let used = self.plan.content.ttl.saturating_sub(left);
                let oldest = Duration::from_secs(u64::from(used)) + LATE;
                let since = Mono(self.now.0.saturating_sub(oldest.as_micros() as u64));
                if !stale && !self.oracle.was_served(upstreams, number, since, self.now) {
                    let what = format!(
                        "canary {number} was not served upstream within the part of the TTL that is over"
                    );
                    return fail(self.now, what);
                }
            }
        }
        Ok(())
    }
}
