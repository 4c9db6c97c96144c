//! Whose turn it is at a server: a queue for each, between what machines ask for and what the driver carries out.
//!
//! ```text
//!  asked, in turn      room at the server       complete, over TCP
//! ---------------> Waiting ----------> Running ------------------> Idle ---> carries the next exchange
//!                     |                   |  ^                      |
//!                     | cancelled         |  +----------------------+
//!                     v                   v cancelled, failed       v KEPT has passed, or the server closed it
//!                   gone                connection closed         gone
//! ```
//!
//! Every server has a queue of its own, so that no exchange ever waits for one with another server. Up to [`TRANSFERS`] connections
//! and [`QUESTIONS`] datagrams are under way to each, datagrams at [`RATE`] a second at most. What ends without a word
//! from the server halves that number, down to one, and so does a transfer that is turned away (SERVFAIL is what BIND says beyond its
//! `transfers-out`); every other answer adds one with its first message. So a server that hangs or refuses more than a few
//! connections is asked for no more than it takes, and one that recovers is soon asked for everything. A datagram without an answer, while
//! others to the server had theirs, was lost on the way: that says nothing of the server, and a few may be under way to each that has
//! said something in the last seconds, whatever was lost.
//!
//! Where no exchange over a connection begins to be answered or ends for two seconds while others wait, one more may begin, and so on,
//! up to as many places again: some zones may hang, or trickle, at a server that serves the rest.
//!
//! A connection is used again when its answer is complete (RFC 7766 6.2.1). A server may close it at any time (6.2.3): an
//! exchange that meets such a connection is carried out on a new one, and no machine learns of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use crate::time::Mono;
use crate::wire::rtype::Rcode;

use super::exchange::{Arrival, Exchange, Failure, Outbox, Start, Token, Transport};

/// Connections to one server at a time: some primaries admit no more than ten transfers (BIND's `transfers-out`), and more
/// than these would not be faster.
pub const TRANSFERS: usize = 16;
/// Datagrams under way to one server at a time.
pub const QUESTIONS: usize = 128;
/// Datagrams that may be under way at least to a server that has said something not longer than [`ALIVE`] ago.
const FEW: usize = 16;
/// How long a server counts as one that answers.
const ALIVE: Duration = Duration::from_secs(5);
/// Datagrams to one server in a second.
pub const RATE: u64 = 4_000;
/// Datagrams that may leave at once when none has for a while.
const BURST: u64 = 32;
/// How long a connection is kept for another exchange.
const KEPT: Duration = Duration::from_secs(2);
/// Connections to a server that give no place up for so long make room for one more.
const STALLED: Duration = Duration::from_secs(2);
/// Exchanges under way in all, above which each server has one at a time only: very many servers may hang at once.
const MANY: usize = 2_048;
/// Connections of a server that were closed before they could be used again, one after the other, after which none is kept.
const CLOSED: u8 = 3;

/// An exchange whose turn has come.
#[derive(Debug)]
pub struct Turn {
    /// The exchange.
    pub exchange: Exchange,
    /// The exchange whose connection carries this one; `None` for a new connection or a datagram.
    pub after: Option<Token>,
}

/// What the driver is to do, in this order.
#[derive(Debug, Default)]
pub struct Orders {
    /// Exchanges to abandon and connections to close, by the last exchange on them.
    pub close: Vec<Token>,
    /// Exchanges to begin.
    pub begin: Vec<Turn>,
    /// Servers whose connections have begun to keep others waiting.
    pub stalled: Vec<Stalled>,
}

/// A server none of whose connections gets on, while exchanges wait for their turn.
#[derive(Debug, PartialEq, Eq)]
pub struct Stalled {
    /// The server.
    pub server: SocketAddr,
    /// Connections under way.
    pub running: usize,
    /// Exchanges that wait.
    pub waiting: usize,
}

/// The queues of one driver.
#[derive(Debug, Default)]
pub struct Admission {
    servers: HashMap<SocketAddr, Server>,
    /// Where each exchange stands that had to wait for its turn.
    exchanges: HashMap<Token, Standing>,
    /// Servers whose queues may have room.
    changed: BTreeSet<SocketAddr>,
    /// When servers are to be looked at again.
    due: BTreeSet<(Mono, SocketAddr)>,
    running: usize,
}

