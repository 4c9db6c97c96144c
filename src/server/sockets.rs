//! Carries out exchanges ([`crate::ask::exchange`]) with nonblocking sockets of a poll.
//!
//! ```text
//!              ask: fewer than PORTS open           USES questions, LIFE over, one given up
//!   (nothing) ───────────────────────────▶ in pool ────────────────────────────────────────▶ retired ──▶ closed
//!                                           │  ▲    or idle where there is no room for another       (none of its questions waits)
//!                                           └──┘ ask: picked at random
//! ```
//!
//! To make and close a socket costs more than the question. So each server has a pool of connected sockets, each on a port that the
//! kernel chose at random, and a question leaves from one that is picked at random (RFC 5452 9.2). A forged answer has to hit
//! the port and the id of one question, as it has with a socket for each question; who learns of a port has little time to use
//! it. Connected sockets take in nothing from other addresses, and report what ICMP says of the server. They also keep the address of
//! their own that they began with: where a question was given up without a word, the next one leaves from a new port, in case this
//! host's address has changed.

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token as Place};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use slab::Slab;
use socket2::{Domain, Protocol, Socket as Socket2, Type};

use crate::ask::exchange::{Arrival, Exchange, Failure, Outbox, Token, Transport};
use crate::time::Mono;

use super::received::{BATCH, Received};

/// Ports open to one server: many enough that a question's is not known, few enough that several answers come to one.
const PORTS: usize = 32;
/// Questions that leave from one port before it is retired.
const USES: u32 = 64;
/// How long a port is in use.
const LIFE: Duration = Duration::from_secs(10);
/// Ports that are looked at for one on which no question with the same id waits.
const TRIES: usize = 4;
/// Bytes read from a connection at a time.
const READ: usize = 16 << 10;
/// Reads of one connection before others have their turn.
const READS: usize = 8;

/// What has come in for an exchange.
pub(super) type Arrivals = VecDeque<(Token, Arrival)>;

/// How many sockets there may be, of thousands that a process has.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// From so many on, ports that only wait to be used again are closed for others.
    pub(super) kept: usize,
    /// Exchanges that would need more fail.
    pub(super) most: usize,
}

/// The exchanges of one owner of machines, under way.
pub(super) struct Sockets {
    registry: Registry,
    /// The poll's token of the first socket.
    first: usize,
    sockets: Slab<Socket>,
    room: Room,
    /// Which socket each exchange has, and the id of its message.
    under_way: HashMap<Token, (usize, u16)>,
    /// The ports in use for each server.
    pools: HashMap<SocketAddr, Vec<usize>>,
    random: StdRng,
    received: Received,
    /// Sockets with more to read.
    again: Vec<usize>,
    /// When ports are looked through for those to be retired.
    sweep: Mono,
}

enum Socket {
    Port(Port),
    Stream(Stream),
}

/// A connected socket for datagrams.
struct Port {
    socket: UdpSocket,
    server: SocketAddr,
    /// Questions under way, by message id.
    waiting: HashMap<u16, Waiting>,
    asked: u32,
    opened: Mono,
    is_retired: bool,
}

/// A question under way.
#[derive(Clone, Copy)]
struct Waiting {
    token: Token,
    /// Something came that may be its answer.
    heard: bool,
}

/// A connection for one exchange.
struct Stream {
    socket: TcpStream,
    token: Token,
    id: u16,
    /// The question with its length, and how many bytes of it are written.
    output: Vec<u8>,
    written: usize,
    /// A message that has not come whole; never longer than the longest message and one read.
    input: Vec<u8>,
}

impl Sockets {
    /// No exchange yet. The poll's tokens from `first` on are for its sockets; `seed` must be secret.
    pub(super) fn new(registry: Registry, first: usize, room: Room, seed: [u8; 32]) -> Sockets {
        Sockets {
            registry,
            first,
            sockets: Slab::new(),
            room,
            under_way: HashMap::new(),
            pools: HashMap::new(),
            random: StdRng::from_seed(seed),
            received: Received::new(false),
            again: Vec::new(),
            sweep: Mono(u64::MAX),
        }
    }

    /// Does what the machines asked for since the last call. What cannot be done is among the arrivals.
    pub(super) fn carry_out(&mut self, now: Mono, outbox: &mut Outbox, arrivals: &mut Arrivals) {
        for exchange in outbox.exchanges.drain(..) {
            self.begin(now, &exchange, arrivals);
        }
        for token in outbox.cancels.drain(..) {
            self.cancel(token);
        }
    }

    /// Begins an exchange. Where that cannot be done its end is among the arrivals.
    pub(super) fn begin(&mut self, now: Mono, exchange: &Exchange, arrivals: &mut Arrivals) {
        let begun = id(&exchange.message).and_then(|id| match exchange.transport {
            Transport::Udp => Ok((self.ask(now, exchange, id, arrivals)?, id)),
            Transport::Tcp => Ok((self.connect(exchange, id)?, id)),
        });
        match begun {
            Ok(place) => drop(self.under_way.insert(exchange.token, place)),
            Err(error) => arrivals.push_back((exchange.token, Arrival::Failed(failure(&error)))),
        }
    }

