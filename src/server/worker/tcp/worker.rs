//! A worker: the thread that accepts connections and gives each its turn.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::ServerConfig;
use slab::Slab;
use tokio::runtime::Handle;

use crate::answer::context::Client;
use crate::answer::reply::Reply;
use crate::server::courtesy::Answering;
use crate::server::poll::wait;
use crate::server::worker::respond::Context;
use crate::server::{clock, priority, threads};
use crate::time::Mono;
use crate::wire::via::Via;

use super::connection::{Connection, Desk, READ, Turn};
use super::listen::{Connections, Permit};
use super::mailbox::{Mail, Mailbox, Ticket};
use super::respond::Responder;
use super::stream::Stream;

/// Events taken at a time.
const EVENTS: usize = 256;
/// Connections accepted at a time, before the others have their turn again.
const ACCEPT: usize = 32;
/// How often connections are looked at for those that have been quiet for too long.
const TICK: Duration = Duration::from_secs(1);
/// A connection that was idle for so long gives way to a new one when there is no more room (RFC 7766 6.2.3).
const GIVES_WAY: Duration = Duration::from_secs(1);
/// When there is no room or no descriptor for a connection, this long until the next try. No event tells when another part
/// of the process lets one go.
const SHORTAGE: Duration = Duration::from_millis(100);
/// The event of the mailbox. Listeners follow, then connections.
const MAIL: Token = Token(0);

/// Starts a thread that serves what connects to `listeners`, with TLS where there is a configuration for it. Transfers run in the
/// current tokio runtime.
pub fn start(
    listeners: Vec<(std::net::TcpListener, Option<Arc<ServerConfig>>)>,
    context: Context,
    connections: Connections,
) -> io::Result<()> {
    let poll = Poll::new()?;
    let mailbox = Arc::new(Mailbox::new(Waker::new(poll.registry(), MAIL)?));
    let mut doors = Vec::with_capacity(listeners.len());
    for (number, (listener, tls)) in listeners.into_iter().enumerate() {
        let mut socket = TcpListener::from_std(listener);
        poll.registry().register(&mut socket, Token(1 + number), Interest::READABLE)?;
        doors.push(Door { socket, tls, waiting: true });
    }
    let now = clock::now();
    let responder = Responder {
        context,
        mailbox: Arc::clone(&mailbox),
        runtime: Handle::current(),
        turns: Arc::clone(connections.transfers()),
        now,
        fresh: true,
        requests: 0,
        reply: Reply::default(),
    };
    let worker = Worker {
        poll,
        first: 1 + doors.len(),
        doors,
        connections: Slab::new(),
        limits: connections,
        mailbox,
        mail: Vec::new(),
        desk: Desk { responder, buffer: vec![0; READ].into(), spare: Vec::new(), now: now.mono },
        again: Vec::new(),
        number: 0,
        tick: now.mono,
        retry: None,
        told: false,
    };
    threads::start_endless("tcp", move || worker.run())?;
    Ok(())
}

struct Worker {
    poll: Poll,
    doors: Vec<Door>,
    connections: Slab<Connection>,
    /// The token of the first connection.
    first: usize,
    limits: Connections,
    mailbox: Arc<Mailbox>,
    mail: Vec<Mail>,
    desk: Desk,
    /// Connections with more to do.
    again: Vec<Ticket>,
    /// Connections so far.
    number: u64,
    /// When to look for quiet connections next.
    tick: Mono,
    /// When to try again to accept, after a shortage.
    retry: Option<Mono>,
    /// Whether the log knows of the shortage.
    told: bool,
}

/// A listening socket.
struct Door {
    socket: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    /// Somebody may be waiting: events tell only of those who come.
    waiting: bool,
}

