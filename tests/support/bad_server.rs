//! A server with one bad habit, in the middle of an otherwise healthy one: it is authoritative for a small zone, transfers it,
//! and has an address for every name.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

use super::fake_primary::{ZONE, a, ns, soa};
use super::ports;

/// How long it waits for a question on a connection.
const LIMIT: Duration = Duration::from_secs(10);

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    None,
    /// Five bytes behind every reply.
    BytesBehind,
    /// This code to every request with EDNS options (or, `to_all_edns`, with an OPT record), with an OPT record of its own.
    Objects {
        rcode: ResponseCode,
        with_opt: bool,
        to_all_edns: bool,
    },
    /// FORMERR to every request with an OPT record, as a header of 12 bytes.
    BareFormerr,
    /// No answer to requests with an OPT record.
    SilentToEdns,
    /// Every datagram is cut, and connections are closed without a word.
    CutAndClosed,
    /// Replies with another id.
    WrongId,
    /// Replies with another question.
    WrongQuestion,
}

/// A running server. Its threads end with the test.
pub struct BadServer {
    pub addr: SocketAddr,
    state: Arc<Mutex<(Habit, u32)>>,
}

impl BadServer {
    /// Starts with a habit, at serial 1.
    pub fn start(habit: Habit) -> BadServer {
        let (udp, tcp) = ports::bind();
        let addr = tcp.local_addr().unwrap();
        let state = Arc::new(Mutex::new((habit, 1)));
        thread::spawn({
            let state = Arc::clone(&state);
            move || answer_datagrams(&udp, &state)
        });
        thread::spawn({
            let state = Arc::clone(&state);
            move || {
                for stream in tcp.incoming() {
                    let state = Arc::clone(&state);
                    thread::spawn(move || answer_stream(stream.unwrap(), &state));
                }
            }
        });
        BadServer { addr, state }
    }

    /// Serves another serial from now on.
    pub fn publish(&self, serial: u32) {
        self.state.lock().unwrap().1 = serial;
    }

    /// Is mended, or broken, from now on.
    pub fn become_(&self, habit: Habit) {
        self.state.lock().unwrap().0 = habit;
    }
}

fn answer_datagrams(socket: &UdpSocket, state: &Mutex<(Habit, u32)>) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let (habit, serial) = *state.lock().unwrap();
        let Ok(question) = Message::from_vec(&buffer[..length]) else { continue };
        if let Some(reply) = reply(&question, habit, serial, false) {
            socket.send_to(&reply, from).ok();
        }
    }
}

fn answer_stream(mut stream: TcpStream, state: &Mutex<(Habit, u32)>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes)?;
    let (habit, serial) = *state.lock().unwrap();
    let Ok(question) = Message::from_vec(&bytes) else { return Ok(()) };
    match reply(&question, habit, serial, true) {
        Some(reply) => {
            stream.write_all(&u16::try_from(reply.len()).unwrap().to_be_bytes())?;
            stream.write_all(&reply)
        }
        None if habit == Habit::CutAndClosed => Ok(()),
        // Silent, and does not close either.
        None => stream.read_exact(&mut [0]),
    }
}

fn reply(question: &Message, habit: Habit, serial: u32, over_tcp: bool) -> Option<Vec<u8>> {
    let has_options = question.edns.as_ref().is_some_and(|edns| !edns.options().as_ref().is_empty());
    let mut message = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.authoritative = true;
    message.metadata.recursion_desired = question.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.queries.clone_from(&question.queries);
    let asked = &question.queries[0];
    let whole = || vec![soa(ZONE, serial), ns(ZONE), a("www.example.", serial as u8), soa(ZONE, serial)];
    message.answers = match asked.query_type() {
        RecordType::SOA => vec![soa(ZONE, serial)],
        RecordType::IXFR | RecordType::AXFR => whole(),
        _ => vec![a(&asked.name().to_string(), 7)],
    };
    let with_edns = |message: &mut Message| message.edns = Some(Edns::new());
    match habit {
        Habit::Objects { rcode, with_opt, to_all_edns }
            if if to_all_edns { question.edns.is_some() } else { has_options } =>
        {
            message.answers.clear();
            message.metadata.response_code = rcode;
            if with_opt {
                with_edns(&mut message);
            }
        }
        Habit::BareFormerr if question.edns.is_some() => {
            let mut bytes = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
            bytes.metadata.response_code = ResponseCode::FormErr;
            return Some(bytes.to_vec().unwrap());
        }
        Habit::SilentToEdns if question.edns.is_some() => return None,
        Habit::CutAndClosed if over_tcp => return None,
        Habit::CutAndClosed => {
            message.answers.clear();
            message.metadata.truncation = true;
        }
        Habit::WrongId => message.metadata.id ^= 1,
        Habit::WrongQuestion => {
            message.queries[0].set_name(Name::from_ascii("other.example.").unwrap());
        }
        _ if question.edns.is_some() && habit != Habit::BareFormerr => with_edns(&mut message),
        _ => {}
    }
    let mut bytes = message.to_vec().unwrap();
    if habit == Habit::BytesBehind {
        bytes.extend_from_slice(&[0; 5]);
    }
    Some(bytes)
}