/// Where an exchange stands.
#[derive(Debug)]
struct Standing {
    server: SocketAddr,
    transport: Transport,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Waiting,
    Running {
        /// Whether the server said anything.
        heard: bool,
        /// How much the server had said over this transport when it began.
        words: u64,
        /// What to send again when the connection it was to use again turns out to be closed.
        again: Option<Exchange>,
    },
    /// Complete; its connection waits for another exchange since then.
    Idle,
}

#[derive(Debug)]
struct Server {
    connections: Lane,
    datagrams: Lane,
    /// Idle connections, the one used last at the end.
    idle: Vec<(Mono, Token)>,
    /// Connections in a row that were closed before they could be used again.
    closed: u8,
    /// When the datagrams sent so far would have left at an even pace.
    paced: Mono,
    /// What is booked in [`Admission::due`].
    due: Option<Mono>,
}

/// One transport's queue and what is under way.
#[derive(Debug)]
struct Lane {
    waiting: BTreeMap<Token, Exchange>,
    running: usize,
    /// Exchanges in which the server has said something, so far.
    words: u64,
    /// How many of these there were when it was looked at last, and when there was a new one.
    known: u64,
    heard_at: Option<Mono>,
    /// How many may be under way.
    window: usize,
    /// How many may be in any case.
    least: usize,
    most: usize,
    /// Places besides, in place of those of exchanges that bring nothing.
    besides: usize,
    /// Since when exchanges wait and there is no room, or when that was looked at last.
    full: Option<Mono>,
    /// Whether an exchange has begun to be answered since then, or ended with an answer.
    has_moved: bool,
}

impl Lane {
    fn new(most: usize) -> Lane {
        Lane {
            waiting: BTreeMap::new(),
            running: 0,
            words: 0,
            known: 0,
            heard_at: None,
            window: most,
            least: 1,
            most,
            besides: 0,
            full: None,
            has_moved: false,
        }
    }

    /// Takes note of the first word from the server in an exchange: the rest may take long, and is not to keep others waiting.
    fn heard(&mut self) {
        self.has_moved = true;
        self.words += 1;
        self.window = (self.window + 1).min(self.most);
    }

    /// The same where that was that it has no room.
    fn turned_away(&mut self) {
        self.has_moved = true;
        self.words += 1;
        self.window = (self.window / 2).max(1);
    }

    /// Takes note of the end of an exchange; `heard`: nothing is to be held against the server.
    fn ended(&mut self, heard: bool) {
        self.running -= 1;
        self.has_moved |= heard;
        if !heard {
            self.window = (self.window / 2).max(1);
        }
    }

    fn has_room(&self, most: usize) -> bool {
        // Where very many exchanges are under way in all, none is to be had besides.
        let besides = if most > 1 { self.besides } else { 0 };
        self.running < self.window.max(self.least).min(most) + besides
    }

    /// Takes note of when the server has said something.
    fn look(&mut self, now: Mono) {
        if self.known < self.words {
            (self.known, self.heard_at) = (self.words, Some(now));
        }
        self.least = if self.heard_at.is_some_and(|at| now < at + ALIVE) { FEW } else { 1 };
    }

    /// Makes room for one more exchange where no place has become free for [`STALLED`] and others wait.
    fn make_room(&mut self, now: Mono, most: usize) {
        if self.waiting.is_empty() {
            self.besides = 0;
        }
        if self.waiting.is_empty() || self.has_room(most) {
            self.full = None;
            return;
        }
        match self.full {
            Some(since) if now < since + STALLED => return,
            // The window may be far below what is under way.
            Some(_) if !self.has_moved => {
                self.besides = (self.running + 1).saturating_sub(self.window.min(most)).min(self.most);
            }
            _ => {}
        }
        (self.full, self.has_moved) = (Some(now), false);
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.running == 0
    }
}

impl Server {
    fn new() -> Server {
        Server {
            connections: Lane::new(TRANSFERS),
            datagrams: Lane::new(QUESTIONS),
            idle: Vec::new(),
            closed: 0,
            paced: Mono(0),
            due: None,
        }
    }

