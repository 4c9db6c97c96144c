//! Messages byte by byte, as no library would write them, and what stands in the replies.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// Longer than any reply takes.
const LIMIT: Duration = Duration::from_secs(20);
/// The id of the good query that follows each message.
const MARKER: [u8; 2] = [0x77, 0x77];
/// A query for www.example. A.
pub const QUESTION: &[u8] = b"\x03www\x07example\x00\x00\x01\x00\x01";

/// A header with id 0x1234: flags, and the counts of the four sections.
pub fn header(flags: u16, counts: [u16; 4]) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34];
    bytes.extend(flags.to_be_bytes());
    counts.iter().for_each(|count| bytes.extend(count.to_be_bytes()));
    bytes
}

/// A query for www.example. A with these options in an OPT record.
pub fn query_with(options: &[u8]) -> Vec<u8> {
    [&header(0, [1, 0, 0, 1]), QUESTION, &opt(0, 0, options)].concat()
}

/// An OPT record: VERSION, flags, options.
pub fn opt(version: u8, flags: u16, options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 41, 0x04, 0xd0, 0, version];
    bytes.extend(flags.to_be_bytes());
    bytes.extend((options.len() as u16).to_be_bytes());
    bytes.extend(options);
    bytes
}

/// An EDNS option.
pub fn option(code: u16, value: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), &(value.len() as u16).to_be_bytes(), value].concat()
}

/// The message with its length before it (RFC 1035 4.2.2).
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

/// Sends a message and then a good query. Servers with one worker take them in turn, so the answer to the query proves that there will
/// be none to the message.
pub fn ask_udp(addr: SocketAddr, message: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(addr).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.send(message).unwrap();
    socket.send(&marker()).unwrap();
    let mut buffer = [0; 65_535];
    let mut reply = None;
    let mut markers = 0;
    loop {
        let length = socket.recv(&mut buffer).expect("the good query is answered");
        if buffer[..2] != MARKER {
            reply = Some(buffer[..length].to_vec());
            continue;
        }
        // What arrived together may be answered in any order; what is asked now is answered behind all of it.
        markers += 1;
        if markers == 2 {
            return reply;
        }
        socket.send(&marker()).unwrap();
    }
}

/// The same over TCP; a connection that is closed is no answer either.
pub fn ask_tcp(addr: SocketAddr, message: &[u8]) -> Option<Vec<u8>> {
    let mut stream = connect(addr);
    stream.write_all(&[framed(message), framed(&marker())].concat()).unwrap();
    let mut reply = None;
    while let Some(next) = read_message(&mut stream) {
        if next[..2] == MARKER {
            break;
        }
        reply = Some(next);
    }
    reply
}

/// A connection whose reads end at last.
pub fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The next message of a connection; `None` when it is closed.
pub fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset].contains(&error.kind()) => {
            return None;
        }
        Err(error) => panic!("neither a message nor the end of the connection: {error}"),
    }
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    Some(message)
}

fn marker() -> Vec<u8> {
    let mut query = [&header(0, [1, 0, 0, 0]), QUESTION].concat();
    query[..2].copy_from_slice(&MARKER);
    query
}

/// What a reply says, as far as servers can be compared in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// With the bits of the OPT record.
    pub rcode: u16,
    pub authoritative: bool,
    pub truncated: bool,
    pub questions: u16,
    pub answers: u16,
    /// The options of the OPT record, if there is one.
    pub options: Option<Vec<(u16, Vec<u8>)>>,
}

impl Reply {
    /// Reads a reply; panics when it is none, or has another id than [`header`] gives.
    pub fn read(bytes: &[u8]) -> Reply {
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        assert!(word(0) == 0x1234 && bytes[2] & 0x80 != 0, "no reply: {bytes:?}");
        let mut reply = Reply {
            rcode: word(2) & 0xf,
            authoritative: bytes[2] & 4 != 0,
            truncated: bytes[2] & 2 != 0,
            questions: word(4),
            answers: word(6),
            options: None,
        };
        let mut at = 12;
        for _ in 0..word(4) {
            at = behind_name(bytes, at) + 4;
        }
        for _ in 0..word(6) + word(8) + word(10) {
            at = behind_name(bytes, at);
            let length = usize::from(word(at + 8));
            if word(at) == 41 {
                reply.rcode |= u16::from(bytes[at + 4]) << 4;
                reply.options = Some(options(&bytes[at + 10..at + 10 + length]));
            }
            at += 10 + length;
        }
        assert!(at <= bytes.len(), "a reply that ends too early: {bytes:?}");
        reply
    }

    /// The value of an option.
    pub fn option(&self, code: u16) -> Option<&[u8]> {
        self.options.iter().flatten().find(|(found, _)| *found == code).map(|(_, value)| value.as_slice())
    }
}

fn behind_name(bytes: &[u8], mut at: usize) -> usize {
    while bytes[at] != 0 && bytes[at] < 0xc0 {
        at += 1 + usize::from(bytes[at]);
    }
    at + if bytes[at] == 0 { 1 } else { 2 }
}

fn options(mut rest: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut all = Vec::new();
    while let [c0, c1, l0, l1, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        all.push((u16::from_be_bytes([*c0, *c1]), behind[..length].to_vec()));
        rest = &behind[length..];
    }
    all
}
