//! Putting many questions to a server, quickly: over UDP a window of them at a time, over TCP in one pipelined stream.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::ask::Question;

/// Questions in flight at one server; their replies fit into the socket's buffer.
const WINDOW: usize = 64;
/// Without a reply for so long, what is in flight is asked again ...
const PATIENCE: Duration = Duration::from_millis(500);
/// ... but not more often than this in a row: then the server hangs.
const TRIES: usize = 12;
/// So many questions share one round of ids.
const ROUND: usize = 30_000;

/// What came back for some questions.
pub struct Replies {
    /// In the order of the questions.
    pub bytes: Vec<Option<Vec<u8>>>,
    /// Which questions were in flight when the server stopped to answer; the rest has not been asked.
    pub stuck: Vec<usize>,
}

/// Asks all questions, or as many as the server answers.
pub fn ask(addr: SocketAddr, questions: &[&Question]) -> Replies {
    let mut replies = Replies { bytes: vec![None; questions.len()], stuck: Vec::new() };
    for tcp in [false, true] {
        let indices: Vec<usize> = (0..questions.len()).filter(|&index| questions[index].tcp == tcp).collect();
        for round in indices.chunks(ROUND) {
            if replies.stuck.is_empty() {
                let ask = if tcp { over_tcp } else { over_udp };
                replies.stuck = ask(addr, questions, round, &mut replies.bytes);
            }
        }
    }
    replies
}

/// Asks the questions with these indices; returns those that are not answered.
fn over_udp(
    addr: SocketAddr,
    questions: &[&Question],
    indices: &[usize],
    replies: &mut [Option<Vec<u8>>],
) -> Vec<usize> {
    // A socket of its own for every round: no late reply of another has its ids.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(addr).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let send = |id: usize| {
        let message = questions[indices[id]].message(id as u16);
        socket.send(&message).unwrap_or_else(|e| panic!("cannot send to {addr}: {e}"));
    };
    let mut flying: BTreeSet<usize> = BTreeSet::new();
    let (mut next, mut tries) = (0, 0);
    let mut buffer = [0; 65_535];
    while next < indices.len() || !flying.is_empty() {
        while next < indices.len() && flying.len() < WINDOW {
            flying.insert(next);
            send(next);
            next += 1;
        }
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let id = buffer.first_chunk::<2>().map(|id| usize::from(u16::from_be_bytes(*id)));
                if let Some(id) = id.filter(|id| flying.remove(id)) {
                    replies[indices[id]] = Some(buffer[..length].to_vec());
                    tries = 0;
                }
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                tries += 1;
                if tries == TRIES {
                    break;
                }
                flying.iter().for_each(|&id| send(id));
            }
            Err(e) => panic!("cannot receive from {addr}: {e}"),
        }
    }
    flying.into_iter().map(|id| indices[id]).collect()
}

/// The same over TCP.
fn over_tcp(
    addr: SocketAddr,
    questions: &[&Question],
    indices: &[usize],
    replies: &mut [Option<Vec<u8>>],
) -> Vec<usize> {
    for window in indices.chunks(WINDOW) {
        let ids = window.iter().enumerate();
        let mut left: HashMap<u16, usize> = ids.map(|(id, &index)| (id as u16, index)).collect();
        // A server may close the connection at any time; what it has not answered is asked on another.
        let mut tries = 0;
        while !left.is_empty() {
            let before = left.len();
            // What goes wrong shows in what is left.
            let _ = stream(addr, questions, &mut left, replies);
            tries = if left.len() < before { 0 } else { tries + 1 };
            if tries == TRIES / 4 {
                return left.into_values().collect();
            }
        }
    }
    Vec::new()
}

fn stream(
    addr: SocketAddr,
    questions: &[&Question],
    left: &mut HashMap<u16, usize>,
    replies: &mut [Option<Vec<u8>>],
) -> io::Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(PATIENCE * 4))?;
    let mut bytes = Vec::new();
    for (&id, &index) in left.iter() {
        let message = questions[index].message(id);
        bytes.extend_from_slice(&(message.len() as u16).to_be_bytes());
        bytes.extend(message);
    }
    stream.write_all(&bytes)?;
    while !left.is_empty() {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message)?;
        let id = message.first_chunk::<2>().map(|id| u16::from_be_bytes(*id));
        if let Some(index) = id.and_then(|id| left.remove(&id)) {
            replies[index] = Some(message);
        }
    }
    Ok(())
}
