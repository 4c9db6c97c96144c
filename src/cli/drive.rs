//! Probes over real sockets: what carries out the [`Outbox`] of a [`Watch`] for the commands that look at servers.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;

use crate::ask::exchange::Outbox;
use crate::cli::exit::Failure;
use crate::probe::observation::Ask;
use crate::probe::observe::Event;
use crate::probe::watch::{MAX_TARGETS, Pace, Watch};
use crate::server::exchange::Exchanges;
use crate::time::{Mono, Now, Utc};
use crate::wire::name::Name;
use crate::zone::serial::Serial;

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
    exchanges: Exchanges,
}

impl Observer {
    /// Watches nothing yet. Needs a tokio runtime.
    pub fn new(pace: Pace) -> Result<Observer, Failure> {
        let exchanges = Exchanges::new(Handle::current()).map_err(no_network)?;
        Ok(Observer {
            watch: Watch::new(pace, rand::random()),
            outbox: Outbox::default(),
            started: Instant::now(),
            exchanges,
        })
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

    /// Changes whose successors a server is asked for.
    pub fn set_have(&mut self, zone: &Name, server: SocketAddr, have: Option<Serial>) {
        self.watch.set_have(zone, server, have);
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
    pub async fn next(&mut self, until: Option<Mono>) -> Result<Vec<Event>, Failure> {
        loop {
            let now = self.now();
            let events = self.watch.handle_timeout(now, &mut self.outbox);
            self.exchanges.carry_out(now.mono, &mut self.outbox);
            if !events.is_empty() {
                return Ok(events);
            }
            if until.is_some_and(|until| until <= now.mono) {
                return Ok(Vec::new());
            }
            let due = self.watch.next_timeout().into_iter().chain(until).min();
            let Some(due) =
                due.into_iter().chain(self.exchanges.next_timeout()).min().filter(|_| due.is_some())
            else {
                return Ok(Vec::new());
            };
            let next = tokio::time::timeout(due.since(now.mono), self.exchanges.next()).await;
            if let Some((token, arrival)) = next.ok().transpose().map_err(no_network)? {
                if !self.exchanges.arrived(token, &arrival) {
                    continue;
                }
                let now = self.now();
                let events = self.watch.arrival(now, token, arrival, &mut self.outbox);
                self.exchanges.carry_out(now.mono, &mut self.outbox);
                if !events.is_empty() {
                    return Ok(events);
                }
            }
        }
    }
}

fn no_network(error: io::Error) -> Failure {
    Failure::new(format!("cannot ask servers: {error}; are there file descriptors left?"))
}

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;

    use super::*;
    use crate::ask::exchange;
    use crate::probe::observation::Reason;

    fn ask(server: SocketAddr) -> Ask {
        Ask::soa(server, Name::root())
    }

    #[tokio::test]
    async fn only_the_server_and_the_right_id_are_heard() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut observer = Observer::new(Pace::default()).unwrap();
        observer.insert(ask(server.local_addr().unwrap())).unwrap();
        let answering = async {
            let mut buffer = [0; 512];
            let (length, from) = server.recv_from(&mut buffer).await.unwrap();
            let mut reply = buffer[..length].to_vec();
            reply[2] |= 0x80;
            reply[3] = 3;
            let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let mut forged = reply.clone();
            forged[3] = 2;
            stranger.send_to(&forged, from).await.unwrap();
            forged[0] ^= 1;
            server.send_to(&forged, from).await.unwrap();
            server.send_to(&reply, from).await.unwrap();
        };
        let (events, ()) = tokio::join!(observer.next(None), answering);
        let told = format!("{:?}", events.unwrap());
        assert!(told.contains("NXDOMAIN"), "{told}");
    }

    #[tokio::test]
    async fn where_nobody_listens_the_failure_is_known_at_once() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = socket.local_addr().unwrap();
        drop(socket);
        let mut observer = Observer::new(Pace::default()).unwrap();
        observer.insert(ask(server)).unwrap();
        let events = observer.next(None).await.unwrap();
        let refused = Reason::Network(exchange::Failure::Refused);
        assert!(matches!(&events[..], [Event::Failed { reason, .. }] if *reason == refused), "{events:?}");
    }
}
