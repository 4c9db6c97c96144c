//! A primary that costs next to nothing: it has recorded a transfer of `example.`, and plays it back.
//!
//! It runs in the thread of the watch, a piece at a time, so that it takes no time from the server on the other core.
//! IXFR is answered with the whole zone, which RFC 1995 section 4 allows: what is measured is a transfer of it all.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

use super::content::{SERIAL, edited_address};
use super::dns::{self, HEADER};

/// How much goes out at a time: some ten microseconds of copying.
const PIECE: usize = 32 << 10;
/// The longest request that is read.
const REQUEST: usize = 512;

/// The server side of the recorded transfer.
pub(crate) struct Primary {
    /// Where it is.
    pub(crate) addr: SocketAddr,
    udp: UdpSocket,
    tcp: TcpListener,
    connections: Vec<Connection>,
    /// Messages with their lengths, of the version that is served.
    stream: Vec<u8>,
    version: u8,
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    /// What remains to be sent: the recorded stream from here on, or a short reply.
    reply: Vec<u8>,
    sent: usize,
}

impl Primary {
    /// Serves a transfer recorded from a server with version 0 of `example.`.
    pub(crate) fn new(addr: SocketAddr, recorded: Vec<u8>) -> Primary {
        let udp = UdpSocket::bind(addr).unwrap();
        let tcp = TcpListener::bind(addr).unwrap();
        udp.set_nonblocking(true).unwrap();
        tcp.set_nonblocking(true).unwrap();
        Primary { addr, udp, tcp, connections: Vec::new(), stream: recorded, version: 0 }
    }

    /// Serves the next version: the edited record, and the serial in both SOA records, are other ones.
    pub(crate) fn next_version(&mut self) {
        let serial = |version: u8| (SERIAL + u32::from(version)).to_be_bytes();
        let next = self.version + 1;
        assert_eq!(replace(&mut self.stream, serial(self.version), serial(next)), 2, "two SOA records");
        let changed = replace(&mut self.stream, edited_address(self.version), edited_address(next));
        assert_eq!(changed, 1, "one edited record");
        self.version = next;
    }

    /// Sends a NOTIFY (RFC 1996).
    pub(crate) fn notify(&self, server: SocketAddr) {
        let mut message = dns::query(7, "example.", dns::SOA, false);
        // Opcode 4, and AA.
        message[2] = 0x24;
        let _ = self.udp.send_to(&message, server);
    }

    /// Does what there is to do, without waiting.
    pub(crate) fn turn(&mut self) {
        let mut request = [0; REQUEST];
        if let Ok((length, from)) = self.udp.recv_from(&mut request) {
            // Answers to NOTIFY come here too.
            if length > HEADER && request[2] & 0x80 == 0 {
                let _ = self.udp.send_to(&self.soa(&request[..length]), from);
            }
        }
        if let Ok((stream, _)) = self.tcp.accept() {
            stream.set_nonblocking(true).unwrap();
            self.connections.push(Connection { stream, request: Vec::new(), reply: Vec::new(), sent: 0 });
        }
        for mut connection in std::mem::take(&mut self.connections) {
            if self.serve(&mut connection) {
                self.connections.push(connection);
            }
        }
    }

    /// Goes on with one connection; `false` when it is over.
    fn serve(&self, connection: &mut Connection) -> bool {
        if connection.sent < connection.reply.len() {
            let end = connection.reply.len().min(connection.sent + PIECE);
            return match connection.stream.write(&connection.reply[connection.sent..end]) {
                Ok(written) => {
                    connection.sent += written;
                    true
                }
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            };
        }
        let mut bytes = [0; REQUEST];
        match connection.stream.read(&mut bytes) {
            Ok(0) => return false,
            Ok(length) => connection.request.extend(&bytes[..length]),
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
        let length = usize::from(dns::number(&connection.request, 0));
        if connection.request.len() < 2 + length || length < HEADER {
            return connection.request.len() < REQUEST;
        }
        let request: Vec<u8> = connection.request.drain(..2 + length).skip(2).collect();
        connection.sent = 0;
        connection.reply = match question_type(&request) {
            dns::AXFR | dns::IXFR => self.transfer(&request),
            _ => {
                let soa = self.soa(&request);
                [&(soa.len() as u16).to_be_bytes()[..], &soa].concat()
            }
        };
        true
    }

    /// The recorded messages with the id and the type of this request.
    fn transfer(&self, request: &[u8]) -> Vec<u8> {
        let mut reply = self.stream.clone();
        let mut at = 0;
        while at < reply.len() {
            let length = usize::from(dns::number(&reply, at));
            let message = &mut reply[at + 2..at + 2 + length];
            message[..2].copy_from_slice(&request[..2]);
            if dns::number(message, 4) == 1 {
                let end = question_end(message);
                message[end - 4..end - 2].copy_from_slice(&question_type(request).to_be_bytes());
            }
            at += 2 + length;
        }
        reply
    }

    /// The answer to a question for SOA: the first record of the transfer.
    fn soa(&self, request: &[u8]) -> Vec<u8> {
        let first = &self.stream[2..];
        let end = question_end(first);
        let (_, start, soa_end) = dns::answers(first).next().unwrap();
        assert_eq!(start, end, "the SOA follows the question");
        let mut reply = first[..soa_end].to_vec();
        reply[..2].copy_from_slice(&request[..2]);
        reply[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
        reply[end - 4..end - 2].copy_from_slice(&dns::SOA.to_be_bytes());
        reply
    }
}

/// Where the question of a message for `example.` ends.
fn question_end(_message: &[u8]) -> usize {
    HEADER + "\u{7}example\0".len() + 4
}

fn question_type(request: &[u8]) -> u16 {
    dns::number(request, question_end(request) - 4)
}

/// Replaces four bytes wherever they are; returns how often.
fn replace(bytes: &mut [u8], old: [u8; 4], new: [u8; 4]) -> usize {
    let places: Vec<usize> =
        bytes.windows(4).enumerate().filter(|(_, window)| *window == old).map(|(at, _)| at).collect();
    places.iter().for_each(|&at| bytes[at..at + 4].copy_from_slice(&new));
    places.len()
}
