//! Datagrams on their way in: what waits at a socket is received with one system call (recvmmsg).

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use libc::{c_int, c_uint, iovec, mmsghdr, msghdr, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t};

/// Datagrams per batch: enough to share the cost of a system call, few enough to stay in the nearest cache.
pub const BATCH: usize = 64;
/// The longest request; a longer datagram is no request that anyone sends (BIND's limit is the same), and no answer that anyone asks for:
/// that is several times what any question offers to take (RFC 6891 6.2.3).
pub const REQUEST: usize = 4_096;
/// From one request's buffer to the next: not a power of two, so that they do not all fall into the same lines of the cache.
const STRIDE: usize = REQUEST + 192;
/// Room for the one control message that is asked for: a head and the longer of in_pktinfo and in6_pktinfo.
pub type Control = [u64; 8];

/// Which of our addresses a request was sent to, in the form in which the kernel tells it and is told the source of a reply.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The control message.
    pub control: Control,
    /// How much of it counts.
    pub length: usize,
}

/// The requests of a batch.
pub struct Received {
    bytes: Box<[u8]>,
    senders: Box<[sockaddr_storage]>,
    /// Which of our addresses each request was sent to, in the kernel's form; empty when the socket has one address only.
    targets: Box<[Control]>,
    /// Point into `bytes` for as long as this lives; the others into `senders`, `targets` and into this.
    _vectors: Box<[iovec]>,
    incoming: Box<[mmsghdr]>,
}

// SAFETY: the pointers lead into boxes that move along, and nobody else has them.
unsafe impl Send for Received {}

impl Received {
    /// Room for a batch; with `has_targets` also for the addresses that the requests were sent to.
    pub fn new(has_targets: bool) -> Received {
        let mut bytes = vec![0; BATCH * STRIDE].into_boxed_slice();
        // SAFETY: all of these are C structs of numbers and pointers, for which all zeroes is a value.
        let (mut senders, nothing): (Box<[sockaddr_storage]>, mmsghdr) = unsafe {
            (
                vec![MaybeUninit::zeroed().assume_init(); BATCH].into_boxed_slice(),
                MaybeUninit::zeroed().assume_init(),
            )
        };
        let vector = |chunk: &mut [u8]| iovec { iov_base: chunk.as_mut_ptr().cast(), iov_len: REQUEST };
        let mut vectors: Box<[iovec]> = bytes.chunks_mut(STRIDE).map(vector).collect();
        let mut incoming = vec![nothing; BATCH].into_boxed_slice();
        for ((message, sender), vector) in incoming.iter_mut().zip(&mut senders).zip(&mut vectors) {
            message.msg_hdr.msg_name = ptr::from_mut(sender).cast();
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
        }
        let mut targets = vec![Control::default(); if has_targets { BATCH } else { 0 }].into_boxed_slice();
        for (message, target) in incoming.iter_mut().zip(&mut targets) {
            message.msg_hdr.msg_control = target.as_mut_ptr().cast();
        }
        Received { bytes, senders, targets, _vectors: vectors, incoming }
    }

    /// Waits for datagrams and takes in those that are there; returns how many.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let control = if self.targets.is_empty() { 0 } else { size_of::<Control>() };
        for message in self.incoming.iter_mut() {
            message.msg_hdr.msg_namelen = size_of::<sockaddr_storage>() as socklen_t;
            message.msg_hdr.msg_controllen = control;
        }
        // SAFETY: every header points to one vector over REQUEST bytes of `bytes`, to one of `senders` and perhaps to one of
        // `targets`, all of which live as long as `self` does and are borrowed by nobody else now.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.incoming.as_mut_ptr(),
                BATCH as c_uint,
                libc::MSG_WAITFORONE,
                ptr::null_mut(),
            )
        };
        usize::try_from(received).map_err(|_| io::Error::last_os_error())
    }

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

    /// Which address the request with this number was sent to; `None` when the socket has one only.
    pub fn target(&self, number: usize) -> Option<Target> {
        let control = *self.targets.get(number)?;
        Some(Target { control, length: self.incoming[number].msg_hdr.msg_controllen })
    }

    /// The head that the request with this number came with.
    pub fn header(&self, number: usize) -> &msghdr {
        &self.incoming[number].msg_hdr
    }

    /// 48 bits that requests of one sender have in common, and hardly any others.
    pub fn mark(&self, number: usize) -> u64 {
        let (address, port) = match address(&self.senders[number]) {
            Some(SocketAddr::V4(from)) => (u64::from(from.ip().to_bits()), from.port()),
            Some(SocketAddr::V6(from)) => {
                let bits = from.ip().to_bits();
                (((bits >> 64) as u64 ^ bits as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32, from.port())
            }
            None => (0, 0),
        };
        address << 16 | u64::from(port)
    }

    /// Whether two requests came from one sender.
    pub fn have_one_sender(&self, one: usize, other: usize) -> bool {
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
    set_option(socket, level, option, 1)
}

/// Keeps replies whole. They fit the links of today (RFC 9715 R3); should a network say otherwise, it is not believed,
/// because anybody can say so, and pieces of an answer are easier to forge than an answer (R2).
pub fn keep_whole(socket: &UdpSocket) -> io::Result<()> {
    let (level, option, probe) = match socket.local_addr()?.is_ipv6() {
        true => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE),
        false => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE),
    };
    set_option(socket, level, option, probe)
}

fn set_option(socket: &UdpSocket, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the pointer is to an int of the length given, and is not kept.
    let done = unsafe {
        let length = size_of_val(&value) as socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, option, ptr::from_ref(&value).cast(), length)
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
