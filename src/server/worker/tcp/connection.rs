//! One connection: what has been read and not answered, what is answered and not taken.
//!
//! ```text
//!            request read        all written, nothing owed
//!   Idle ------------------> Busy ------------------------> Idle
//!    | IDLE                   | STALLED without a byte taken or a reply come
//!    v                        v
//!   closed                   closed
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use crate::answer::context::Client;
use crate::answer::edns::TCP_IDLE;
use crate::time::Mono;

use super::framing;
use super::listen::Permit;
use super::mailbox::Ticket;
use super::respond::{After, Responder};
use super::stream::Stream;
use super::transfer::Messages;

/// A client that takes nothing for so long, or for whom nothing came for so long, is given up.
const STALLED: Duration = Duration::from_secs(30);
/// Bytes of replies that a client may leave untaken before nothing more is answered; one reply may stand above it.
const ENOUGH: usize = 64 << 10;
/// Bytes of replies kept for a client in all. Only replies that come from elsewhere can pile up so far, and a client that has asked
/// for so much and takes nothing is given up.
const TOO_MUCH: usize = 256 << 10;
/// Requests of one connection that may be with the resolvers.
const MAX_OWED: usize = 128;
/// Reads behind a reply that may find nothing, one after the other, before they are given up for this connection.
const LUCK: u8 = 8;
/// Bytes read at a time: hundreds of questions, and soon done with, so that the other connections have their turn.
pub(super) const READ: usize = 16 << 10;

/// What the connections of a worker share.
pub(super) struct Desk {
    pub(super) responder: Responder,
    /// Where is read into.
    pub(super) buffer: Box<[u8]>,
    /// Replies being written; a connection whose client does not take them at once keeps them.
    pub(super) spare: Vec<u8>,
    /// The time of this round.
    pub(super) now: Mono,
}

/// What comes next for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// An event.
    Wait,
    /// Another turn, when the others had theirs.
    Again,
    /// Its end.
    Over,
}

pub(super) struct Connection {
    stream: Stream,
    from: Client,
    ticket: Ticket,
    /// Counted as long as the connection lives.
    _permit: Permit,
    /// The start of a request, or requests that have to wait until the client takes replies.
    input: Vec<u8>,
    output: Vec<u8>,
    /// Bytes at the start of `output` that are written.
    written: usize,
    /// Replies that are to come by mail.
    owed: usize,
    transfer: Option<mpsc::Receiver<Vec<u8>>>,
    /// Whether reading or writing may lead anywhere: events tell only of changes.
    readable: bool,
    writable: bool,
    /// The client has closed its side, or will not be listened to any more.
    ended: bool,
    /// The client is known to have closed its side behind what can be read.
    closing: bool,
    /// How often a read behind a reply may still find nothing.
    luck: u8,
    /// When a request was read or a byte was taken.
    last: Mono,
}

impl Connection {
    pub(super) fn new(stream: Stream, from: Client, ticket: Ticket, permit: Permit, now: Mono) -> Connection {
        Connection {
            stream,
            from,
            ticket,
            _permit: permit,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            owed: 0,
            transfer: None,
            readable: true,
            writable: true,
            ended: false,
            closing: false,
            luck: LUCK,
            last: now,
        }
    }

    pub(super) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// What it reads from and writes to.
    pub(super) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Notes what an event says.
    pub(super) fn ready(&mut self, event: &mio::event::Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        self.closing |= event.is_read_closed();
    }

    /// Takes a reply that was owed; empty when there is none after all.
    pub(super) fn settle(&mut self, reply: &[u8], now: Mono) {
        self.owed = self.owed.saturating_sub(1);
        self.last = now;
        self.push(reply);
    }

    /// Writes, answers and reads as far as that goes now.
    pub(super) fn turn(&mut self, desk: &mut Desk) -> Turn {
        // While nothing of this connection's waits, its replies are written in the buffer that all share.
        if self.output.capacity() == 0 {
            std::mem::swap(&mut self.output, &mut desk.spare);
        }
        let turn = self.work(desk).unwrap_or(Turn::Over);
        if self.output.is_empty() {
            let buffer = std::mem::take(&mut self.output);
            if buffer.capacity() > desk.spare.capacity() {
                desk.spare = buffer;
            }
        }
        turn
    }

    fn work(&mut self, desk: &mut Desk) -> io::Result<Turn> {
        self.take_messages();
        if !self.input.is_empty() {
            let input = std::mem::take(&mut self.input);
            let done = self.answer(&input, desk);
            self.keep(input, done);
        }
        if self.readable && self.listens() {
            self.read(desk)?;
        }
        let replied = !self.output.is_empty();
        self.write(desk.now)?;
        if replied && self.luck > 0 && self.listens() && !self.closing {
            self.read_behind(desk)?;
        }
        if self.output.len() > TOO_MUCH {
            return Ok(Turn::Over);
        }
        if self.ended && !self.is_busy() && !self.has_request() {
            return Ok(Turn::Over);
        }
        let more = self.listens() && (self.readable || self.has_request());
        // Its end is something to take too: no mail comes behind that of the end, which may have found no room.
        let made =
            self.transfer.as_ref().is_some_and(|messages| !messages.is_empty() || messages.is_closed());
        Ok(if self.output.len() < ENOUGH && (more || made) { Turn::Again } else { Turn::Wait })
    }

