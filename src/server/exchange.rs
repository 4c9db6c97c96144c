//! Carries out what machines ask for ([`crate::ask::exchange`]) with real sockets: a fresh one for each datagram, so that every
//! question leaves from a port of its own choice by the kernel (RFC 5452 9.2), and connections that carry one exchange after the
//! other where [`crate::ask::admission`] says so.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::ask::admission::{Admission, Orders, Stalled, Turn};
use crate::ask::exchange::{Arrival, Exchange, Failure, Outbox, Token, Transport};
use crate::time::Mono;

use super::courtesy::queries_first;

/// The longest answer over UDP that is taken in: several times what any question offers to take (RFC 6891 6.2.3).
const ANSWER: usize = 4_096;
/// No exchange over UDP lives longer: the machines' own deadlines are far below.
const UDP_LIFE: Duration = Duration::from_secs(60);
/// A connection that is not there after so long will not be: three tries of the kernel's to open it have failed.
const CONNECT: Duration = Duration::from_secs(8);
/// A connection that brings nothing for so long is given up.
const TCP_IDLE: Duration = Duration::from_secs(60);
/// Bytes read from a connection at a time.
const READ: usize = 1 << 16;
/// Arrivals of all exchanges that wait to be taken in. Those of a large transfer come faster than that, and every other exchange's next
/// arrival stands behind what waits: beyond these, each exchange has one that waits for its turn among them, in order.
const ARRIVALS: usize = 4;
/// Exchanges of one driver at once that begin when they are asked for; more are refused until others end. The others are
/// bounded by their queues.
const MAX_EXCHANGES: usize = 4_096;

/// The exchanges of one owner of machines: those that wait for their turn and those under way.
pub struct Exchanges<T> {
    admission: Admission,
    orders: Orders,
    running: HashMap<Token, Task>,
    /// Those that began in their turn, of which the machines have not been told.
    begun: Vec<Token>,
    arrivals: mpsc::Sender<T>,
    wrap: fn(Token, Arrival) -> T,
}

/// What carries an exchange out.
struct Task {
    handle: AbortHandle,
    /// Takes the next exchange of a connection.
    next: Option<mpsc::Sender<Exchange>>,
}

impl<T: Send + 'static> Exchanges<T> {
    /// No exchange yet; arrivals come out of what is returned beside it, wrapped.
    pub fn new(wrap: fn(Token, Arrival) -> T) -> (Exchanges<T>, mpsc::Receiver<T>) {
        let (arrivals, arrived) = mpsc::channel(ARRIVALS);
        let exchanges = Exchanges {
            admission: Admission::default(),
            orders: Orders::default(),
            running: HashMap::new(),
            begun: Vec::new(),
            arrivals,
            wrap,
        };
        (exchanges, arrived)
    }

    /// Does what the machines asked for since the last call, and what is due. Must be called within a tokio runtime.
    pub fn carry_out(&mut self, now: Mono, outbox: &mut Outbox) {
        self.admission.pass(now, outbox, &mut self.orders);
        for Stalled { server, running, waiting } in self.orders.stalled.drain(..) {
            tracing::warn!(
                %server,
                "none of {running} connections to this server has begun to be answered or ended for some seconds, and {waiting} requests \
                 wait for their turn at it; a few more are opened: find out why it is so slow"
            );
        }
        for exchange in outbox.exchanges.drain(..) {
            if self.running.len() >= MAX_EXCHANGES {
                self.running.retain(|_, task| !task.handle.is_finished());
            }
            let refused = self.running.len() >= MAX_EXCHANGES;
            self.begin(exchange, refused);
        }
        for token in outbox.cancels.drain(..).chain(self.orders.close.drain(..)) {
            if let Some(task) = self.running.remove(&token) {
                task.handle.abort();
            }
        }
        for Turn { exchange, after } in std::mem::take(&mut self.orders.begin) {
            self.begun.push(exchange.token);
            match after.and_then(|after| self.running.remove(&after)) {
                Some(task) => self.go_on(task, exchange),
                None => self.begin(exchange, false),
            }
        }
    }

    /// The exchanges that have begun in their turn since this was asked last.
    pub fn take_begun(&mut self) -> Vec<Token> {
        std::mem::take(&mut self.begun)
    }

    /// When [`Exchanges::carry_out`] is to be called next.
    pub fn next_timeout(&self) -> Option<Mono> {
        self.admission.next_timeout()
    }

    /// Takes note of what arrived; `false` when no machine is to hear of it.
    pub fn arrived(&mut self, token: Token, arrival: &Arrival) -> bool {
        if matches!(arrival, Arrival::Failed(_)) {
            self.running.remove(&token);
        }
        self.admission.arrived(token, arrival)
    }

    fn begin(&mut self, exchange: Exchange, refused: bool) {
        let (arrivals, wrap, token) = (self.arrivals.clone(), self.wrap, exchange.token);
        let (mut next, mut more) = (None, None);
        if exchange.transport == Transport::Tcp {
            let (sender, receiver) = mpsc::channel(1);
            (next, more) = (Some(sender), Some(receiver));
        }
        let task = tokio::spawn(async move {
            let (token, failure) = match (refused, more) {
                (true, _) => (token, Failure::Local),
                (false, Some(more)) => connection(exchange, more, &arrivals, wrap).await,
                (false, None) => {
                    let ended = tokio::time::timeout(UDP_LIFE, udp(&exchange, &arrivals, wrap)).await;
                    let failed = ended.ok().and_then(Result::err);
                    (token, failed.as_ref().map_or(Failure::Closed, failure))
                }
            };
            // When nobody listens any more the node is stopping.
            let _ = arrivals.send(wrap(token, Arrival::Failed(failure))).await;
        });
        self.running.insert(token, Task { handle: task.abort_handle(), next });
    }

    /// Lets an exchange follow the one before it on a connection.
    fn go_on(&mut self, task: Task, exchange: Exchange) {
        let token = exchange.token;
        let taken = task.next.as_ref().is_some_and(|next| next.try_send(exchange).is_ok());
        if taken {
            self.running.insert(token, task);
            return;
        }
        // The connection is closed already; its word of that is on its way, under the exchange before.
        let (arrivals, wrap) = (self.arrivals.clone(), self.wrap);
        tokio::spawn(async move { drop(arrivals.send(wrap(token, Arrival::Failed(Failure::Closed))).await) });
    }
}

