//! UDP: each worker owns a socket per listen address (SO_REUSEPORT) and answers inline what arrived together.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;

use socket2::{Domain, Protocol, Socket, Type};

use crate::answer::context::Client;
use crate::answer::door::{self, Asked, GROUP};
use crate::metrics::tally::Batch;
use crate::server::courtesy::Answering;
use crate::server::received::{keep_whole, tell_targets};
use crate::server::{address, clock, priority, threads};
use crate::wire::via::Via;

use datagrams::Datagrams;
use pace::Pace;

use super::resolver::Route;
use super::respond::{After, Context};

pub mod datagrams;
pub mod departures;

mod pace;

/// Kernel buffer per socket: some thousand queries while a worker is not scheduled.
const BUFFER: usize = 4 << 20;

/// Binds one socket per worker to `addr`. Fails when anyone else has it.
pub fn bind(addr: SocketAddr, workers: usize) -> io::Result<Vec<UdpSocket>> {
    // Sockets with SO_REUSEPORT may share a port with another process of ours; one without may not.
    drop(bind_one(addr, false)?);
    (0..workers).map(|_| bind_shared(addr)).collect()
}

fn bind_shared(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = bind_one(addr, true)?;
    tell_targets(&socket)?;
    keep_whole(&socket)?;
    Ok(socket)
}

fn bind_one(addr: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        // `0.0.0.0` and `[::]` of one port stand side by side.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(shared)?;
    // The kernel may cap it; any size works.
    let _ = socket.set_recv_buffer_size(BUFFER);
    address::bind(&socket, addr)?;
    Ok(socket.into())
}

/// Starts the thread that answers what comes to `socket`.
pub fn start(socket: UdpSocket, context: Context) -> io::Result<()> {
    let datagrams = Datagrams::new(&socket)?;
    threads::start("udp", move || serve(Arc::new(socket), datagrams, &context))?;
    Ok(())
}

// A function of its own for those who profile.
#[inline(never)]
fn serve(socket: Arc<UdpSocket>, mut datagrams: Datagrams, context: &Context) {
    let is_ipv6 = socket.local_addr().is_ok_and(|addr| addr.is_ipv6());
    let mut pace = Pace::new(clock::mono());
    priority::wake_on_time();
    priority::run_at_once();
    let _answering = Answering::at(&socket);
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
                        *asked = Some(Asked { bytes, from: Client { addr, via: Via::Udp } });
                    }
                    None => batch.unanswered(),
                }
            }
            door::answer::<GROUP>(&served, now, &asked, replies, |number, outcome, reply| {
                let Some(asked) = asked[number] else { return };
                let route = || Route::Udp {
                    socket: Arc::clone(&socket),
                    to: asked.from.addr,
                    target: requests.target(group * GROUP + number),
                };
                match context.carry_out(outcome, asked, &served, now, reply, route) {
                    After::Reply(path) => batch.response(reply.as_bytes(), path),
                    // Transfers of more than one message are not for datagrams: `answer` has refused them.
                    After::Silence | After::Close | After::Transfer(_) => {
                        reply.clear();
                        batch.unanswered();
                    }
                    After::Owed => reply.clear(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_both_families_stand_side_by_side_on_a_port() {
        let four = bind(([0, 0, 0, 0], 0).into(), 1).unwrap();
        let port = four[0].local_addr().unwrap().port();
        let six = bind(([0_u16; 8], port).into(), 2).unwrap();
        assert_eq!(six.len(), 2);
        assert!(bind(([0_u16; 8], port).into(), 1).is_err(), "somebody has it");
        drop(four);
        assert!(bind(([0, 0, 0, 0], port).into(), 1).is_ok());
    }
}
