//! Listening sockets, and how many connections there may be.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::Semaphore;

use crate::server::address;

/// Connections in all; more wait to be accepted.
const MAX_CONNECTIONS: usize = 4_096;
/// Connections that any client address may have. One may have more while there is room: a quarter of what is left, so that others
/// find some. A secondary of ten thousand zones opens some hundred at a time, and transfers wait for their turn besides.
const PER_CLIENT: usize = 256;
/// Transfers at a time: each holds a version of its zone and a megabyte of messages. More wait for their turn.
const MAX_TRANSFERS: usize = 128;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1_024;

/// Binds one socket per worker to `addr`; [`listen`] lets clients in. Fails when anyone else has the address.
pub fn bind(addr: SocketAddr, workers: usize) -> io::Result<Vec<Socket>> {
    // Sockets with SO_REUSEPORT may share a port with another process of ours; one without may not.
    drop(bind_one(addr, false)?);
    (0..workers).map(|_| bind_one(addr, true)).collect()
}

fn bind_one(addr: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of a former process that are still being closed do not matter.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    address::bind(&socket, addr)?;
    Ok(socket)
}

/// Lets clients connect.
pub fn listen(socket: Socket) -> io::Result<std::net::TcpListener> {
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// The connections that are open and the transfers that run now, at all workers.
#[derive(Clone)]
pub struct Connections {
    all: Arc<AtomicUsize>,
    per_client: Arc<DashMap<IpAddr, u32>>,
    transfers: Arc<Semaphore>,
}

impl Default for Connections {
    fn default() -> Connections {
        let transfers = Arc::new(Semaphore::new(MAX_TRANSFERS));
        Connections { all: Arc::default(), per_client: Arc::default(), transfers }
    }
}

/// The right to one connection; it ends with the value.
pub(super) struct Permit {
    connections: Connections,
    client: Option<IpAddr>,
}

impl Connections {
    /// Room for one more connection; `None` when there is none.
    pub(super) fn admit(&self) -> Option<Permit> {
        let more = |count| (count < MAX_CONNECTIONS).then_some(count + 1);
        self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Permit { connections: self.clone(), client: None })
    }

    /// The turns of transfers.
    pub(super) fn transfers(&self) -> &Arc<Semaphore> {
        &self.transfers
    }
}

impl Permit {
    /// Counts the connection as this client's; `false` when it has as many as it may have.
    pub(super) fn charge(&mut self, client: IpAddr) -> bool {
        let left = MAX_CONNECTIONS.saturating_sub(self.connections.all.load(Ordering::Relaxed));
        let mut count = self.connections.per_client.entry(client).or_insert(0);
        if *count as usize >= PER_CLIENT.max(left / 4) {
            return false;
        }
        *count += 1;
        self.client = Some(client);
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.connections.all.fetch_sub(1, Ordering::Relaxed);
        if let Some(client) = self.client {
            self.connections.per_client.remove_if_mut(&client, |_, count| {
                *count = count.saturating_sub(1);
                *count == 0
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back() {
        let connections = Connections::default();
        let client = IpAddr::from([192, 0, 2, 1]);
        let mut permits: Vec<Permit> = (0..MAX_CONNECTIONS).map(|_| connections.admit().unwrap()).collect();
        assert!(connections.admit().is_none());
        let charged = permits.iter_mut().filter_map(|permit| permit.charge(client).then_some(())).count();
        assert_eq!(charged, PER_CLIENT);
        permits.clear();
        assert!(connections.per_client.is_empty());
        assert!(connections.admit().unwrap().charge(client));
    }

    #[test]
    fn a_client_that_is_alone_may_have_more_and_leaves_room() {
        let connections = Connections::default();
        let charge = |last: u8| {
            let mut permits = Vec::new();
            while let Some(mut permit) = connections.admit() {
                if !permit.charge(IpAddr::from([192, 0, 2, last])) {
                    break;
                }
                permits.push(permit);
            }
            permits
        };
        let all: Vec<Vec<Permit>> = (0..10).map(charge).collect();
        assert!(all[0].len() > 800, "{}", all[0].len());
        assert!(all.iter().all(|permits| permits.len() >= PER_CLIENT));
    }

    #[test]
    fn an_address_is_shared_with_nobody() {
        let sockets = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let addr = sockets[0].local_addr().unwrap().as_socket().unwrap();
        listen(sockets.into_iter().next().unwrap())
            .map(|listener| {
                assert_eq!(bind(addr, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
                drop(listener);
            })
            .unwrap();
        assert_eq!(bind(addr, 3).unwrap().len(), 3);
    }
}
