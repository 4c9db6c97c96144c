//! Carries out what machines ask for ([`crate::ask::exchange`]) with real sockets: one fresh socket per exchange, so that every
//! question leaves from a port of its own choice by the kernel (RFC 5452 9.2).

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::ask::exchange::{Arrival, Exchange, Failure, Outbox, Token, Transport};

/// The longest answer over UDP that is taken in: several times what any question offers to take (RFC 6891 6.2.3).
const ANSWER: usize = 4_096;
/// No exchange over UDP lives longer: the machines' own deadlines are far below.
const UDP_LIFE: Duration = Duration::from_secs(60);
/// A connection that is not there after so long will not be: three tries of the kernel's to open it have failed.
const CONNECT: Duration = Duration::from_secs(8);
/// A connection that brings nothing for so long is given up.
const TCP_IDLE: Duration = Duration::from_secs(60);
/// Exchanges of one driver at once; more are refused until others end.
const MAX_EXCHANGES: usize = 4_096;

/// The exchanges of one owner of machines, under way.
pub struct Exchanges<T> {
    running: HashMap<Token, AbortHandle>,
    arrivals: mpsc::Sender<T>,
    wrap: fn(Token, Arrival) -> T,
}

impl<T: Send + 'static> Exchanges<T> {
    /// Arrivals will be sent to `arrivals`, wrapped.
    pub fn new(arrivals: mpsc::Sender<T>, wrap: fn(Token, Arrival) -> T) -> Exchanges<T> {
        Exchanges { running: HashMap::new(), arrivals, wrap }
    }

    /// Does what the machines asked for since the last call. Must be called within a tokio runtime.
    pub fn carry_out(&mut self, outbox: &mut Outbox) {
        for exchange in outbox.exchanges.drain(..) {
            if self.running.len() >= MAX_EXCHANGES {
                self.running.retain(|_, task| !task.is_finished());
            }
            let refused = self.running.len() >= MAX_EXCHANGES;
            let (arrivals, wrap, token) = (self.arrivals.clone(), self.wrap, exchange.token);
            let task = tokio::spawn(async move {
                let failure = if refused { Failure::Local } else { run(exchange, &arrivals, wrap).await };
                // When nobody listens any more the node is stopping.
                let _ = arrivals.send(wrap(token, Arrival::Failed(failure))).await;
            });
            self.running.insert(token, task.abort_handle());
        }
        for token in outbox.cancels.drain(..) {
            if let Some(task) = self.running.remove(&token) {
                task.abort();
            }
        }
    }

    /// Forgets an exchange that has ended by itself.
    pub fn ended(&mut self, token: Token) {
        self.running.remove(&token);
    }
}

async fn run<T>(exchange: Exchange, arrivals: &mpsc::Sender<T>, wrap: fn(Token, Arrival) -> T) -> Failure {
    let ended = match exchange.transport {
        Transport::Udp => match tokio::time::timeout(UDP_LIFE, udp(&exchange, arrivals, wrap)).await {
            Ok(ended) => ended,
            Err(_) => return Failure::Closed,
        },
        Transport::Tcp => tcp(&exchange, arrivals, wrap).await,
    };
    match ended {
        Ok(()) => Failure::Closed,
        Err(error) => failure(&error),
    }
}

/// What an error of a socket says of an exchange.
pub(super) fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::TimedOut => {
            Failure::Unreachable
        }
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

async fn tcp<T>(
    exchange: &Exchange,
    arrivals: &mpsc::Sender<T>,
    wrap: fn(Token, Arrival) -> T,
) -> io::Result<()> {
    let socket = if exchange.to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let mut stream = within(CONNECT, socket.connect(exchange.to)).await?;
    stream.set_nodelay(true)?;
    let length = u16::try_from(exchange.message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), &exchange.message[..]].concat()).await?;
    let mut stream = tokio::io::BufReader::with_capacity(1 << 16, stream);
    loop {
        let length = within(TCP_IDLE, stream.read_u16()).await?;
        let mut message = vec![0; usize::from(length)];
        within(TCP_IDLE, stream.read_exact(&mut message)).await?;
        if message.get(..2) == exchange.message.get(..2)
            && arrivals.send(wrap(exchange.token, Arrival::Message(message))).await.is_err()
        {
            return Ok(());
        }
    }
}

async fn within<V>(limit: Duration, step: impl Future<Output = io::Result<V>>) -> io::Result<V> {
    tokio::time::timeout(limit, step).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
