//! Carries out what machines ask for ([`crate::ask::exchange`]) with real sockets: datagrams on the thread of who asks
//! (`server/sockets`), and connections, which carry one exchange after the other where [`crate::ask::admission`] says so, in tasks of
//! their own: a message of a transfer takes long to be read.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use mio::{Events, Poll};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::ask::admission::{Admission, Orders, Stalled, Turn};
use crate::ask::exchange::{Arrival, Exchange, Failure, Outbox, Token, Transport};
use crate::time::Mono;

use super::courtesy::queries_first;
use super::poll;
use super::sockets::{Arrivals, Room, Sockets, failure};

/// A connection that is not there after so long will not be: three tries of the kernel's to open it have failed.
const CONNECT: Duration = Duration::from_secs(8);
/// A connection that brings nothing for so long is given up.
const TCP_IDLE: Duration = Duration::from_secs(60);
/// Bytes read from a connection at a time.
const READ: usize = 1 << 16;
/// Arrivals of all connections that wait to be taken in. Those of a large transfer come faster than that, and every other exchange's next
/// arrival stands behind what waits: beyond these, each exchange has one that waits for its turn among them, in order.
const ARRIVALS: usize = 4;
/// Connections of one driver at once for exchanges that begin when they are asked for; more are refused until others end. The others are
/// bounded by their queues.
const MAX_EXCHANGES: usize = 4_096;
/// The sockets for datagrams: very many servers may be asked, each now and then, by a command that has few descriptors.
const SOCKETS: Room = Room { kept: 512, most: 4_096 };
/// Events taken from the poll at a time.
const EVENTS: usize = 64;

/// The exchanges of one owner of machines: those that wait for their turn and those under way.
pub struct Exchanges {
    admission: Admission,
    orders: Orders,
    /// Over connections.
    running: HashMap<Token, Task>,
    /// Where their tasks run.
    tasks: Handle,
    /// Over datagrams.
    sockets: Sockets,
    poll: AsyncFd<Poll>,
    events: Events,
    /// Those that began in their turn, of which the machines have not been told.
    begun: Vec<Token>,
    /// What has come in over datagrams.
    found: Arrivals,
    /// What comes in over connections.
    arrivals: mpsc::Sender<(Token, Arrival)>,
    arrived: mpsc::Receiver<(Token, Arrival)>,
}

/// What carries an exchange over a connection out.
struct Task {
    handle: AbortHandle,
    /// Takes the next exchange.
    next: mpsc::Sender<Exchange>,
}

impl Exchanges {
    /// No exchange yet. Connections are looked after by `tasks`; must be called within the runtime that [`Exchanges::next`] is to be
    /// waited for in, which need not be that.
    pub fn new(tasks: Handle) -> io::Result<Exchanges> {
        let (arrivals, arrived) = mpsc::channel(ARRIVALS);
        let poll = Poll::new()?;
        let sockets = Sockets::new(poll.registry().try_clone()?, 0, SOCKETS, rand::random());
        Ok(Exchanges {
            admission: Admission::default(),
            orders: Orders::default(),
            running: HashMap::new(),
            tasks,
            sockets,
            // SAFETY: the poll keeps its descriptor open for as long as it lives.
            poll: unsafe { AsyncFd::register_with_interest(poll, Interest::READABLE) }?,
            events: Events::with_capacity(EVENTS),
            begun: Vec::new(),
            found: Arrivals::new(),
            arrivals,
            arrived,
        })
    }

