//! Datagrams in batches: what waits at a socket is received with one system call (recvmmsg), and the replies leave with one
//! (sendmmsg).

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use libc::{c_uint, iovec, mmsghdr, msghdr, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t};

use super::departures::Departures;

/// Datagrams per batch: enough to share the cost of a system call, few enough to stay in the nearest cache.
pub const BATCH: usize = 64;
/// The longest request; a longer datagram is no request that anyone sends (BIND's limit is the same).
const REQUEST: usize = 4_096;
/// From one request's buffer to the next: not a power of two, so that they do not all fall into the same lines of the cache.
const STRIDE: usize = REQUEST + 192;
/// Room for a reply at least; one that needs more (none over UDP does) gets more.
const ROOM: usize = 1_280;

/// Room for the one control message that is asked for: a head and the longer of in_pktinfo and in6_pktinfo.
type Control = [u64; 8];

/// A batch of requests and the replies to them.
pub struct Datagrams {
    requests: Requests,
    replies: Box<[Reply]>,
    departures: Departures,
}

/// The requests of a batch.
pub struct Requests {
    bytes: Box<[u8]>,
    senders: Box<[sockaddr_storage]>,
    /// Which of our addresses each request was sent to, in the kernel's form; empty when the socket has one address only.
    targets: Box<[Control]>,
    /// Point into `bytes` for as long as this lives; the others into `senders`, `targets` and into this.
    _vectors: Box<[iovec]>,
    incoming: Box<[mmsghdr]>,
}

/// A buffer that a reply is written into.
pub struct Reply {
    /// At least [`ROOM`] bytes, of which the first `length` are the reply.
    room: Vec<u8>,
    length: usize,
}

impl Default for Reply {
    fn default() -> Reply {
        Reply { room: vec![0; ROOM], length: 0 }
    }
}

impl Reply {
    /// Room for a reply that is not appended piece by piece; what was written counts from [`Reply::set_length`] on.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.room
    }

    /// Says how many bytes of the room are the reply.
    pub fn set_length(&mut self, length: usize) {
        self.length = length.min(self.room.len());
    }

    /// Has the reply written by appending to an empty vector.
    pub fn append<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.room.clear();
        let outcome = write(&mut self.room);
        self.length = self.room.len();
        if self.room.len() < ROOM {
            self.room.resize(ROOM, 0);
        }
        outcome
    }

    /// The reply.
    pub fn as_bytes(&self) -> &[u8] {
        &self.room[..self.length]
    }

    /// The reply as the kernel wants it.
    pub(super) fn vector(&mut self) -> iovec {
        iovec { iov_base: self.room.as_mut_ptr().cast(), iov_len: self.length }
    }
}

// SAFETY: the pointers lead into boxes that move along, and nobody else has them.
unsafe impl Send for Datagrams {}

impl Datagrams {
    /// Buffers for what comes to `socket`, which [`tell_targets`] has been called for.
    pub fn new(socket: &UdpSocket) -> io::Result<Datagrams> {
        let controls = if socket.local_addr()?.ip().is_unspecified() { BATCH } else { 0 };
        let mut bytes = vec![0; BATCH * STRIDE].into_boxed_slice();
        // SAFETY: all of these are C structs of numbers and pointers, for which all zeroes is a value.
        let (mut senders, nothing): (Box<[sockaddr_storage]>, mmsghdr) = unsafe {
            (
                vec![MaybeUninit::zeroed().assume_init(); BATCH].into_boxed_slice(),
                MaybeUninit::zeroed().assume_init(),
            )
        };
        let vector = |base: *mut u8, length| iovec { iov_base: base.cast(), iov_len: length };
        let mut vectors: Box<[iovec]> =
            bytes.chunks_mut(STRIDE).map(|chunk| vector(chunk.as_mut_ptr(), REQUEST)).collect();
        let mut incoming = vec![nothing; BATCH].into_boxed_slice();
        for ((message, sender), vector) in incoming.iter_mut().zip(&mut senders).zip(&mut vectors) {
            message.msg_hdr.msg_name = ptr::from_mut(sender).cast();
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
        }
        let mut targets = vec![Control::default(); controls].into_boxed_slice();
        for (message, target) in incoming.iter_mut().zip(&mut targets) {
            message.msg_hdr.msg_control = target.as_mut_ptr().cast();
        }
        Ok(Datagrams {
            requests: Requests { bytes, senders, targets, _vectors: vectors, incoming },
            replies: (0..BATCH).map(|_| Reply::default()).collect(),
            // Where each reply says which address it leaves from, each is a message of its own.
            departures: Departures::new(controls == 0),
        })
    }

