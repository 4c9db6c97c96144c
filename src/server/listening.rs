//! The addresses of a node. All are bound before anything else is done: a busy port is found before a long load, and root is needed no
//! longer. One that cannot be had keeps none of the others down.
//!
//! ```text
//!              bound                             this machine has it
//! configured ─────────▶ bound, and served ──────────────────────────▶ told as listening
//!     │ ▲           │      ▲               it has no such address: told as absent, looked for again
//!     └─┘ busy:     └──────┘ for TLS, without a certificate: closed until there is one
//!         told, tried again
//! ```
//!
//! No event tells that a port has become free. That an address has come takes none: what is bound to it answers from that moment, and
//! looking for it only brings the log and `status` up to date.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use socket2::Socket;

use super::admin::{self, AddressState, Admin, NotListening};
use super::settings::Settings;
use super::tls::Shown;
use super::unread::{no_certificate, pauses};
use super::worker::respond::Context;
use super::worker::tcp::listen::Connections;
use super::worker::{tcp, udp};
use super::{address, http};

/// Why there is nothing that listens at an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr} ({what}): {error}{}", advice(.error))]
pub struct BindError {
    /// For what.
    what: &'static str,
    /// Where.
    addr: SocketAddr,
    /// Why not.
    error: io::Error,
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => "; stop the server that uses it, or choose another address",
        ErrorKind::PermissionDenied => "; ports below 1024 take root or CAP_NET_BIND_SERVICE",
        ErrorKind::AddrNotAvailable => {
            "; this machine has no such address: give it to an interface, or choose another one"
        }
        _ => "",
    }
}

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Dns,
    Tls,
    Http,
}

/// Sockets of one address, one per worker.
enum Sockets {
    Dns(Vec<Socket>, Vec<UdpSocket>),
    Tls(Vec<Socket>),
    Http(TcpListener),
}

impl Purpose {
    /// By what clients come first.
    fn word(self) -> &'static str {
        match self {
            Purpose::Dns => "TCP",
            Purpose::Tls => "TLS",
            Purpose::Http => "HTTP",
        }
    }

    /// All sockets of an address, or none.
    fn bind(self, addr: SocketAddr, workers: usize) -> Result<Sockets, BindError> {
        let failed = |what| move |error| BindError { what, addr, error };
        let word = self.word();
        Ok(match self {
            Purpose::Dns => {
                let connections = tcp::listen::bind(addr, workers).map_err(failed(word))?;
                Sockets::Dns(connections, udp::bind(addr, workers).map_err(failed("UDP"))?)
            }
            Purpose::Tls => Sockets::Tls(tcp::listen::bind(addr, workers).map_err(failed(word))?),
            Purpose::Http => Sockets::Http(http::bind(addr).map_err(failed(word))?),
        })
    }

    /// Fails where this machine does not have the address of sockets that are bound to it.
    fn is_here(self, addr: SocketAddr) -> Result<(), BindError> {
        address::is_here(addr).map_err(|error| BindError { what: self.word(), addr, error })
    }

    /// Why an address that could be served is not.
    fn closed(self, addr: SocketAddr, reason: &str) -> BindError {
        BindError { what: self.word(), addr, error: io::Error::other(reason.to_owned()) }
    }

    /// What is said of an address that is served.
    fn served(self, addr: SocketAddr) -> String {
        match self {
            Purpose::Dns => format!("listening on {addr}"),
            Purpose::Tls => format!("listening on {addr} (TLS)"),
            Purpose::Http => format!("metrics and pages on http://{addr}/"),
        }
    }
}

/// An address that is not served yet.
struct Awaited {
    purpose: Purpose,
    /// Where, and why not.
    why: BindError,
    state: AddressState,
    /// What is bound to it and must not let anyone in yet.
    held: Option<Sockets>,
}

impl Awaited {
    fn tell(&self) {
        let why = &self.why;
        match self.state {
            // The certificate is told of.
            AddressState::Closed => {}
            AddressState::Unbound => tracing::error!("{why}. It is tried again until it can be had"),
            AddressState::Absent => tracing::warn!("{why}. It is served from the moment it is there"),
            AddressState::Lost => tracing::error!("{why}"),
        }
    }

    fn shown(&self) -> NotListening {
        let BindError { what, addr, error } = &self.why;
        let reason = format!("{what}: {error}{}", advice(error));
        NotListening { address: *addr, state: self.state, reason }
    }
}

