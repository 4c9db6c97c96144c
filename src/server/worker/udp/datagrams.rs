//! Datagrams in batches: what waits at a socket is received with one system call (recvmmsg), and the replies leave with one
//! (sendmmsg).

use std::io;
use std::net::UdpSocket;

use crate::answer::reply::Reply;

use super::departures::Departures;
use crate::server::received::{BATCH, Received};

/// A batch of requests and the replies to them.
pub struct Datagrams {
    requests: Received,
    replies: Box<[Reply]>,
    departures: Departures,
}

impl Datagrams {
    /// Buffers for what comes to `socket`, which [`crate::server::received::tell_targets`] has been called for.
    pub fn new(socket: &UdpSocket) -> io::Result<Datagrams> {
        let has_targets = socket.local_addr()?.ip().is_unspecified();
        Ok(Datagrams {
            requests: Received::new(has_targets),
            replies: (0..BATCH).map(|_| Reply::default()).collect(),
            // Where each reply says which address it leaves from, each is a message of its own.
            departures: Departures::new(!has_targets),
        })
    }

    /// Waits for datagrams and takes in those that are there; returns how many, and forgets the batch before.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let count = self.requests.receive(socket)?;
        self.replies[..count].iter_mut().for_each(Reply::clear);
        Ok(count)
    }

    /// The requests, and the replies to them, each empty as yet; one that stays empty is not sent.
    pub fn split(&mut self) -> (&Received, &mut [Reply]) {
        (&self.requests, &mut self.replies)
    }

    /// Sends the replies to the first `count` requests. One that cannot be sent is lost, as the network might lose it.
    pub fn send(&mut self, socket: &UdpSocket, count: usize) {
        self.departures.send(socket, &self.requests, &self.replies[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::departures::send_one;
    use super::*;
    use crate::server::received::{REQUEST, tell_targets};

    #[test]
    fn a_batch_is_answered_each_to_its_sender() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let server = UdpSocket::bind(local).unwrap();
            let addr = server.local_addr().unwrap();
            let clients: Vec<UdpSocket> = (0..5).map(|_| UdpSocket::bind(local).unwrap()).collect();
            for (number, client) in clients.iter().enumerate() {
                client.send_to(&[number as u8; 3], addr).unwrap();
            }
            clients[0].send_to(&[9; REQUEST + 1], addr).unwrap();
            let mut datagrams = Datagrams::new(&server).unwrap();
            let mut left = clients.len() + 1;
            while left > 0 {
                let count = datagrams.receive(&server).unwrap();
                let (requests, replies) = datagrams.split();
                for (number, reply) in replies.iter_mut().enumerate().take(count) {
                    let Some((request, from)) = requests.get(number) else { continue };
                    assert_eq!(from, clients[usize::from(request[0])].local_addr().unwrap());
                    // One of them gets no reply.
                    if request[0] != 3 {
                        reply.append(|reply| reply.extend([&request[..3], &[7]].concat()));
                    }
                }
                datagrams.send(&server, count);
                left -= count;
            }
            for (number, client) in clients.iter().enumerate().filter(|(number, _)| *number != 3) {
                let mut reply = [0; 10];
                let (length, from) = client.recv_from(&mut reply).unwrap();
                assert_eq!(
                    (&reply[..length], from),
                    (&[number as u8, number as u8, number as u8, 7][..], addr)
                );
            }
            clients[3].set_nonblocking(true).unwrap();
            assert_eq!(clients[3].recv(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn replies_of_one_length_to_one_client_go_together_and_arrive_apart() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let server = UdpSocket::bind(local).unwrap();
            let addr = server.local_addr().unwrap();
            let clients = [UdpSocket::bind(local).unwrap(), UdpSocket::bind(local).unwrap()];
            for number in 0..12_u8 {
                clients[usize::from(number % 2)].send_to(&[number], addr).unwrap();
            }
            let mut datagrams = Datagrams::new(&server).unwrap();
            let mut left = 12;
            while left > 0 {
                let count = datagrams.receive(&server).unwrap();
                let (requests, replies) = datagrams.split();
                for (number, reply) in replies[..count].iter_mut().enumerate() {
                    let request = requests.get(number).unwrap().0[0];
                    // Of three lengths, one of which is too long to be put together with a second.
                    let length = [1, 700, 40_000][usize::from(request % 3)];
                    reply.append(|reply| reply.resize(length, request));
                }
                datagrams.send(&server, count);
                left -= count;
            }
            for (parity, client) in (0..).zip(&clients) {
                let mut seen: Vec<u8> = (0..6)
                    .map(|_| {
                        let mut reply = [0; 50_000];
                        let length = client.recv(&mut reply).unwrap();
                        assert_eq!(length, [1, 700, 40_000][usize::from(reply[0] % 3)]);
                        assert!(reply[..length].iter().all(|byte| *byte == reply[0]));
                        reply[0]
                    })
                    .collect();
                seen.sort_unstable();
                assert_eq!(seen, (0..12).filter(|number| number % 2 == parity).collect::<Vec<u8>>());
            }
        }
    }

    #[test]
    fn a_reply_leaves_from_the_address_asked() {
        for (local, asked, client) in
            [("0.0.0.0:0", "127.0.0.9", "127.0.0.1:0"), ("[::]:0", "::1", "[::1]:0")]
        {
            let server = UdpSocket::bind(local).unwrap();
            tell_targets(&server).unwrap();
            let mut addr = server.local_addr().unwrap();
            addr.set_ip(asked.parse().unwrap());
            let client = UdpSocket::bind(client).unwrap();
            client.send_to(b"?", addr).unwrap();
            let mut datagrams = Datagrams::new(&server).unwrap();
            assert_eq!(datagrams.receive(&server).unwrap(), 1);
            datagrams.split().1[0].append(|reply| reply.push(b'!'));
            datagrams.send(&server, 1);
            assert_eq!(client.recv_from(&mut [0]).unwrap(), (1, addr));
            // The same when the reply is ready only after its batch.
            let target = datagrams.split().0.target(0);
            send_one(&server, b"!", client.local_addr().unwrap(), target.as_ref()).unwrap();
            assert_eq!(client.recv_from(&mut [0]).unwrap(), (1, addr));
        }
    }
}
