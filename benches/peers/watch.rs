//! Queries at a fixed rate, whatever the server does, with the time of each answer; and beside them one question over and
//! over, to see when a change is served.
//!
//! One thread does it all without ever sleeping, because a thread that sleeps learns of an answer when it is woken, not when
//! the answer came.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::content::{self, Query};
use super::dns;
use super::primary::Primary;

/// Sockets that queries leave from.
const SOCKETS: usize = 2;
/// Time between two looks at the edited record.
const PROBE: Duration = Duration::from_micros(500);
/// How long an answer may be late before it is lost.
const LATE: Duration = Duration::from_secs(1);
/// How often the primary looks for work, in turns of the loop.
const PRIMARY_TURNS: u32 = 16;

/// A server under watch.
pub(crate) struct Watch<'a> {
    epoch: Instant,
    sockets: Vec<UdpSocket>,
    /// For each socket and message id: when the query was sent in nanoseconds since the epoch, and in which phase.
    sent: Vec<Vec<(u64, u8)>>,
    queries: &'a [Query],
    next_query: usize,
    /// Nanoseconds between two queries; none at all when `None`.
    interval: Option<u64>,
    next_send: u64,
    probe: UdpSocket,
    next_probe: u64,
    seen: [u8; 4],
    phases: Vec<Phase>,
    primary: Option<&'a mut Primary>,
    turns: u32,
}

/// What was seen of the queries sent in one phase.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phase {
    /// Queries sent.
    pub(crate) sent: u64,
    /// Nanoseconds to each answer that came in time and was NOERROR or NXDOMAIN.
    latencies: Vec<u64>,
}

impl Phase {
    /// Queries without an answer, or with one that was late or wrong.
    pub(crate) fn lost(&self) -> u64 {
        self.sent - self.latencies.len() as u64
    }

    /// The latency in microseconds that this share of the answers did not exceed.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(at).map_or(f64::NAN, |&nanos| nanos as f64 / 1e3)
    }
}

impl<'a> Watch<'a> {
    /// Watches `server`, with `rate` queries a second (0: none but the look at the edited record). The primary, if any, works
    /// in the same thread.
    pub(crate) fn new(
        server: SocketAddr,
        queries: &'a [Query],
        rate: u64,
        primary: Option<&'a mut Primary>,
    ) -> Watch<'a> {
        Watch {
            epoch: Instant::now(),
            sockets: (0..SOCKETS).map(|_| socket(server)).collect(),
            sent: vec![vec![(0, 0); 65_536]; SOCKETS],
            queries,
            next_query: 0,
            interval: 1_000_000_000_u64.checked_div(rate),
            next_send: 0,
            probe: socket(server),
            next_probe: 0,
            seen: [0; 4],
            phases: vec![Phase::default()],
            primary,
            turns: 0,
        }
    }

    /// Goes on for so long.
    pub(crate) fn run(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.turn(true);
        }
    }

    /// Goes on until the edited record has this address; returns the moment. `None` when it has not within `limit`.
    pub(crate) fn until_seen(&mut self, address: [u8; 4], limit: Duration) -> Option<Instant> {
        let begun = Instant::now();
        while self.seen != address {
            self.turn(true);
            if begun.elapsed() > limit {
                return None;
            }
        }
        Some(Instant::now())
    }

    /// Tells the server of a new version of the zone.
    pub(crate) fn notify(&self, server: SocketAddr) {
        self.primary.iter().for_each(|primary| primary.notify(server));
    }

    /// Makes the primary serve its next version.
    pub(crate) fn next_version(&mut self) {
        self.primary.iter_mut().for_each(|primary| primary.next_version());
    }

    /// From here on queries belong to a new phase.
    pub(crate) fn next_phase(&mut self) {
        self.phases.push(Phase::default());
    }

    /// Waits for late answers, and returns the phases.
    pub(crate) fn finish(mut self) -> Vec<Phase> {
        let begun = Instant::now();
        while begun.elapsed() < LATE {
            self.turn(false);
        }
        self.phases
    }

    fn turn(&mut self, sending: bool) {
        let now = self.now();
        if let Some(interval) = self.interval.filter(|_| sending && now >= self.next_send) {
            // What was missed for long is not sent in a burst.
            self.next_send = (self.next_send + interval).max(now.saturating_sub(10 * interval));
            self.send();
        }
        if now >= self.next_probe {
            self.next_probe = now + PROBE.as_nanos() as u64;
            let _ = self.probe.send(&content::edited_query(1));
        }
        for at in 0..SOCKETS {
            self.receive(at);
        }
        let mut reply = [0; 1_024];
        if let Ok(length) = self.probe.recv(&mut reply) {
            let reply = &reply[..length];
            if let Some((dns::A, _, end)) = dns::answers(reply).next() {
                self.seen.copy_from_slice(&reply[end - 4..end]);
            }
        }
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(PRIMARY_TURNS) {
            self.primary.iter_mut().for_each(|primary| primary.turn());
        }
    }

    fn send(&mut self) {
        let (name, rtype) = &self.queries[self.next_query % self.queries.len()];
        let at = self.next_query % SOCKETS;
        let id = (self.next_query / SOCKETS) as u16;
        self.next_query += 1;
        let message = dns::query(id, name, *rtype, true);
        let phase = (self.phases.len() - 1) as u8;
        self.phases[usize::from(phase)].sent += 1;
        self.sent[at][usize::from(id)] = (self.now(), phase);
        // What the kernel does not take is lost, as it would be in the network.
        let _ = self.sockets[at].send(&message);
    }

    fn receive(&mut self, at: usize) {
        let mut reply = [0; 4_096];
        let Ok(length) = self.sockets[at].recv(&mut reply) else { return };
        let now = self.now();
        let Some(gist) = dns::gist(&reply[..length]) else { return };
        let (sent, phase) = std::mem::take(&mut self.sent[at][usize::from(dns::number(&reply, 0))]);
        if sent == 0 {
            return;
        }
        let took = now - sent;
        if took <= LATE.as_nanos() as u64 && matches!(gist.rcode, 0 | 3) {
            self.phases[usize::from(phase)].latencies.push(took);
        }
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }
}

fn socket(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.connect(server).unwrap();
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20);
    socket
}