/// The addresses of a node, bound.
pub(super) struct Bound {
    /// How many workers there are to be.
    pub(super) workers: usize,
    /// What is not served yet, for those who ask.
    pub(super) not_listening: Arc<ArcSwap<Vec<NotListening>>>,
    udp: Vec<UdpSocket>,
    /// For each worker one per address.
    tcp: Vec<Vec<Socket>>,
    /// The same for TLS.
    tls: Vec<Vec<Socket>>,
    http: Option<TcpListener>,
    /// What is served once the workers are there.
    had: Vec<(Purpose, SocketAddr)>,
    awaited: Vec<Awaited>,
}

impl Bound {
    /// Binds all addresses that can be had, and tells which cannot. Fails when none of `listen` is among them, and where rights are lacking:
    /// there will be fewer later.
    pub(super) fn bind(settings: &Settings, workers: usize) -> Result<Bound, BindError> {
        let server = &settings.server;
        let uncertified = no_certificate(&settings.unread);
        let mut bound = Bound {
            workers,
            not_listening: Arc::default(),
            udp: Vec::new(),
            tcp: (0..workers).map(|_| Vec::new()).collect(),
            tls: (0..workers).map(|_| Vec::new()).collect(),
            http: None,
            had: Vec::new(),
            awaited: Vec::new(),
        };
        let plain = server.listen.iter().map(|addr| (Purpose::Dns, *addr));
        let encrypted = server.tls.iter().flat_map(|tls| &tls.listen).map(|addr| (Purpose::Tls, *addr));
        for (purpose, addr) in plain.chain(encrypted).chain(server.http.map(|addr| (Purpose::Http, addr))) {
            bound.add(purpose, addr, uncertified.filter(|_| purpose == Purpose::Tls))?;
        }
        let serves_dns = bound.had.iter().any(|(purpose, _)| *purpose == Purpose::Dns);
        if !serves_dns && !bound.awaited.is_empty() {
            // The first of `listen`, which come first.
            return Err(bound.awaited.swap_remove(0).why);
        }
        bound.awaited.iter().for_each(Awaited::tell);
        bound.not_listening.store(Arc::new(bound.awaited.iter().map(Awaited::shown).collect()));
        Ok(bound)
    }

    /// Binds an address, which stays closed where there is a reason for that.
    fn add(&mut self, purpose: Purpose, addr: SocketAddr, closed: Option<&str>) -> Result<(), BindError> {
        let awaited = |why, state, held| Awaited { purpose, why, state, held };
        match (purpose.bind(addr, self.workers), closed) {
            (Ok(sockets), Some(reason)) => {
                self.awaited.push(awaited(purpose.closed(addr, reason), AddressState::Closed, Some(sockets)));
            }
            (Ok(sockets), None) => {
                self.keep(sockets);
                match purpose.is_here(addr) {
                    Ok(()) => self.had.push((purpose, addr)),
                    Err(why) => self.awaited.push(awaited(why, AddressState::Absent, None)),
                }
            }
            (Err(why), _) if why.error.kind() == ErrorKind::PermissionDenied => return Err(why),
            (Err(why), _) => self.awaited.push(awaited(why, AddressState::Unbound, None)),
        }
        Ok(())
    }

    fn keep(&mut self, sockets: Sockets) {
        let share_out = |workers: &mut Vec<Vec<Socket>>, sockets: Vec<Socket>| {
            workers.iter_mut().zip(sockets).for_each(|(worker, socket)| worker.push(socket));
        };
        match sockets {
            Sockets::Dns(connections, datagrams) => {
                share_out(&mut self.tcp, connections);
                self.udp.extend(datagrams);
            }
            Sockets::Tls(connections) => share_out(&mut self.tls, connections),
            Sockets::Http(listener) => self.http = Some(listener),
        }
    }

    /// Answers over HTTP where that is configured and could be bound.
    pub(super) fn serve_http(&mut self, admin: &Admin) -> io::Result<()> {
        self.http.take().map_or(Ok(()), |listener| serve_http(listener, admin))
    }

    /// Starts the workers of all sockets. What comes before they are there waits in the sockets, which are bound: the node is said to be
    /// ready before, so that whoever has an answer finds it so. From then on the addresses that could not be had are waited for.
    pub(super) fn start(self, context: Context, tls: Option<Tls>, admin: Admin) -> io::Result<()> {
        let workers = self.workers;
        let door = Door { context, tls, admin, workers, connections: Connections::default() };
        for (plain, encrypted) in self.tcp.into_iter().zip(self.tls) {
            door.start_worker(plain, encrypted)?;
        }
        door.start_udp(self.udp)?;
        self.had.iter().for_each(|(purpose, addr)| tracing::info!("{}", purpose.served(*addr)));
        if !self.awaited.is_empty() {
            tokio::spawn(door.wait_for(self.awaited));
        }
        Ok(())
    }
}

