//! Probes over real sockets: what carries out the [`Outbox`] of a [`Watch`] for the commands that look at servers.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::ask::exchange::{self, Arrival, Exchange, Outbox, Token};
use crate::cli::exit::Failure;
use crate::probe::observation::Ask;
use crate::probe::observe::Event;
use crate::probe::watch::{MAX_TARGETS, Pace, Watch};
use crate::time::{Mono, Now, Utc};
use crate::wire::name::Name;
use crate::zone::serial::Serial;

/// Larger than any datagram that a query with our payload size calls for; what is longer was not meant for us.
const MAX_DATAGRAM: usize = 4_096;
/// Arrivals that wait to be taken in; each probe has few.
const QUEUE: usize = 1_024;
/// The monotonic clock starts at a hundred days, so that the ages that servers tell reach back before its start.
const EPOCH: Duration = Duration::from_secs(100 * 86_400);

/// Runs a command that waits for the network, on this thread.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}; are there file descriptors left?")))?
        .block_on(work)
}

/// Watches servers, and waits for what they show.
pub struct Observer {
    watch: Watch,
    outbox: Outbox,
    started: Instant,
    open: HashMap<Token, AbortHandle>,
    arrivals: mpsc::Receiver<(Token, Arrival)>,
    sender: mpsc::Sender<(Token, Arrival)>,
}

impl Observer {
    /// Watches nothing yet. Needs a tokio runtime.
    pub fn new(pace: Pace) -> Observer {
        let (sender, arrivals) = mpsc::channel(QUEUE);
        Observer {
            watch: Watch::new(pace, rand::random()),
            outbox: Outbox::default(),
            started: Instant::now(),
            open: HashMap::new(),
            arrivals,
            sender,
        }
    }

    /// The present.
    pub fn now(&self) -> Now {
        let span = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Now {
            mono: Mono(span(EPOCH + self.started.elapsed())),
            // A clock before 1970 counts as 1970.
            utc: Utc(span(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())),
        }
    }

    /// Begins to ask, at once; an older question to the server about the zone is replaced.
    pub fn insert(&mut self, ask: Ask) -> Result<(), Failure> {
        let now = self.now();
        if self.watch.insert(now, ask, &mut self.outbox) {
            return Ok(());
        }
        Err(Failure::new(format!("more than {MAX_TARGETS} pairs of zone and server; name fewer of them")))
    }

    /// Ends asking.
    pub fn remove(&mut self, zone: &Name, server: SocketAddr) {
        self.watch.remove(zone, server, &mut self.outbox);
    }

    /// Sets another pace.
    pub fn set_pace(&mut self, pace: Pace) {
        self.watch.set_pace(pace);
    }

    /// A version was seen somewhere: the other servers of the zone are asked quickly until they show it.
    pub fn published(&mut self, zone: &Name, serial: Serial) {
        let now = self.now();
        self.watch.published(now, zone, serial);
    }

    /// What was shown next; nothing when `until` has come, or when there is nobody to ask and no `until`.
    pub async fn next(&mut self, until: Option<Mono>) -> Vec<Event> {
        loop {
            let now = self.now();
            let events = self.watch.handle_timeout(now, &mut self.outbox);
            self.carry_out();
            if !events.is_empty() {
                return events;
            }
            if until.is_some_and(|until| until <= now.mono) {
                return Vec::new();
            }
            let Some(due) = self.watch.next_timeout().into_iter().chain(until).min() else {
                return Vec::new();
            };
            let arrival = tokio::time::timeout(due.since(now.mono), self.arrivals.recv()).await;
            if let Ok(Some((token, arrival))) = arrival {
                let now = self.now();
                let event = self.watch.arrival(now, token, arrival, &mut self.outbox);
                self.carry_out();
                if let Some(event) = event {
                    return vec![event];
                }
            }
        }
    }

    fn carry_out(&mut self) {
        for exchange in self.outbox.exchanges.drain(..) {
            let token = exchange.token;
            let task = tokio::spawn(exchange_over_udp(exchange, self.sender.clone()));
            self.open.insert(token, task.abort_handle());
        }
        for token in self.outbox.cancels.drain(..) {
            if let Some(task) = self.open.remove(&token) {
                task.abort();
            }
        }
    }
}

/// One exchange: a socket of its own with a port that the system chooses, connected so that only datagrams of the server
/// come in. Ends by being aborted, or after a failure.
async fn exchange_over_udp(exchange: Exchange, arrivals: mpsc::Sender<(Token, Arrival)>) {
    let token = exchange.token;
    let Err(error) = talk(&exchange, &arrivals).await;
    // When the receiver is gone nobody wants to know.
    let _ = arrivals.send((token, Arrival::Failed(failure(&error)))).await;
}

async fn talk(
    exchange: &Exchange,
    arrivals: &mpsc::Sender<(Token, Arrival)>,
) -> io::Result<std::convert::Infallible> {
    let local: SocketAddr = match exchange.to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(exchange.to).await?;
    socket.send(&exchange.message).await?;
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let bytes = &buffer[..length];
        if bytes.get(..2) == exchange.message.get(..2) {
            // As above.
            let _ = arrivals.send((exchange.token, Arrival::Message(bytes.to_vec()))).await;
        }
    }
}

fn failure(error: &io::Error) -> exchange::Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => exchange::Failure::Refused,
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::PermissionDenied => exchange::Failure::Unreachable,
        _ => exchange::Failure::Local,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::probe::observation::Reason;

    fn ask(server: SocketAddr) -> Ask {
        Ask::soa(server, Name::root())
    }

    #[tokio::test]
    async fn only_the_server_and_the_right_id_are_heard() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut observer = Observer::new(Pace::default());
        observer.insert(ask(server.local_addr().unwrap())).unwrap();
        let answering = async {
            let mut buffer = [0; 512];
            let (length, from) = server.recv_from(&mut buffer).await.unwrap();
            let mut reply = buffer[..length].to_vec();
            reply[2] |= 0x80;
            reply[3] = 5;
            let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let mut forged = reply.clone();
            forged[3] = 2;
            stranger.send_to(&forged, from).await.unwrap();
            forged[0] ^= 1;
            server.send_to(&forged, from).await.unwrap();
            server.send_to(&reply, from).await.unwrap();
        };
        let (events, ()) = tokio::join!(observer.next(None), answering);
        let told = format!("{events:?}");
        assert!(told.contains("REFUSED"), "{told}");
    }

    #[tokio::test]
    async fn where_nobody_listens_the_failure_is_known_at_once() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = socket.local_addr().unwrap();
        drop(socket);
        let mut observer = Observer::new(Pace::default());
        observer.insert(ask(server)).unwrap();
        let events = observer.next(None).await;
        let refused = Reason::Network(exchange::Failure::Refused);
        assert!(matches!(&events[..], [Event::Failed { reason, .. }] if *reason == refused), "{events:?}");
    }
}
