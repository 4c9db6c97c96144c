//! UDP: each worker owns a socket per listen address (SO_REUSEPORT) and answers inline what arrived together.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;

use crate::answer::cached::complete;
use crate::answer::context::{self, Outcome, Served, Source};
use crate::answer::door::{self, Asked, GROUP};
use crate::answer::reply::Reply;
use crate::metrics::registry::Metrics;
use crate::metrics::tally::{Batch, Path, Tally};
use crate::node::event::Input;
use crate::time::Now;
use crate::transfer::ixfr_loop::Stuck;
use crate::wire::via::Via;

use super::arrivals::{keep_whole, tell_targets};
use super::clock;
use super::control::Command;
use super::datagrams::Datagrams;
use super::pace::Pace;
use super::priority;
use super::worker::resolver::{FollowUp, Resolvers, Route};

/// Kernel buffer per socket: some thousand queries while a worker is not scheduled.
const BUFFER: usize = 4 << 20;

/// What a worker needs besides its socket.
#[derive(Clone)]
pub struct Context {
    /// What is answered from; replaced when the configuration changes.
    pub served: Arc<ArcSwap<Served>>,
    /// Where misses go; `None` when this node is no cache.
    pub resolvers: Option<Resolvers>,
    /// Where NOTIFYs go.
    pub node: mpsc::Sender<Command>,
    /// The worker's counters.
    pub tally: Arc<Tally>,
    /// All other counters.
    pub metrics: Arc<Metrics>,
    /// Clients whose incremental transfers lead nowhere.
    pub stuck: Arc<Mutex<Stuck>>,
}

/// The guard of a lock that no panic can leave broken: what it guards is only ever replaced whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Binds one socket per worker to `addr`. Fails when anyone else has it.
pub fn bind(addr: SocketAddr, workers: usize) -> io::Result<Vec<UdpSocket>> {
    // Sockets with SO_REUSEPORT may share a port with another process of ours; one without may not.
    drop(UdpSocket::bind(addr)?);
    (0..workers).map(|_| bind_shared(addr)).collect()
}

fn bind_shared(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(true)?;
    // The kernel may cap it; any size works.
    let _ = socket.set_recv_buffer_size(BUFFER);
    socket.bind(&addr.into())?;
    let socket = socket.into();
    tell_targets(&socket)?;
    keep_whole(&socket)?;
    Ok(socket)
}

/// Starts the thread that answers what comes to `socket`.
pub fn start(socket: UdpSocket, context: Context) -> io::Result<()> {
    let datagrams = Datagrams::new(&socket)?;
    thread::Builder::new()
        .name("udp".to_owned())
        .spawn(move || serve(Arc::new(socket), datagrams, &context))?;
    Ok(())
}

// A function of its own for those who profile.
#[inline(never)]
fn serve(socket: Arc<UdpSocket>, mut datagrams: Datagrams, context: &Context) {
    let is_ipv6 = socket.local_addr().is_ok_and(|addr| addr.is_ipv6());
    let mut pace = Pace::new(clock::mono());
    priority::wake_on_time();
    priority::run_at_once();
    loop {
        // Errors here are of single datagrams (an ICMP for an earlier reply), not of the socket.
        let Ok(count) = datagrams.receive(&socket) else { continue };
        let now = clock::now();
        let served = context.served.load();
        let mut batch = Batch::default();
        let (requests, replies) = datagrams.split();
        for (group, replies) in replies[..count].chunks_mut(GROUP).enumerate() {
            let mut asked = [None; GROUP];
            for (number, asked) in (group * GROUP..).zip(&mut asked[..replies.len()]) {
                match requests.get(number) {
                    Some((bytes, addr)) => {
                        *asked = Some(Asked { bytes, from: Source { addr, via: Via::Udp } });
                    }
                    None => batch.unanswered(),
                }
            }
            door::answer::<GROUP>(&served, now, &asked, replies, |number, outcome, reply| {
                if let Some(asked) = asked[number] {
                    carry_out(outcome, asked, reply, &socket, &served, now, context, &mut batch);
                }
            });
        }
        datagrams.send(&socket, count);
        context.tally.queries(Via::Udp, is_ipv6, count as u64);
        context.tally.batch(&batch, clock::mono().since(now.mono));
        if let Some(rest) = pace.rest(now.mono, count) {
            thread::sleep(rest);
        }
    }
}

/// Does what is left to do for a request; the reply stays empty when there is nothing to send now.
#[allow(clippy::too_many_arguments, reason = "what a request is answered with and from")]
fn carry_out(
    outcome: Outcome,
    asked: Asked<'_>,
    reply: &mut Reply,
    socket: &Arc<UdpSocket>,
    served: &Served,
    now: Now,
    context: &Context,
    batch: &mut Batch,
) {
    let path = match outcome {
        Outcome::Reply(context::Path::Zone) => Path::Zone,
        Outcome::Reply(context::Path::Hit) => Path::Hit,
        Outcome::Reply(context::Path::Unheard(rcode)) => {
            context.metrics.unheard(rcode);
            Path::Zone
        }
        Outcome::Notified { zone, from, serial } => {
            // Acknowledged only when it is sure to be acted on; the primary sends it again otherwise.
            if context.node.try_send(Command::Input(Input::Notified { zone, from, serial })).is_err() {
                reply.clear();
                return batch.unanswered();
            }
            Path::Zone
        }
        Outcome::FollowUp(ask) => {
            let route = Route::Udp(Arc::clone(socket), asked.from.addr);
            let request = asked.bytes.to_vec();
            let follow_up = FollowUp { ask, request, from: asked.from, route, began: now.mono };
            match &context.resolvers {
                Some(resolvers) if resolvers.ask(Box::new(follow_up)).is_ok() => return,
                _ => reply.append(|reply| complete(served, now, asked.bytes, asked.from, None, reply)),
            }
            Path::Miss
        }
        Outcome::Transfer(_) | Outcome::Drop => return batch.unanswered(),
    };
    batch.response(reply.as_bytes(), path);
}