fn serve_http(listener: TcpListener, admin: &Admin) -> io::Result<()> {
    let listener = http::Listener::Tcp(tokio::net::TcpListener::from_std(listener)?);
    tokio::spawn(http::serve(listener, admin::public(admin.clone())));
    Ok(())
}

/// What connections with TLS are set up with, and what they are shown.
pub(super) struct Tls {
    pub(super) config: Arc<ServerConfig>,
    pub(super) shown: Arc<Shown>,
}

/// What sockets are served with.
struct Door {
    context: Context,
    tls: Option<Tls>,
    admin: Admin,
    workers: usize,
    connections: Connections,
}

impl Door {
    /// What a worker answers from, with a tally of its own.
    fn own(&self) -> Context {
        Context { tally: self.context.metrics.tally(), ..self.context.clone() }
    }

    /// A worker for connections to these sockets.
    fn start_worker(&self, plain: Vec<Socket>, encrypted: Vec<Socket>) -> io::Result<()> {
        let plain = plain.into_iter().map(|socket| (socket, None));
        let config = self.tls.as_ref().map(|tls| &tls.config);
        let encrypted = encrypted.into_iter().map(|socket| (socket, config.cloned()));
        let listen = |(socket, tls)| Ok((tcp::listen::listen(socket)?, tls));
        let listeners = plain.chain(encrypted).map(listen).collect::<io::Result<_>>()?;
        tcp::worker::start(listeners, self.own(), self.connections.clone())
    }

    fn start_udp(&self, sockets: Vec<UdpSocket>) -> io::Result<()> {
        sockets.into_iter().try_for_each(|socket| udp::start(socket, self.own()))
    }

    /// Starts workers for an address that comes later: those that run are not held up by it, and none of their queries asks whether
    /// there is one.
    fn start(&self, sockets: Sockets) -> io::Result<()> {
        match sockets {
            Sockets::Dns(connections, datagrams) => {
                let mut connections = connections.into_iter();
                connections.try_for_each(|socket| self.start_worker(vec![socket], Vec::new()))?;
                self.start_udp(datagrams)
            }
            Sockets::Tls(connections) => {
                let mut connections = connections.into_iter();
                connections.try_for_each(|socket| self.start_worker(Vec::new(), vec![socket]))
            }
            Sockets::Http(listener) => serve_http(listener, &self.admin),
        }
    }

    /// Tries to have these addresses until all are served.
    async fn wait_for(self, mut awaited: Vec<Awaited>) {
        let mut unread = self.admin.unread.clone();
        for pause in pauses() {
            if awaited.iter().all(|one| one.state == AddressState::Lost) {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // The certificate is there, or cannot be read for another reason.
                Ok(()) = unread.changed() => {}
            }
            awaited.retain_mut(|one| one.state == AddressState::Lost || !self.is_taken(one));
            self.admin.not_listening.store(Arc::new(awaited.iter().map(Awaited::shown).collect()));
        }
    }

    /// Tries to have an address, and tells what is new about it; `true` once it is served.
    fn is_taken(&self, awaited: &mut Awaited) -> bool {
        let before = (awaited.state, awaited.why.error.kind());
        let Err(why) = self.take(awaited) else {
            tracing::info!("{} now", awaited.purpose.served(awaited.why.addr));
            return true;
        };
        awaited.why = why;
        if before != (awaited.state, awaited.why.error.kind()) {
            awaited.tell();
        }
        false
    }

    fn take(&self, awaited: &mut Awaited) -> Result<(), BindError> {
        let (purpose, addr) = (awaited.purpose, awaited.why.addr);
        let sockets = match (awaited.state, awaited.held.take()) {
            (AddressState::Unbound, None) => Some(purpose.bind(addr, self.workers).map_err(without_rights)?),
            (_, held) => held,
        };
        if let Some(sockets) = sockets {
            if purpose == Purpose::Tls && !self.tls.as_ref().is_some_and(|tls| tls.shown.is_there()) {
                (awaited.state, awaited.held) = (AddressState::Closed, Some(sockets));
                let unread = self.admin.unread.borrow();
                return Err(
                    purpose.closed(addr, no_certificate(&unread).unwrap_or("there is no certificate"))
                );
            }
            if let Err(error) = self.start(sockets) {
                awaited.state = AddressState::Lost;
                let error = io::Error::other(format!("its workers do not start ({error}): restart the node"));
                return Err(BindError { what: purpose.word(), addr, error });
            }
            awaited.state = AddressState::Absent;
        }
        purpose.is_here(addr)
    }
}

