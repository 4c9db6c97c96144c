//! Load over TCP: connections that stay, with a number of queries on their way at all times, each over the next connection in
//! turn, as dnsperf does it. (Were the next query sent where an answer came from, queries would come in pairs for good at a
//! server that answers two at once.)
//!
//! dnsperf over TCP is slower than a server, and opens its connections all at once. Where the queue of a listening socket is
//! short (ten in Knot, and not to be set), some of them then stay half open until retransmission helps. Here one is opened
//! after the other, and the server is the one that has no time to spare.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::content::Query;
use super::dns::{self, HEADER};
use super::load::Count;

/// Connections.
pub(crate) const CONNECTIONS: usize = 100;
/// Queries on their way, as many as over UDP.
const WINDOW: u64 = 200;
/// How long answers may take after the last query, and a connection to be made.
const LATE: Duration = Duration::from_secs(2);
/// Room for what is read at a time.
const ROOM: usize = 16 << 10;

/// Connections that are open, with what they wait for.
pub(crate) struct Streams<'a> {
    connections: Vec<Connection>,
    queries: &'a [Query],
    sent: u64,
    count: Count,
}

struct Connection {
    stream: TcpStream,
    /// The beginning of an answer whose rest has not come.
    begun: Vec<u8>,
}

impl<'a> Streams<'a> {
    /// Opens them all, one after the other.
    pub(crate) fn open(server: SocketAddr, queries: &'a [Query]) -> Streams<'a> {
        let open = |_| {
            let stream = TcpStream::connect_timeout(&server, LATE).unwrap();
            stream.set_nodelay(true).unwrap();
            // The first answer shows that the server has the connection too.
            ask_once(&stream, &queries[0]);
            stream.set_nonblocking(true).unwrap();
            Connection { stream, begun: Vec::new() }
        };
        let count = Count { answered: 0, lost: 0, per_second: 0.0, valid: 0.0 };
        Streams { connections: (0..CONNECTIONS).map(open).collect(), queries, sent: 0, count }
    }

    /// Asks for so long, once in each `pause`, or as fast as the server answers if that is zero.
    pub(crate) fn run(&mut self, time: Duration, pause: Duration) -> Count {
        let begun = Instant::now();
        while begun.elapsed() < time {
            for at in 0..CONNECTIONS {
                self.receive(at);
                while self.waiting() < WINDOW && begun.elapsed() >= pause.mul_f64(self.sent as f64) {
                    self.send();
                }
            }
        }
        let took = begun.elapsed().as_secs_f64();
        self.count.per_second = self.count.answered as f64 / took;
        while self.waiting() > 0 && begun.elapsed() < time + LATE {
            (0..CONNECTIONS).for_each(|at| self.receive(at));
        }
        self.count.lost = self.waiting();
        self.count.valid /= self.count.answered.max(1) as f64;
        self.count
    }

    fn waiting(&self) -> u64 {
        self.sent - self.count.answered
    }

    fn send(&mut self) {
        let message = framed(&self.queries[self.sent as usize % self.queries.len()]);
        // So little always fits into the socket's buffer.
        self.connections[self.sent as usize % CONNECTIONS].stream.write_all(&message).unwrap();
        self.sent += 1;
    }

    fn receive(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        let mut bytes = [0; ROOM];
        match connection.stream.read(&mut bytes) {
            Ok(0) => panic!("the server closed a connection"),
            Ok(length) => connection.begun.extend(&bytes[..length]),
            Err(error) => assert!(error.kind() == ErrorKind::WouldBlock, "a connection broke: {error}"),
        }
        let mut rest = &connection.begun[..];
        while let Some((answer, after)) = split(rest) {
            self.count.answered += 1;
            self.count.valid += f64::from(u8::from(matches!(answer[3] & 15, 0 | 3)));
            rest = after;
        }
        let read = connection.begun.len() - rest.len();
        connection.begun.drain(..read);
    }
}

/// The first whole message, and what comes after it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = 2 + usize::from(dns::number(bytes, 0));
    (end > 2 + HEADER && bytes.len() >= end).then(|| (&bytes[2..end], &bytes[end..]))
}

fn framed((name, rtype): &Query) -> Vec<u8> {
    let message = dns::query(1, name, *rtype, true);
    [&(message.len() as u16).to_be_bytes()[..], &message].concat()
}

fn ask_once(mut stream: &TcpStream, query: &Query) {
    stream.set_read_timeout(Some(LATE)).unwrap();
    stream.write_all(&framed(query)).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
}
