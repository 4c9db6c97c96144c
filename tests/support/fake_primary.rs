//! A primary that lies: it gives its serial truthfully and whatever a test wants as a transfer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, NS, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::ports;

/// The zone it has.
pub const ZONE: &str = "example.";
/// How long one reply to a NOTIFY may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The messages of a transfer, from the question to the end of the connection.
pub type Reply = fn(question: &Message) -> Vec<Vec<u8>>;

/// What it says now.
#[derive(Clone, Copy)]
pub struct Script {
    /// The serial that SOA questions are answered with.
    pub serial: u32,
    pub ixfr: Reply,
    pub axfr: Reply,
}

/// A running fake. Its threads end with the test.
pub struct FakePrimary {
    pub addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    script: Script,
    asked: u64,
}

impl FakePrimary {
    /// Starts to answer by `script`.
    pub fn start(script: Script) -> FakePrimary {
        let (udp, tcp) = ports::bind();
        let addr = tcp.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { script, asked: 0 }));
        thread::spawn({
            let state = Arc::clone(&state);
            move || answer_datagrams(&udp, &state)
        });
        thread::spawn({
            let state = Arc::clone(&state);
            move || tcp.incoming().for_each(|stream| drop(answer_stream(stream.unwrap(), &state)))
        });
        FakePrimary { addr, state }
    }

    /// Says something else from now on.
    pub fn change(&self, script: Script) {
        self.state.lock().unwrap().script = script;
    }

    /// How many questions have come.
    pub fn asked(&self) -> u64 {
        self.state.lock().unwrap().asked
    }
}

/// Sends a NOTIFY for `zone` from an address of `ip`, and returns the response code.
pub fn notify(ip: &str, to: SocketAddr, zone: &str, serial: u32) -> ResponseCode {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Notify);
    message.metadata.authoritative = true;
    message.add_query(Query::query(Name::from_str(zone).unwrap(), RecordType::SOA));
    message.answers.push(soa(zone, serial));
    socket.send_to(&message.to_vec().unwrap(), to).unwrap();
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).expect("a NOTIFY is answered");
    Message::from_vec(&buffer[..length]).unwrap().metadata.response_code
}

/// A response to `question` with these answers, as bytes.
pub fn response(question: &Message, answers: Vec<Record>) -> Vec<u8> {
    let mut message = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.authoritative = true;
    message.queries.clone_from(&question.queries);
    message.answers = answers;
    message.to_vec().unwrap()
}

/// A SOA record; retry is a second.
pub fn soa(zone: &str, serial: u32) -> Record {
    let name = |text: &str| Name::from_str(text).unwrap();
    let soa = SOA::new(name("ns.example."), name("hostmaster.example."), serial, 1800, 1, 86400, 5);
    Record::from_rdata(name(zone), 60, RData::SOA(soa))
}

/// The NS record of a zone.
pub fn ns(zone: &str) -> Record {
    Record::from_rdata(
        Name::from_str(zone).unwrap(),
        60,
        RData::NS(NS(Name::from_str("ns.example.").unwrap())),
    )
}

/// An address record, 192.0.2.`host`.
pub fn a(owner: &str, host: u8) -> Record {
    Record::from_rdata(Name::from_str(owner).unwrap(), 60, RData::A(A::new(192, 0, 2, host)))
}

fn answer_datagrams(socket: &UdpSocket, state: &Mutex<State>) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let Ok(question) = Message::from_vec(&buffer[..length]) else { continue };
        let serial = {
            let mut state = state.lock().unwrap();
            state.asked += 1;
            state.script.serial
        };
        socket.send_to(&response(&question, vec![soa(ZONE, serial)]), from).ok();
    }
}

fn answer_stream(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes)?;
    let Ok(question) = Message::from_vec(&bytes) else { return Ok(()) };
    let script = {
        let mut state = state.lock().unwrap();
        state.asked += 1;
        state.script
    };
    let messages = match question.queries[0].query_type() {
        RecordType::IXFR => (script.ixfr)(&question),
        RecordType::AXFR => (script.axfr)(&question),
        _ => vec![response(&question, vec![soa(ZONE, script.serial)])],
    };
    for message in messages {
        stream.write_all(&u16::try_from(message.len()).unwrap().to_be_bytes())?;
        stream.write_all(&message)?;
    }
    Ok(())
}