    /// Reads and writes as an event of the poll says.
    pub(super) fn ready(&mut self, event: &Event, arrivals: &mut Arrivals) {
        let Some(slot) = event.token().0.checked_sub(self.first) else { return };
        match self.sockets.get(slot) {
            Some(Socket::Port(_)) => self.receive(slot, arrivals),
            Some(Socket::Stream(_)) => self.turn(slot, arrivals),
            None => {}
        }
    }

    /// When [`Sockets::go_on`] is due; `None` when only events lead on.
    pub(super) fn next_timeout(&self) -> Option<Mono> {
        if self.again.is_empty() {
            Some(self.sweep).filter(|&sweep| sweep < Mono(u64::MAX))
        } else {
            Some(Mono(0))
        }
    }

    /// Reads on where more had come than one turn takes, and retires ports whose time is over.
    pub(super) fn go_on(&mut self, now: Mono, arrivals: &mut Arrivals) {
        for slot in std::mem::take(&mut self.again) {
            match self.sockets.get(slot) {
                Some(Socket::Port(_)) => self.receive(slot, arrivals),
                Some(Socket::Stream(_)) => self.turn(slot, arrivals),
                None => {}
            }
        }
        if now >= self.sweep {
            self.retire_old(now);
        }
    }

    fn ask(&mut self, now: Mono, exchange: &Exchange, id: u16, arrivals: &mut Arrivals) -> io::Result<usize> {
        let slot = self.port(now, exchange.to, id)?;
        let mut sent = self.send(slot, &exchange.message);
        if let Err(error) = &sent {
            // The error is that of an earlier datagram, which the kernel had not told of yet.
            self.fail(slot, error, arrivals);
            sent = self.send(slot, &exchange.message);
        }
        match sent {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            // A datagram that finds no room in this machine's queue is lost, as it might be on the way.
            _ => {
                if let Some(Socket::Port(port)) = self.sockets.get_mut(slot) {
                    port.waiting.insert(id, Waiting { token: exchange.token, heard: false });
                    port.asked += 1;
                }
                Ok(slot)
            }
        }
    }