/// What an error of a socket says of an exchange.
pub(super) fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::PermissionDenied => Failure::Unreachable,
        io::ErrorKind::TimedOut => Failure::Unanswered,
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
            Failure::Closed
        }
        _ => Failure::Local,
    }
}

async fn udp<T>(
    exchange: &Exchange,
    arrivals: &mpsc::Sender<T>,
    wrap: fn(Token, Arrival) -> T,
) -> io::Result<()> {
    let any = match exchange.to {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    // Connected, so that datagrams from elsewhere never arrive and "port unreachable" does.
    socket.connect(exchange.to).await?;
    socket.send(&exchange.message).await?;
    let mut buffer = vec![0; ANSWER];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let message = &buffer[..length];
        if message.get(..2) == exchange.message.get(..2)
            && arrivals.send(wrap(exchange.token, Arrival::Message(message.to_vec()))).await.is_err()
        {
            return Ok(());
        }
    }
}

/// Carries out one exchange after the other on a connection; returns how it ended, and the last exchange.
async fn connection<T>(
    first: Exchange,
    mut more: mpsc::Receiver<Exchange>,
    arrivals: &mpsc::Sender<T>,
    wrap: fn(Token, Arrival) -> T,
) -> (Token, Failure) {
    let mut exchange = first;
    let mut stream = match connect(&exchange).await {
        Ok(stream) => stream,
        Err(error) => return (exchange.token, failure(&error)),
    };
    let mut input = Vec::new();
    loop {
        // What was exchanged before has been answered completely.
        input.clear();
        match converse(&mut stream, &mut input, &exchange, &mut more, arrivals, wrap).await {
            Ok(Some(next)) => exchange = next,
            Ok(None) => return (exchange.token, Failure::Closed),
            Err(error) => {
                // The machine may have got its answer and asked for another one while the connection broke.
                let token = more.try_recv().map_or(exchange.token, |next| next.token);
                return (token, failure(&error));
            }
        }
    }
}

async fn connect(exchange: &Exchange) -> io::Result<TcpStream> {
    let socket = if exchange.to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let stream = within(CONNECT, socket.connect(exchange.to)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends a request and hands on what answers it, until another one is to be sent. `None` when nobody wants to know.
async fn converse<T>(
    stream: &mut TcpStream,
    input: &mut Vec<u8>,
    exchange: &Exchange,
    more: &mut mpsc::Receiver<Exchange>,
    arrivals: &mpsc::Sender<T>,
    wrap: fn(Token, Arrival) -> T,
) -> io::Result<Option<Exchange>> {
    let length = u16::try_from(exchange.message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    within(TCP_IDLE, stream.write_all(&[&length.to_be_bytes(), &exchange.message[..]].concat())).await?;
    loop {
        let mut done = 0;
        while let Some(message) = message_at(input, done) {
            done += 2 + message.len();
            if message.get(..2) == exchange.message.get(..2)
                && arrivals.send(wrap(exchange.token, Arrival::Message(message.to_vec()))).await.is_err()
            {
                return Ok(None);
            }
        }
        input.drain(..done);
        queries_first();
        input.reserve(READ);
        tokio::select! {
            read = within(TCP_IDLE, stream.read_buf(input)) => {
                if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            next = more.recv() => return Ok(next),
        }
    }
}

/// The message whose length stands at this place, if it is there as a whole.
fn message_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let (length, rest) = bytes.get(at..)?.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

async fn within<V>(limit: Duration, step: impl Future<Output = io::Result<V>>) -> io::Result<V> {
    tokio::time::timeout(limit, step).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

#[cfg(test)]
mod tests;
