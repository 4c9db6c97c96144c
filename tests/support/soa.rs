//! The smallest client: one UDP question for the SOA of a zone, over a socket of its own.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

/// How long to wait for an answer over loopback before the question counts as lost.
const LIMIT: Duration = Duration::from_millis(200);

/// The serial that the server at `addr` serves with authority; `None` for silence, an error or an expired zone.
pub fn serial(addr: SocketAddr, zone: &str) -> Option<u32> {
    Client::new(addr, zone).ask()?.serial
}

/// Whether the server answers at all, with whatever response code.
pub fn answers(addr: SocketAddr, zone: &str) -> bool {
    Client::new(addr, zone).ask().is_some()
}

/// Asks one server about one zone, as often as wanted.
pub struct Client {
    socket: UdpSocket,
    query: Message,
}

/// What came back.
pub struct Answer {
    pub code: ResponseCode,
    /// The serial in the answer section, when the answer is authoritative.
    pub serial: Option<u32>,
}

impl Client {
    /// A client with a socket of its own.
    pub fn new(addr: SocketAddr, zone: &str) -> Client {
        let any = if addr.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = UdpSocket::bind(any).unwrap();
        socket.connect(addr).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let mut query = Message::new(0, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(Name::from_ascii(zone).unwrap(), RecordType::SOA));
        Client { socket, query }
    }

    /// Asks once; `None` when nothing came back in time.
    pub fn ask(&mut self) -> Option<Answer> {
        self.query.metadata.id = self.query.metadata.id.wrapping_add(1);
        self.socket.send(&self.query.to_vec().unwrap()).ok()?;
        let mut buffer = [0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).ok()?;
            let Ok(reply) = Message::from_vec(&buffer[..length]) else { continue };
            // A late answer to an earlier question: the one asked for may still come.
            if reply.metadata.id != self.query.metadata.id {
                continue;
            }
            let serial = reply.answers.iter().find_map(|record| match &record.data {
                RData::SOA(soa) if reply.metadata.authoritative => Some(soa.serial),
                _ => None,
            });
            return Some(Answer { code: reply.metadata.response_code, serial });
        }
    }
}