    fn lane(&mut self, transport: Transport) -> &mut Lane {
        match transport {
            Transport::Udp => &mut self.datagrams,
            Transport::Tcp => &mut self.connections,
        }
    }

    /// When a datagram may leave, by the rate alone.
    fn next_datagram(&self) -> Mono {
        Mono(self.paced.0.saturating_sub(BURST * 1_000_000 / RATE))
    }

    /// When to look at it again, where each transport may have so many exchanges under way.
    fn next_timeout(&self, most: usize) -> Option<Mono> {
        let paced = (!self.datagrams.waiting.is_empty() && self.datagrams.has_room(most))
            .then(|| self.next_datagram());
        let idle = self.idle.first().map(|(since, _)| *since + KEPT);
        let stalled = self.connections.full.map(|since| since + STALLED);
        paced.into_iter().chain(idle).chain(stalled).min()
    }
}

impl Admission {
    /// Takes what waits for its turn out of the outbox, and says what may begin and what is to end. What begins at once
    /// stays in the outbox, and so does the end of it.
    pub fn pass(&mut self, now: Mono, outbox: &mut Outbox, orders: &mut Orders) {
        let queued = outbox.exchanges.extract_if(.., |exchange| exchange.start == Start::InTurn);
        for exchange in queued {
            self.queue(exchange);
        }
        for token in outbox.complete.drain(..) {
            self.finish(now, token);
        }
        let exchanges = &mut self.exchanges;
        let ended = outbox.cancels.extract_if(.., |token| exchanges.contains_key(token));
        for token in ended.collect::<Vec<_>>() {
            self.cancel(token, orders);
        }
        while let Some(&(due, server)) = self.due.first().filter(|(due, _)| *due <= now) {
            self.due.remove(&(due, server));
            self.changed.insert(server);
        }
        for server in std::mem::take(&mut self.changed) {
            self.serve(now, server, orders);
        }
    }

    /// Takes note of what arrived; `false` when no machine is to hear of it.
    pub fn arrived(&mut self, token: Token, arrival: &Arrival) -> bool {
        let Some(standing) = self.exchanges.get_mut(&token) else { return true };
        let failure = match arrival {
            Arrival::Sent => return true,
            Arrival::Message(message) => {
                if let Place::Running { heard, again, .. } = &mut standing.place
                    && let Some(server) = self.servers.get_mut(&standing.server)
                {
                    let lane = server.lane(standing.transport);
                    if !std::mem::replace(heard, true) {
                        match standing.transport == Transport::Tcp && is_turned_away(message) {
                            true => lane.turned_away(),
                            false => lane.heard(),
                        }
                        self.changed.insert(standing.server);
                    }
                    if again.take().is_some() {
                        server.closed = 0;
                    }
                }
                return true;
            }
            Arrival::Failed(failure) => *failure,
        };
        let Some(Standing { server: addr, transport, place }) = self.exchanges.remove(&token) else {
            return true;
        };
        self.changed.insert(addr);
        let Some(server) = self.servers.get_mut(&addr) else { return true };
        match place {
            Place::Waiting => true,
            Place::Idle => {
                server.idle.retain(|(_, known)| *known != token);
                false
            }
            Place::Running { heard, again, .. } => {
                self.running -= 1;
                let lane = server.lane(transport);
                if let Some(exchange) = again.filter(|_| !heard && failure == Failure::Closed) {
                    lane.running -= 1;
                    lane.waiting.insert(token, exchange);
                    self.exchanges.insert(token, Standing { server: addr, transport, place: Place::Waiting });
                    server.closed = server.closed.saturating_add(1);
                    return false;
                }
                // A refusal is an answer: there is nothing to be gentle with.
                let is_refused = !heard && failure == Failure::Refused;
                if is_refused {
                    lane.heard();
                }
                lane.ended(heard || is_refused);
                true
            }
        }
    }

    /// When [`Admission::pass`] is to be called next.
    pub fn next_timeout(&self) -> Option<Mono> {
        self.due.first().map(|(due, _)| *due)
    }