impl Worker {
    fn run(mut self) -> io::Result<Infallible> {
        priority::run_at_once();
        let _answering = Answering::at(&self.poll);
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let timeout = self.timeout();
            wait(&mut self.poll, &mut events, timeout)?;
            let now = clock::now();
            self.desk.responder.begin_round(now);
            self.desk.now = now.mono;
            let again = std::mem::take(&mut self.again);
            for event in &events {
                match event.token() {
                    MAIL => self.deliver(),
                    Token(token) if token < self.first => self.doors[token - 1].waiting = true,
                    Token(token) => {
                        let slot = token - self.first;
                        if let Some(connection) = self.connections.get_mut(slot) {
                            connection.ready(event);
                            self.turn(slot);
                        }
                    }
                }
            }
            again.into_iter().for_each(|ticket| self.turn_of(ticket));
            self.accept_all();
            if self.desk.now >= self.tick {
                self.close_expired();
            }
        }
    }

    /// How long there is nothing to do but to wait for events.
    fn timeout(&self) -> Option<Duration> {
        if !self.again.is_empty() || (self.retry.is_none() && self.doors.iter().any(|door| door.waiting)) {
            return Some(Duration::ZERO);
        }
        let tick = (!self.connections.is_empty()).then_some(self.tick);
        let next = tick.into_iter().chain(self.retry).min()?;
        Some(next.since(self.desk.now))
    }

    fn turn(&mut self, slot: usize) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        match connection.turn(&mut self.desk) {
            Turn::Wait => {}
            Turn::Again => self.again.push(connection.ticket()),
            // How a connection ends concerns its client alone.
            Turn::Over => drop(self.connections.remove(slot)),
        }
    }

    fn turn_of(&mut self, ticket: Ticket) {
        if self.connection(ticket).is_some() {
            self.turn(ticket.slot);
        }
    }

    fn connection(&mut self, ticket: Ticket) -> Option<&mut Connection> {
        self.connections.get_mut(ticket.slot).filter(|connection| connection.ticket() == ticket)
    }

    /// Hands out what has come by mail.
    fn deliver(&mut self) {
        let mut mail = std::mem::take(&mut self.mail);
        self.mailbox.take(&mut mail);
        let now = self.desk.now;
        for item in mail.drain(..) {
            match item {
                Mail::Reply(ticket, reply) => {
                    let Some(connection) = self.connection(ticket) else { continue };
                    connection.settle(&reply, now);
                    self.turn(ticket.slot);
                }
                Mail::Transfer(ticket) => self.turn_of(ticket),
            }
        }
        self.mail = mail;
    }

    fn accept_all(&mut self) {
        if self.retry.is_some_and(|retry| self.desk.now < retry) {
            return;
        }
        self.retry = None;
        for number in 0..self.doors.len() {
            for _ in 0..ACCEPT {
                if !self.doors[number].waiting || self.retry.is_some() {
                    break;
                }
                self.accept(number);
            }
        }
    }

    fn accept(&mut self, number: usize) {
        let permit = self.limits.admit().or_else(|| self.give_way(None).then(|| self.limits.admit())?);
        let Some(permit) = permit else {
            self.retry = Some(self.desk.now + SHORTAGE);
            return;
        };
        match self.doors[number].socket.accept() {
            Ok((socket, from)) => {
                self.told = false;
                self.begin(socket, from, number, permit);
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => self.doors[number].waiting = false,
                // The client has gone already.
                ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted => {}
                _ => {
                    self.retry = Some(self.desk.now + SHORTAGE);
                    if !std::mem::replace(&mut self.told, true) {
                        tracing::warn!(
                            "cannot accept TCP connections: {error}; raise the limit on open files"
                        );
                    }
                }
            },
        }
    }

    fn begin(&mut self, socket: TcpStream, addr: SocketAddr, door: usize, mut permit: Permit) {
        // A client with too many connections is told so by the end of this one; so is one that has gone.
        let client = addr.ip();
        let charged = permit.charge(client) || self.give_way(Some(client)) && permit.charge(client);
        // No reply waits for the acknowledgement of the one before, as it would by Nagle's algorithm (RFC 9293 3.7.4).
        if !charged || socket.set_nodelay(true).is_err() {
            return;
        }
        let tls = self.doors[door].tls.as_ref();
        let via = if tls.is_some() { Via::Tls } else { Via::Tcp };
        let Ok(stream) = Stream::new(socket, tls) else { return };
        let from = Client { addr, via };
        if self.connections.is_empty() {
            self.tick = self.desk.now + TICK;
        }
        let entry = self.connections.vacant_entry();
        let slot = entry.key();
        self.number += 1;
        let ticket = Ticket { slot, number: self.number };
        let mut connection = Connection::new(stream, from, ticket, permit, self.desk.now);
        let token = Token(self.first + slot);
        let interest = Interest::READABLE | Interest::WRITABLE;
        // Without a registration there would be no events: such a connection is closed.
        if self.poll.registry().register(connection.stream().socket(), token, interest).is_ok() {
            entry.insert(connection);
            self.turn(slot);
        }
    }

    /// Closes the connection that has been idle for longest, of one client or of all; `false` when none has been for long.
    fn give_way(&mut self, client: Option<IpAddr>) -> bool {
        let idle = |(slot, connection): (usize, &Connection)| {
            let (of, since) = connection.idle()?;
            client.is_none_or(|client| client == of).then_some((since, slot))
        };
        let longest = self.connections.iter().filter_map(idle).min();
        let longest = longest.filter(|(since, _)| self.desk.now.since(*since) >= GIVES_WAY);
        longest.inspect(|&(_, slot)| drop(self.connections.remove(slot))).is_some()
    }

    fn close_expired(&mut self) {
        let now = self.desk.now;
        self.tick = now + TICK;
        self.connections.retain(|_, connection| !connection.is_expired(now));
    }
}