/// What helps where a port cannot be bound for lack of rights that the node had at its start.
fn without_rights(why: BindError) -> BindError {
    let BindError { what, addr, error } = why;
    let error = match error.kind() {
        ErrorKind::PermissionDenied => io::Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "{error}: restart the node once the port is free, as it has become a user without the right to it"
            ),
        ),
        _ => error,
    };
    BindError { what, addr, error }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::path::PathBuf;

    use super::*;
    use crate::server::settings;
    use crate::server::unread::{Fault, Source};

    /// Of a network for documentation (RFC 5737), which no machine is in.
    const ABSENT: &str = "192.0.2.77:5300";

    fn bind(listen: &[SocketAddr], http: Option<SocketAddr>) -> Result<Bound, BindError> {
        let mut settings = Settings::for_files(listen[0], &[]);
        (settings.server.listen, settings.server.http) = (listen.to_vec(), http);
        Bound::bind(&settings, 2)
    }

    fn awaited(bound: &Bound) -> Vec<(Purpose, AddressState)> {
        bound.awaited.iter().map(|one| (one.purpose, one.state)).collect()
    }

    #[test]
    fn what_cannot_be_had_keeps_nothing_else_down() {
        let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
        let pages = TcpListener::bind("127.0.0.1:0").unwrap();
        let (busy, http) = (holder.local_addr().unwrap(), pages.local_addr().unwrap());
        let absent = ABSENT.parse().unwrap();
        let bound = bind(&["127.0.0.1:0".parse().unwrap(), busy, absent], Some(http)).unwrap();
        assert_eq!(
            awaited(&bound),
            [
                (Purpose::Dns, AddressState::Unbound),
                (Purpose::Dns, AddressState::Absent),
                (Purpose::Http, AddressState::Unbound)
            ]
        );
        // Those of the absent address are there too, and of the busy one not even those for TCP.
        assert_eq!((bound.udp.len(), bound.tcp[0].len(), bound.tcp[1].len()), (4, 2, 2));
        let told = bound.not_listening.load();
        assert_eq!(told.iter().map(|one| one.address).collect::<Vec<_>>(), [busy, absent, http]);
        assert!(
            told[0].reason.starts_with("UDP: ") && told[0].reason.contains("stop the server"),
            "{told:?}"
        );
        assert!(told[1].reason.contains("no such address"), "{told:?}");
    }

    #[test]
    fn without_a_certificate_an_address_is_bound_and_closed() {
        let any_port: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let files = ["none.crt", "none.key"].map(PathBuf::from);
        let mut settings = Settings::for_files(any_port, &[]);
        let fault = Fault { path: files[0].clone(), what: "no such file".to_owned() };
        settings.unread = vec![Source::Identity(files).unread(fault)];
        settings.server.tls = Some(settings::Tls { listen: vec![any_port], identity: None });
        let bound = Bound::bind(&settings, 2).unwrap();
        assert_eq!(awaited(&bound), [(Purpose::Tls, AddressState::Closed)]);
        assert_eq!(bound.had, [(Purpose::Dns, any_port)]);
        let told = bound.not_listening.load();
        assert!(told[0].reason.starts_with("TLS: no such file; put"), "{told:?}");
        let Some(Sockets::Tls(held)) = &bound.awaited[0].held else { panic!("nothing is bound") };
        let encrypted = held[0].local_addr().unwrap().as_socket().unwrap();
        assert_eq!(TcpStream::connect(encrypted).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_node_that_would_answer_nowhere_does_not_start() {
        let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (busy, absent) = (holder.local_addr().unwrap(), ABSENT.parse().unwrap());
        for (listen, why) in [
            (vec![busy, absent], format!("cannot listen on {busy} (UDP)")),
            (vec![absent, busy], format!("cannot listen on {ABSENT} (TCP)")),
        ] {
            let refused = bind(&listen, Some("127.0.0.1:0".parse().unwrap())).err().unwrap();
            assert!(refused.to_string().starts_with(&why), "{refused}");
        }
    }

    #[test]
    fn rights_that_were_given_up_come_back_with_a_restart() {
        let addr = "0.0.0.0:53".parse().unwrap();
        let lacking = |error: ErrorKind| BindError { what: "TCP", addr, error: error.into() };
        let told = without_rights(lacking(ErrorKind::PermissionDenied));
        assert_eq!(told.error.kind(), ErrorKind::PermissionDenied);
        assert!(told.to_string().contains("restart the node once the port is free"), "{told}");
        assert!(!without_rights(lacking(ErrorKind::AddrInUse)).to_string().contains("restart"));
    }
}
