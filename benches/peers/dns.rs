//! As much of DNS as a measurement needs: queries out, and what counts in replies.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// RR types.
pub(crate) const A: u16 = 1;
pub(crate) const SOA: u16 = 6;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;
pub(crate) const DS: u16 = 43;
pub(crate) const IXFR: u16 = 251;
pub(crate) const AXFR: u16 = 252;

/// The length of a message's header.
pub(crate) const HEADER: usize = 12;

/// What a reply says, without its records: enough to tell that servers agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gist {
    /// The response code.
    pub(crate) rcode: u8,
    /// Authoritative answer.
    pub(crate) authoritative: bool,
    /// Truncated.
    pub(crate) truncated: bool,
    /// Records in the answer section.
    pub(crate) answers: u16,
    /// Records in the authority section.
    pub(crate) authority: u16,
    /// Records in the additional section.
    pub(crate) additional: u16,
}

/// A query message; with `edns` an OPT record that allows 1,232 bytes.
pub(crate) fn query(id: u16, name: &str, rtype: u16, edns: bool) -> Vec<u8> {
    let mut message = Vec::with_capacity(64);
    message.extend(id.to_be_bytes());
    message.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(rtype.to_be_bytes());
    message.extend([0, 1]);
    if edns {
        message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
    message
}

/// A 16-bit number of a message; 0 beyond its end.
pub(crate) fn number(message: &[u8], at: usize) -> u16 {
    message.get(at..at + 2).map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// What a reply says; `None` when it is none.
pub(crate) fn gist(reply: &[u8]) -> Option<Gist> {
    let is_reply = reply.len() >= HEADER && reply[2] & 0x80 != 0;
    is_reply.then(|| Gist {
        rcode: reply[3] & 15,
        authoritative: reply[2] & 4 != 0,
        truncated: reply[2] & 2 != 0,
        answers: number(reply, 6),
        authority: number(reply, 8),
        additional: number(reply, 10),
    })
}

/// Asks once over UDP; `None` when nothing comes within `wait`.
pub(crate) fn ask(server: SocketAddr, question: &[u8], wait: Duration) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.set_read_timeout(Some(wait)).unwrap();
    socket.connect(server).unwrap();
    socket.send(question).ok()?;
    let mut reply = vec![0; 4_096];
    let length = socket.recv(&mut reply).ok()?;
    reply.truncate(length);
    Some(reply)
}

/// Whether the server answers with authority and without an error.
pub(crate) fn serves(server: SocketAddr, zone: &str, wait: Duration) -> bool {
    let reply = ask(server, &query(1, zone, SOA, false), wait);
    reply
        .and_then(|reply| gist(&reply))
        .is_some_and(|gist| gist.rcode == 0 && gist.authoritative && gist.answers == 1)
}

/// The serial that a server shows.
pub(crate) fn serial(server: SocketAddr, zone: &str, wait: Duration) -> Option<u32> {
    let reply = ask(server, &query(1, zone, SOA, false), wait)?;
    let (_, _, end) = answers(&reply).find(|&(rtype, _, _)| rtype == SOA)?;
    let serial = reply.get(end - 20..end - 16)?;
    serial.try_into().ok().map(u32::from_be_bytes)
}

/// Asks for what changed since a serial; returns the bytes of the answer, which must be one message.
pub(crate) fn differences(server: SocketAddr, zone: &str, since: u32, wait: Duration) -> usize {
    let mut question = query(1, zone, IXFR, false);
    question[9] = 1;
    // The SOA of the version that we have: its owner is the question's, its names the root, its timers nobody's business.
    question.extend([0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0]);
    question.extend(since.to_be_bytes());
    question.extend([0; 16]);
    let mut stream = ask_over_tcp(server, &question, wait);
    next_message(&mut stream, &mut Vec::new())
}

fn ask_over_tcp(server: SocketAddr, question: &[u8], wait: Duration) -> TcpStream {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(wait)).unwrap();
    stream.write_all(&[&(question.len() as u16).to_be_bytes(), question].concat()).unwrap();
    stream
}

/// Appends the next message with its length; returns the message's length.
fn next_message(stream: &mut TcpStream, all: &mut Vec<u8>) -> usize {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let start = all.len() + 2;
    all.extend(length);
    all.resize(start + usize::from(u16::from_be_bytes(length)), 0);
    stream.read_exact(&mut all[start..]).unwrap();
    all.len() - start
}

/// A whole zone by AXFR, as the stream of messages with their lengths.
pub(crate) fn transfer(server: SocketAddr, zone: &str, wait: Duration) -> Vec<u8> {
    let mut stream = ask_over_tcp(server, &query(1, zone, AXFR, false), wait);
    let (mut all, mut soas) = (Vec::new(), 0);
    while soas < 2 {
        let length = next_message(&mut stream, &mut all);
        let start = all.len() - length;
        soas += answers(&all[start..]).filter(|&(rtype, _, _)| rtype == SOA).count();
    }
    all
}

/// The records of the answer section: type, where the record begins, and where it ends.
pub(crate) fn answers(message: &[u8]) -> impl Iterator<Item = (u16, usize, usize)> + '_ {
    let mut at = HEADER;
    for _ in 0..number(message, 4) {
        at = after_name(message, at) + 4;
    }
    (0..number(message, 6)).map(move |_| {
        let start = at;
        let fixed = after_name(message, at);
        at = fixed + 10 + usize::from(number(message, fixed + 8));
        (number(message, fixed), start, at)
    })
}

fn after_name(message: &[u8], mut at: usize) -> usize {
    loop {
        match message.get(at) {
            None | Some(0) => return at + 1,
            Some(192..) => return at + 2,
            Some(&length) => at += 1 + usize::from(length),
        }
    }
}