    /// Waits for datagrams and takes in those that are there; returns how many, and forgets the batch before.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let Requests { senders: _, targets, incoming, .. } = &mut self.requests;
        for message in incoming.iter_mut() {
            message.msg_hdr.msg_namelen = size_of::<sockaddr_storage>() as socklen_t;
            message.msg_hdr.msg_controllen = if targets.is_empty() { 0 } else { size_of::<Control>() };
        }
        // SAFETY: every header points to one vector over REQUEST bytes of `bytes`, to one of `senders` and perhaps to one of
        // `targets`, all of which live as long as `self` does and are borrowed by nobody else now.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                incoming.as_mut_ptr(),
                BATCH as c_uint,
                libc::MSG_WAITFORONE,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        self.replies[..count].iter_mut().for_each(|reply| reply.length = 0);
        Ok(count)
    }

    /// The requests, and the replies to them, each empty as yet; one that stays empty is not sent.
    pub fn split(&mut self) -> (&Requests, &mut [Reply]) {
        (&self.requests, &mut self.replies)
    }

    /// Sends the replies to the first `count` requests. One that cannot be sent is lost, as the network might lose it.
    pub fn send(&mut self, socket: &UdpSocket, count: usize) {
        self.departures.send(socket, &self.requests, &mut self.replies[..count]);
    }
}

impl Requests {
    /// The request with this number of the batch, and who sent it; `None` for what is too long to be one.
    #[inline]
    pub fn get(&self, number: usize) -> Option<(&[u8], SocketAddr)> {
        let message = &self.incoming[number];
        if message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let from = address(&self.senders[number])?;
        Some((&self.bytes[number * STRIDE..][..message.msg_len as usize], from))
    }
}

impl Requests {
    /// The head that the request with this number came with.
    pub(super) fn header(&self, number: usize) -> &msghdr {
        &self.incoming[number].msg_hdr
    }

    /// A number that replies of this length to one sender have in common, and hardly any others.
    pub(super) fn mark(&self, number: usize, length: usize) -> u64 {
        let (address, port) = match address(&self.senders[number]) {
            Some(SocketAddr::V4(from)) => (u64::from(from.ip().to_bits()), from.port()),
            Some(SocketAddr::V6(from)) => {
                let bits = from.ip().to_bits();
                ((bits >> 64) as u64 ^ (bits as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15), from.port())
            }
            None => (0, 0),
        };
        address << 32 ^ address >> 32 ^ u64::from(port) << 16 ^ length as u64
    }

    /// Whether two requests came from one sender.
    pub(super) fn have_one_sender(&self, one: usize, other: usize) -> bool {
        address(&self.senders[one]) == address(&self.senders[other])
    }
}

/// Has the kernel say with every datagram which address it was sent to, if the socket is bound to all of them: the reply leaves
/// from there, as clients would not take it from another (RFC 2181 4).
pub fn tell_targets(socket: &UdpSocket) -> io::Result<()> {
    let local = socket.local_addr()?;
    if !local.ip().is_unspecified() {
        return Ok(());
    }
    let (level, option) = match local.is_ipv6() {
        true => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        false => (libc::IPPROTO_IP, libc::IP_PKTINFO),
    };
    let on: libc::c_int = 1;
    // SAFETY: the pointer is to an int of the length given, and is not kept.
    let done = unsafe {
        let value = ptr::from_ref(&on).cast();
        libc::setsockopt(socket.as_raw_fd(), level, option, value, size_of_val(&on) as socklen_t)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn address(storage: &sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that this is a sockaddr_in, which is shorter than the storage and needs no more alignment.
            let v4 = unsafe { &*ptr::from_ref(storage).cast::<sockaddr_in>() };
            let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for a sockaddr_in6.
            let v6 = unsafe { &*ptr::from_ref(storage).cast::<sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                        reply.append(|reply| reply.extend_from_slice(request));
                        reply.room()[3] = 7;
                        reply.set_length(4);
                        assert_eq!(reply.as_bytes().len(), 4);
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
        }
    }
}