    /// Waits for what comes in next, of which [`Exchanges::arrived`] is to be told. Nothing is lost when it is not waited for to the end.
    pub async fn next(&mut self) -> io::Result<(Token, Arrival)> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return Ok(found);
            }
            tokio::select! {
                ready = self.poll.readable_mut() => {
                    let mut ready = ready?;
                    poll::wait(ready.get_inner_mut(), &mut self.events, Some(Duration::ZERO))?;
                    if self.events.is_empty() {
                        ready.clear_ready();
                    }
                    self.events.iter().for_each(|event| self.sockets.ready(event, &mut self.found));
                }
                Some(arrived) = self.arrived.recv() => return Ok(arrived),
            }
        }
    }

    /// Does what the machines asked for since the last call, and what is due.
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
            if self.running.len() >= MAX_EXCHANGES && exchange.transport == Transport::Tcp {
                self.found.push_back((exchange.token, Arrival::Failed(Failure::Local)));
            } else {
                self.begin(now, exchange);
            }
        }
        for token in outbox.cancels.drain(..).chain(self.orders.close.drain(..)) {
            match self.running.remove(&token) {
                Some(task) => task.handle.abort(),
                None => self.sockets.cancel(token),
            }
        }
        for Turn { exchange, after } in std::mem::take(&mut self.orders.begin) {
            self.begun.push(exchange.token);
            match after.and_then(|after| self.running.remove(&after)) {
                Some(task) => self.go_on(task, exchange),
                None => self.begin(now, exchange),
            }
        }
        self.sockets.go_on(now, &mut self.found);
    }

    /// The exchanges that have begun in their turn since this was asked last.
    pub fn take_begun(&mut self) -> Vec<Token> {
        std::mem::take(&mut self.begun)
    }

    /// When [`Exchanges::carry_out`] is to be called next.
    pub fn next_timeout(&self) -> Option<Mono> {
        self.admission.next_timeout().into_iter().chain(self.sockets.next_timeout()).min()
    }

    /// Takes note of what arrived; `false` when no machine is to hear of it.
    pub fn arrived(&mut self, token: Token, arrival: &Arrival) -> bool {
        if matches!(arrival, Arrival::Failed(_)) {
            self.running.remove(&token);
        }
        self.admission.arrived(token, arrival)
    }

    fn begin(&mut self, now: Mono, exchange: Exchange) {
        if exchange.transport == Transport::Udp {
            return self.sockets.begin(now, &exchange, &mut self.found);
        }
        let (arrivals, token) = (self.arrivals.clone(), exchange.token);
        let (next, more) = mpsc::channel(1);
        let task = self.tasks.spawn(async move {
            let (token, failure) = connection(exchange, more, &arrivals).await;
            // When nobody listens any more the node is stopping.
            let _ = arrivals.send((token, Arrival::Failed(failure))).await;
        });
        self.running.insert(token, Task { handle: task.abort_handle(), next });
    }

    /// Lets an exchange follow the one before it on a connection.
    fn go_on(&mut self, task: Task, exchange: Exchange) {
        let token = exchange.token;
        if task.next.try_send(exchange).is_ok() {
            self.running.insert(token, task);
            return;
        }
        // The connection is closed already; its word of that is on its way, under the exchange before.
        self.found.push_back((token, Arrival::Failed(Failure::Closed)));
    }
}

/// Carries out one exchange after the other on a connection; returns how it ended, and the last exchange.
async fn connection(
    first: Exchange,
    mut more: mpsc::Receiver<Exchange>,
    arrivals: &mpsc::Sender<(Token, Arrival)>,
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
        match converse(&mut stream, &mut input, &exchange, &mut more, arrivals).await {
            Ok(Some(next)) => exchange = next,
            Ok(None) => return (exchange.token, Failure::Closed),
            Err(error) => return (last(exchange.token, &mut more), failure(&error)),
        }
    }
}

/// The exchange that a connection has ended with. The machine may have got its answer and asked for another one while the connection broke;
/// none is taken in from here on, for nobody would hear of it.
fn last(current: Token, more: &mut mpsc::Receiver<Exchange>) -> Token {
    more.close();
    more.try_recv().map_or(current, |next| next.token)
}

async fn connect(exchange: &Exchange) -> io::Result<TcpStream> {
    let socket = if exchange.to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let stream = within(CONNECT, socket.connect(exchange.to)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends a request and hands on what answers it, until another one is to be sent. `None` when nobody wants to know.
async fn converse(
    stream: &mut TcpStream,
    input: &mut Vec<u8>,
    exchange: &Exchange,
    more: &mut mpsc::Receiver<Exchange>,
    arrivals: &mpsc::Sender<(Token, Arrival)>,
) -> io::Result<Option<Exchange>> {
    let length = u16::try_from(exchange.message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    within(TCP_IDLE, stream.write_all(&[&length.to_be_bytes(), &exchange.message[..]].concat())).await?;
    loop {
        let mut done = 0;
        while let Some(message) = message_at(input, done) {
            done += 2 + message.len();
            if message.get(..2) == exchange.message.get(..2)
                && arrivals.send((exchange.token, Arrival::Message(message.to_vec()))).await.is_err()
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