    /// Whether it is to be closed because nothing has happened for too long.
    pub(super) fn is_expired(&self, now: Mono) -> bool {
        let limit = if self.is_busy() { STALLED } else { TCP_IDLE };
        now.since(self.last) >= limit
    }

    /// The client, and since when nothing has happened and nothing is to come; `None` when something is.
    pub(super) fn idle(&self) -> Option<(IpAddr, Mono)> {
        (!self.is_busy()).then_some((self.from.addr.ip(), self.last))
    }

    /// Whether the client has something to come.
    fn is_busy(&self) -> bool {
        self.owed > 0 || !self.output.is_empty() || self.transfer.is_some() || self.stream.is_behind()
    }

    /// Whether a request would be answered now. What is asked during a transfer waits for its end, so that no client
    /// gets messages of the one between those of the other.
    fn listens(&self) -> bool {
        !(self.ended && self.input.is_empty())
            && self.transfer.is_none()
            && self.owed < MAX_OWED
            && self.output.len() < ENOUGH
    }

    fn has_request(&self) -> bool {
        framing::first(&self.input).is_some()
    }

    /// Reads again right after a reply. A client that pipelines small requests and leaves Nagle's algorithm on (RFC 9293 3.7.4) is
    /// held back by its own side until what it sent before is acknowledged, which our reply does: its next request is
    /// there already, and its reply comes in the same wake-up of the client.
    fn read_behind(&mut self, desk: &mut Desk) -> io::Result<()> {
        let before = desk.responder.requests;
        self.read(desk)?;
        if desk.responder.requests == before {
            self.luck -= 1;
        } else {
            self.luck = LUCK;
            self.write(desk.now)?;
        }
        Ok(())
    }

    fn read(&mut self, desk: &mut Desk) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut desk.buffer);
        let read = self.stream.read(&mut buffer);
        if let Ok(length) = read {
            self.take_bytes(&buffer[..length], desk);
            self.ended |= length == 0;
            // Only the end of the stream can stand behind all that has come.
            let drained = self.stream.is_drained(length, buffer.len());
            self.readable = !self.ended && (!drained || self.closing);
        }
        desk.buffer = buffer;
        match read {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn take_bytes(&mut self, bytes: &[u8], desk: &mut Desk) {
        if self.input.is_empty() {
            let done = self.answer(bytes, desk);
            self.input.extend_from_slice(&bytes[done..]);
        } else {
            let mut input = std::mem::take(&mut self.input);
            input.extend_from_slice(bytes);
            let done = self.answer(&input, desk);
            self.keep(input, done);
        }
    }

    /// Keeps what has not been answered.
    fn keep(&mut self, mut input: Vec<u8>, done: usize) {
        // The memory of a long request goes with it.
        if done < input.len() {
            input.drain(..done);
            self.input = input;
        } else {
            self.input = Vec::new();
        }
    }

    /// Answers the whole requests at the start of `bytes`, as many as go now; returns how many bytes they were.
    fn answer(&mut self, bytes: &[u8], desk: &mut Desk) -> usize {
        let mut done = 0;
        desk.responder.begin();
        while self.transfer.is_none() && self.owed < MAX_OWED && self.output.len() < ENOUGH {
            let Some(request) = framing::first(&bytes[done..]) else { break };
            done += 2 + request.len();
            self.last = desk.now;
            match desk.responder.respond(request, self.from, self.ticket, &mut self.output) {
                After::Done => {}
                After::Owed => self.owed += 1,
                After::Transfer(Messages::Whole(messages)) => self.output.extend_from_slice(&messages),
                After::Transfer(Messages::Made(messages)) => self.transfer = Some(messages),
                After::Close => {
                    // Nothing behind this is answered; what stood before it is.
                    self.ended = true;
                    return bytes.len();
                }
            }
        }
        done
    }

    /// Takes the messages of a transfer that are made, as far as there is room.
    fn take_messages(&mut self) {
        while let Some(messages) = self.transfer.as_mut().filter(|_| self.output.len() < ENOUGH) {
            match messages.try_recv() {
                // They have their lengths already.
                Ok(messages) if self.output.is_empty() => self.output = messages,
                Ok(messages) => self.output.extend_from_slice(&messages),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => self.transfer = None,
            }
        }
    }

    fn push(&mut self, reply: &[u8]) {
        framing::append(&mut self.output, |output| output.extend_from_slice(reply));
    }

    fn write(&mut self, now: Mono) -> io::Result<()> {
        while self.writable && self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(length) => {
                    self.written += length;
                    self.last = now;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) => return Err(error),
            }
        }
        if self.writable {
            match self.stream.flush() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                flushed => flushed?,
            }
        }
        if self.written == self.output.len() {
            self.output.clear();
        } else {
            self.output.drain(..self.written);
        }
        self.written = 0;
        Ok(())
    }
}