    fn queue(&mut self, exchange: Exchange) {
        let Exchange { token, to: server, transport, .. } = exchange;
        self.exchanges.insert(token, Standing { server, transport, place: Place::Waiting });
        let lane = self.servers.entry(server).or_insert_with(Server::new).lane(transport);
        lane.waiting.insert(token, exchange);
        self.changed.insert(server);
    }

    /// Keeps the connection of an exchange that is complete.
    fn finish(&mut self, now: Mono, token: Token) {
        let Some(standing) = self.exchanges.get_mut(&token) else { return };
        let Some(server) = self.servers.get_mut(&standing.server) else { return };
        if standing.transport == Transport::Udp || server.closed >= CLOSED {
            return;
        }
        if let Place::Running { heard: true, .. } = standing.place {
            standing.place = Place::Idle;
            server.connections.ended(true);
            server.idle.push((now, token));
            self.running -= 1;
            self.changed.insert(standing.server);
        }
    }

    fn cancel(&mut self, token: Token, orders: &mut Orders) {
        let Some(standing) = self.exchanges.get(&token) else { return };
        let addr = standing.server;
        let Some(server) = self.servers.get_mut(&addr) else { return };
        match &standing.place {
            // The driver keeps the connection under this token.
            Place::Idle => return,
            Place::Waiting => {
                server.lane(standing.transport).waiting.remove(&token);
            }
            Place::Running { heard, words, .. } => {
                let lane = server.lane(standing.transport);
                let is_lost = standing.transport == Transport::Udp && lane.words > *words;
                lane.ended(*heard || is_lost);
                self.running -= 1;
                orders.close.push(token);
            }
        }
        self.exchanges.remove(&token);
        self.changed.insert(addr);
    }

    /// Lets begin what there is room for at a server, and closes what has been idle for too long.
    fn serve(&mut self, now: Mono, addr: SocketAddr, orders: &mut Orders) {
        let Some(server) = self.servers.get_mut(&addr) else { return };
        while let Some((_, token)) = server.idle.first().copied().filter(|(since, _)| *since + KEPT <= now) {
            server.idle.remove(0);
            self.exchanges.remove(&token);
            orders.close.push(token);
        }
        let most = if self.running < MANY { usize::MAX } else { 1 };
        server.datagrams.look(now);
        let besides = server.connections.besides;
        server.connections.make_room(now, most);
        if besides == 0 && server.connections.besides > 0 {
            let Lane { waiting, running, .. } = &server.connections;
            orders.stalled.push(Stalled { server: addr, running: *running, waiting: waiting.len() });
        }
        for transport in [Transport::Tcp, Transport::Udp] {
            while transport == Transport::Tcp || server.next_datagram() <= now {
                let lane = server.lane(transport);
                if !lane.has_room(most) {
                    break;
                }
                let Some((token, exchange)) = lane.waiting.pop_first() else { break };
                lane.running += 1;
                self.running += 1;
                let words = lane.words;
                let mut after = None;
                match transport {
                    Transport::Tcp => after = server.idle.pop().map(|(_, token)| token),
                    Transport::Udp => server.paced = Mono(server.paced.0.max(now.0) + 1_000_000 / RATE),
                }
                if let Some(after) = after {
                    self.exchanges.remove(&after);
                }
                let again = after.is_some().then(|| exchange.clone());
                let place = Place::Running { heard: false, words, again };
                self.exchanges.insert(token, Standing { server: addr, transport, place });
                orders.begin.push(Turn { exchange, after });
            }
        }
        server.connections.make_room(now, most);
        let due = server.next_timeout(most);
        if let Some(old) = std::mem::replace(&mut server.due, due).filter(|old| Some(*old) != due) {
            self.due.remove(&(old, addr));
        }
        // What was due has been taken out, even if it is due at the same time again.
        self.due.extend(due.map(|due| (due, addr)));
        if server.connections.is_empty() && server.datagrams.is_empty() && server.idle.is_empty() {
            self.servers.remove(&addr);
        }
    }
}

/// Whether a server says that it does not serve this now.
fn is_turned_away(message: &[u8]) -> bool {
    let rcode = message.get(3).map(|flags| Rcode((flags & 15).into()));
    matches!(rcode, Some(Rcode::SERVFAIL | Rcode::REFUSED))
}

#[cfg(test)]
mod tests;