    fn send(&self, slot: usize, message: &[u8]) -> io::Result<usize> {
        match self.sockets.get(slot) {
            Some(Socket::Port(port)) => port.socket.send(message),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }

    /// A port to the server on which no question with this id waits.
    fn port(&mut self, now: Mono, server: SocketAddr, id: u16) -> io::Result<usize> {
        for _ in 0..TRIES {
            let Some(pool) = self.pools.get(&server).filter(|pool| pool.len() >= PORTS) else { break };
            let slot = pool[self.random.random_range(0..pool.len())];
            let Some(Socket::Port(port)) = self.sockets.get(slot) else { continue };
            if port.asked >= USES || now.since(port.opened) >= LIFE {
                self.retire(slot);
                break;
            }
            if !port.waiting.contains_key(&id) {
                return Ok(slot);
            }
        }
        self.open(now, server)
    }

    fn open(&mut self, now: Mono, server: SocketAddr) -> io::Result<usize> {
        self.make_room()?;
        let socket =
            Socket2::new(Domain::for_address(server), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        // Binds it to a port by chance, too.
        socket.connect(&server.into())?;
        let socket: UdpSocket = socket.into();
        let entry = self.sockets.vacant_entry();
        let slot = entry.key();
        let fd = socket.as_raw_fd();
        self.registry.register(&mut SourceFd(&fd), Place(self.first + slot), Interest::READABLE)?;
        let waiting = HashMap::new();
        entry.insert(Socket::Port(Port {
            socket,
            server,
            waiting,
            asked: 0,
            opened: now,
            is_retired: false,
        }));
        self.pools.entry(server).or_default().push(slot);
        self.sweep = self.sweep.min(now + LIFE);
        Ok(slot)
    }

    /// Has room for one more socket.
    fn make_room(&mut self) -> io::Result<()> {
        if self.sockets.len() >= self.room.kept {
            self.retire_those(|port| port.waiting.is_empty());
        }
        if self.sockets.len() < self.room.most { Ok(()) } else { Err(ErrorKind::QuotaExceeded.into()) }
    }

    /// Takes a port out of use. It is closed when none of its questions waits any more.
    fn retire(&mut self, slot: usize) {
        let Some(Socket::Port(port)) = self.sockets.get_mut(slot) else { return };
        port.is_retired = true;
        let (server, is_done) = (port.server, port.waiting.is_empty());
        if let Some(pool) = self.pools.get_mut(&server) {
            pool.retain(|&other| other != slot);
            if pool.is_empty() {
                self.pools.remove(&server);
            }
        }
        if is_done {
            // Closing takes it out of the poll.
            self.sockets.remove(slot);
        }
    }

    fn retire_old(&mut self, now: Mono) {
        self.retire_those(|port| now.since(port.opened) >= LIFE);
        self.sweep = if self.pools.is_empty() { Mono(u64::MAX) } else { now + LIFE };
    }

    fn retire_those(&mut self, is_over: impl Fn(&Port) -> bool) {
        let is_over =
            |socket: &Socket| matches!(socket, Socket::Port(port) if !port.is_retired && is_over(port));
        let over: Vec<usize> =
            self.sockets.iter().filter_map(|(slot, socket)| is_over(socket).then_some(slot)).collect();
        over.into_iter().for_each(|slot| self.retire(slot));
    }

    fn receive(&mut self, slot: usize, arrivals: &mut Arrivals) {
        let Some(Socket::Port(port)) = self.sockets.get_mut(slot) else { return };
        match self.received.receive(&port.socket) {
            Ok(count) => {
                for (message, _) in (0..count).filter_map(|number| self.received.get(number)) {
                    // It stays under way: the machine says whether this is the answer.
                    if let Some(waiting) = id(message).ok().and_then(|id| port.waiting.get_mut(&id)) {
                        waiting.heard = true;
                        arrivals.push_back((waiting.token, Arrival::Message(message.to_vec())));
                    }
                }
                if count == BATCH {
                    self.again.push(slot);
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => self.fail(slot, &error, arrivals),
        }
    }

    /// Ends what is under way over a socket.
    fn fail(&mut self, slot: usize, error: &io::Error, arrivals: &mut Arrivals) {
        let failed = Arrival::Failed(failure(error));
        match self.sockets.get_mut(slot) {
            Some(Socket::Port(port)) => {
                for (_, Waiting { token, .. }) in port.waiting.drain() {
                    self.under_way.remove(&token);
                    arrivals.push_back((token, failed.clone()));
                }
                if port.is_retired {
                    self.sockets.remove(slot);
                }
            }
            Some(Socket::Stream(stream)) => {
                self.under_way.remove(&stream.token);
                arrivals.push_back((stream.token, failed));
                self.sockets.remove(slot);
            }
            None => {}
        }
    }

    /// Ends an exchange; one that is unknown has ended.
    pub(super) fn cancel(&mut self, token: Token) {
        let Some((slot, id)) = self.under_way.remove(&token) else { return };
        match self.sockets.get_mut(slot) {
            Some(Socket::Port(port)) => {
                let heard = port.waiting.remove(&id).is_some_and(|waiting| waiting.heard);
                if port.is_retired && port.waiting.is_empty() {
                    self.sockets.remove(slot);
                } else if !port.is_retired && !heard {
                    self.retire(slot);
                }
            }
            Some(Socket::Stream(_)) => drop(self.sockets.remove(slot)),
            None => {}
        }
    }

    fn connect(&mut self, exchange: &Exchange, id: u16) -> io::Result<usize> {
        self.make_room()?;
        let length = u16::try_from(exchange.message.len()).map_err(|_| ErrorKind::InvalidInput)?;
        let mut socket = TcpStream::connect(exchange.to)?;
        socket.set_nodelay(true)?;
        let entry = self.sockets.vacant_entry();
        let slot = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut socket, Place(self.first + slot), interest)?;
        entry.insert(Socket::Stream(Stream {
            socket,
            token: exchange.token,
            id,
            output: [&length.to_be_bytes(), &exchange.message[..]].concat(),
            written: 0,
            input: Vec::new(),
        }));
        Ok(slot)
    }

    fn turn(&mut self, slot: usize, arrivals: &mut Arrivals) {
        let Some(Socket::Stream(stream)) = self.sockets.get_mut(slot) else { return };
        match stream.turn(arrivals) {
            Ok(()) => self.again.push(slot),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.fail(slot, &error, arrivals),
        }
    }
}

impl Stream {
    /// Writes and reads as far as that goes. `Ok` means that there may be more to read.
    fn turn(&mut self, arrivals: &mut Arrivals) -> io::Result<()> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        while self.written < self.output.len() {
            match self.socket.write(&self.output[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(length) => self.written += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Not connected yet.
                Err(error) if error.kind() == ErrorKind::NotConnected => {
                    return Err(ErrorKind::WouldBlock.into());
                }
                Err(error) => return Err(error),
            }
        }
        let mut buffer = [0; READ];
        for _ in 0..READS {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.take(&buffer[..length], arrivals),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], arrivals: &mut Arrivals) {
        self.input.extend_from_slice(bytes);
        let mut rest = &self.input[..];
        while let Some((length, behind)) = rest.split_first_chunk()
            && let Some((message, next)) = behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))
        {
            if id(message).is_ok_and(|id| id == self.id) {
                arrivals.push_back((self.token, Arrival::Message(message.to_vec())));
            }
            rest = next;
        }
        let done = self.input.len() - rest.len();
        self.input.drain(..done);
    }
}

/// What an error of a socket says of an exchange.
pub(super) fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::ConnectionRefused => Failure::Refused,
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::AddrNotAvailable
        | ErrorKind::PermissionDenied => Failure::Unreachable,
        ErrorKind::TimedOut => Failure::Unanswered,
        ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::Local,
    }
}

/// The id of a message.
fn id(message: &[u8]) -> io::Result<u16> {
    message.first_chunk().map(|id| u16::from_be_bytes(*id)).ok_or_else(|| ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests;
