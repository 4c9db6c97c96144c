//! TCP (RFC 7766): connections with pipelined requests, answered as each is ready, and transfers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

use crate::answer::cached::complete;
use crate::answer::respond::answer;
use crate::answer::served::{self, Outcome, Source};
use crate::metrics::tally::Path;
use crate::node::event::Input;
use crate::time::Now;
use crate::transfer::provide::provide;
use crate::wire::message::Request;
use crate::zone::served::Zone;

use super::clock;
use super::control::Command;
use super::resolvers::{FollowUp, Route};
use super::udp::{Context, lock};

/// Connections in all; more wait to be accepted.
const MAX_CONNECTIONS: usize = 4_096;
/// Connections per client address, so that one client cannot take all of them.
const MAX_PER_CLIENT: u32 = 256;
/// A connection without requests for so long is closed (RFC 7766 6.2.3 suggests seconds).
const IDLE: Duration = Duration::from_secs(10);
/// A client that takes nothing for so long is given up.
const STALLED: Duration = Duration::from_secs(30);
/// Replies that may wait to be written to one connection: with the largest of them, half a megabyte for a client that does not
/// read.
const QUEUE: usize = 8;
/// When there is no descriptor for a connection, this long until the next try.
const SHORTAGE: Duration = Duration::from_millis(100);
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1_024;

/// Binds a socket; [`listen`] lets clients in.
pub fn bind(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// Lets clients connect.
pub fn listen(socket: Socket) -> io::Result<std::net::TcpListener> {
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Connections that are open now.
#[derive(Clone)]
pub struct Connections {
    all: Arc<Semaphore>,
    per_client: Arc<DashMap<IpAddr, u32>>,
}

impl Default for Connections {
    fn default() -> Connections {
        Connections { all: Arc::new(Semaphore::new(MAX_CONNECTIONS)), per_client: Arc::default() }
    }
}

/// Accepts connections until the runtime ends.
pub async fn serve(
    listener: std::net::TcpListener,
    context: Context,
    connections: Connections,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut short = false;
    loop {
        let Ok(permit) = Arc::clone(&connections.all).acquire_owned().await else { return Ok(()) };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => {
                short = false;
                accepted
            }
            Err(error) => {
                if !std::mem::replace(&mut short, true) {
                    tracing::warn!("cannot accept TCP connections: {error}; raise the limit on open files");
                }
                // No event tells when another part of the process lets a descriptor go.
                tokio::time::sleep(SHORTAGE).await;
                continue;
            }
        };
        let client = from.ip();
        {
            let mut count = connections.per_client.entry(client).or_insert(0);
            if *count >= MAX_PER_CLIENT {
                continue;
            }
            *count += 1;
        }
        let (context, per_client) = (context.clone(), Arc::clone(&connections.per_client));
        tokio::spawn(async move {
            // How a connection ends concerns its client alone.
            let _ = connection(stream, from, &context).await;
            per_client.remove_if_mut(&client, |_, count| {
                *count = count.saturating_sub(1);
                *count == 0
            });
            drop(permit);
        });
    }
}

async fn connection(stream: TcpStream, from: SocketAddr, context: &Context) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let (replies, queue) = mpsc::channel(QUEUE);
    let writing = tokio::spawn(write(writer, queue));
    let read = read(BufReader::new(reader), from, context, &replies).await;
    drop(replies);
    // What was asked before the end is still answered.
    writing.await.unwrap_or(Ok(())).and(read)
}

async fn read(
    mut reader: BufReader<tokio::net::tcp::OwnedReadHalf>,
    from: SocketAddr,
    context: &Context,
    replies: &mpsc::Sender<Vec<u8>>,
) -> io::Result<()> {
    let mut request = Vec::new();
    loop {
        let Ok(length) = tokio::time::timeout(IDLE, reader.read_u16()).await else { return Ok(()) };
        request.resize(usize::from(length?), 0);
        let Ok(read) = tokio::time::timeout(IDLE, reader.read_exact(&mut request)).await else {
            return Ok(());
        };
        read?;
        if !respond(&request, from, context, replies).await {
            return Ok(());
        }
    }
}

/// Answers one request; `false` when the connection is to be closed.
async fn respond(
    request: &[u8],
    from: SocketAddr,
    context: &Context,
    replies: &mpsc::Sender<Vec<u8>>,
) -> bool {
    let now = clock::now();
    let source = Source { addr: from, stream: true };
    context.tally.query(true, from.is_ipv6());
    let mut reply = Vec::with_capacity(512);
    let served = context.served.load_full();
    let path = match answer(&served, now, request, source, &mut reply) {
        Outcome::Reply(served::Path::Zone) => Path::Zone,
        Outcome::Reply(served::Path::Hit) => Path::Hit,
        Outcome::Reply(served::Path::Unheard(rcode)) => {
            context.metrics.unheard(rcode);
            Path::Zone
        }
        Outcome::Drop => {
            context.tally.unanswered();
            return false;
        }
        Outcome::Notified { zone, from, serial } => {
            if context.node.send(Command::Input(Input::Notified { zone, from, serial })).await.is_err() {
                return false;
            }
            Path::Zone
        }
        Outcome::FollowUp(ask) => {
            let route = Route::Tcp(replies.clone());
            let follow_up = FollowUp { ask, request: request.to_vec(), from: source, route, began: now.mono };
            match &context.resolvers {
                Some(resolvers) if resolvers.ask(follow_up).is_ok() => return true,
                _ => complete(&served, now, request, source, None, &mut reply),
            }
            Path::Miss
        }
        Outcome::Transfer(zone) => {
            let Ok(request) = Request::read(request) else { return false };
            return transfer(&zone, &request, from, now, context, replies).await;
        }
    };
    context.tally.response(&reply, path, clock::now().mono.since(now.mono));
    replies.send(reply).await.is_ok()
}

/// Sends a zone, or what changed of it, message by message as the client takes them.
async fn transfer(
    zone: &Zone,
    request: &Request<'_>,
    from: SocketAddr,
    now: Now,
    context: &Context,
    replies: &mpsc::Sender<Vec<u8>>,
) -> bool {
    let transfer = provide(zone, request, now, from.ip(), &mut lock(&context.stuck));
    let kind = transfer.kind();
    let mut bytes = 0;
    let mut gone = false;
    for message in transfer {
        context.tally.response(&message, Path::Zone, clock::now().mono.since(now.mono));
        bytes += message.len() as u64;
        if replies.send(message).await.is_err() {
            gone = true;
            break;
        }
    }
    let took = clock::now().mono.since(now.mono);
    match kind {
        Ok(kind) => {
            context.metrics.transferred("out", kind.label(), if gone { "closed" } else { "ok" }, bytes, took)
        }
        Err(rcode) => context.metrics.transferred("out", "axfr", &rcode.to_string(), bytes, took),
    }
    !gone
}

async fn write(mut writer: OwnedWriteHalf, mut queue: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(reply) = queue.recv().await {
        buffer.clear();
        frame(&reply, &mut buffer);
        // What else is ready goes out in the same segment (RFC 7766 8 wants the length and the message together at least).
        while buffer.len() < 1 << 16
            && let Ok(reply) = queue.try_recv()
        {
            frame(&reply, &mut buffer);
        }
        match tokio::time::timeout(STALLED, writer.write_all(&buffer)).await {
            Ok(written) => written?,
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
    Ok(())
}

fn frame(reply: &[u8], buffer: &mut Vec<u8>) {
    // Every writer of replies keeps to 65,535 bytes.
    let Ok(length) = u16::try_from(reply.len()) else { return };
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(reply);
}
