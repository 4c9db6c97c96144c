//! A way from one server to another that can be made bad: it loses datagrams, holds connections up, or is cut.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time;

use super::ports;

/// A client that says nothing for so long has no more answers to wait for.
const IDLE: Duration = Duration::from_secs(10);
/// From how many clients on those without answers to wait for are looked for.
const CLIENTS: usize = 256;

/// How a way is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weather {
    /// Nothing comes through.
    pub is_cut: bool,
    /// The share of datagrams that are lost, in each direction.
    pub loss: f64,
    /// How long every piece of a connection is held up.
    pub delay: Duration,
}

impl Weather {
    fn loses(self) -> bool {
        self.is_cut || rand::rng().random_bool(self.loss)
    }
}

/// What carries the ways: one thread.
pub struct Paths(Runtime);

/// A way to a server, in fine weather at first.
pub struct Path {
    /// What is sent here comes to the server, UDP and TCP.
    pub addr: SocketAddr,
    weather: watch::Sender<Weather>,
}

impl Paths {
    pub fn new() -> Paths {
        Paths(Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap())
    }

    /// A new way to `target`, which need not be there yet.
    pub fn to(&self, target: SocketAddr) -> Path {
        let _inside = self.0.enter();
        let (udp, tcp) = ports::bind();
        let addr = tcp.local_addr().unwrap();
        udp.set_nonblocking(true).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let (udp, tcp) = (UdpSocket::from_std(udp).unwrap(), TcpListener::from_std(tcp).unwrap());
        let (sender, weather) = watch::channel(Weather::default());
        self.0.spawn(datagrams(Arc::new(udp), target, weather.clone()));
        self.0.spawn(connections(tcp, target, weather));
        Path { addr, weather: sender }
    }
}

impl Path {
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn datagrams(socket: Arc<UdpSocket>, target: SocketAddr, weather: watch::Receiver<Weather>) {
    let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut buffer = vec![0; 65_535];
    loop {
        // What could not be delivered before comes back as an error, which means nothing here.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let now = *weather.borrow();
        if now.loses() {
            continue;
        }
        if clients.len() >= CLIENTS {
            clients.retain(|_, up| Arc::strong_count(up) > 1);
        }
        let up = match clients.get(&client).filter(|up| Arc::strong_count(up) > 1) {
            Some(up) => Arc::clone(up),
            None => {
                let up = Arc::new(UdpSocket::bind((ports::ADDRESS, 0)).await.unwrap());
                up.connect(target).await.unwrap();
                clients.insert(client, Arc::clone(&up));
                tokio::spawn(answers(Arc::clone(&up), Arc::clone(&socket), client, weather.clone()));
                up
            }
        };
        up.send(&buffer[..length]).await.ok();
    }
}

async fn answers(
    up: Arc<UdpSocket>,
    socket: Arc<UdpSocket>,
    client: SocketAddr,
    weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 65_535];
    while let Ok(received) = time::timeout(IDLE, up.recv(&mut buffer)).await {
        let Ok(length) = received else { continue };
        let now = *weather.borrow();
        if !now.loses() {
            socket.send_to(&buffer[..length], client).await.ok();
        }
    }
}

async fn connections(listener: TcpListener, target: SocketAddr, weather: watch::Receiver<Weather>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        tokio::spawn(connection(client, target, weather.clone()));
    }
}

async fn connection(client: TcpStream, target: SocketAddr, mut weather: watch::Receiver<Weather>) {
    pass(&mut weather).await;
    let Ok(server) = TcpStream::connect(target).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::join!(carry(from_client, to_server, weather.clone()), carry(from_server, to_client, weather),);
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: watch::Receiver<Weather>) {
    let mut buffer = vec![0; 16_384];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        pass(&mut weather).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Waits as long as the weather holds a piece of a connection up.
async fn pass(weather: &mut watch::Receiver<Weather>) {
    let delay = weather.borrow().delay;
    time::sleep(delay).await;
    // Where the way is gone for ever, so is whoever waits.
    weather.wait_for(|weather| !weather.is_cut).await.ok();
}
