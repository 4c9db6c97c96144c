//! Replies on their way out: one system call for a batch (sendmmsg), and within it one message for several replies to one
//! client, which the kernel takes to pieces late (UDP_SEGMENT): those of one length, and as the last piece a shorter one. A
//! resolver, forwarder or load balancer that keeps its sockets has many queries under way on each; half of the kernel's work
//! for a reply is then done once for several.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use libc::{c_int, c_uint, cmsghdr, iovec, mmsghdr, msghdr};
use socket2::SockAddr;

use crate::answer::reply::Reply;

use crate::server::received::{BATCH, Received, Target};

/// Bytes of one message: a datagram's most, less its headers.
const MESSAGE: usize = 65_000;
/// UDP_SEGMENT of linux/udp.h.
const UDP_SEGMENT: c_int = 103;

/// A control message that holds the length of segments.
type Segments = [u64; 3];

/// Sends one reply that was not ready with its batch, from the address that was asked.
pub fn send_one(socket: &UdpSocket, reply: &[u8], to: SocketAddr, target: Option<&Target>) -> io::Result<()> {
    let to = SockAddr::from(to);
    let mut vector = iovec { iov_base: reply.as_ptr().cast_mut().cast(), iov_len: reply.len() };
    // SAFETY: a C struct of numbers and pointers, for which all zeroes is a value.
    let mut header: msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = to.as_ptr().cast_mut().cast();
    header.msg_namelen = to.len();
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    if let Some(target) = target {
        header.msg_control = ptr::from_ref(&target.control).cast_mut().cast();
        header.msg_controllen = target.length;
    }
    // SAFETY: the header leads to the address, the reply and the control message, which outlive the call; none is written to.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What leaves with one call.
pub(super) struct Departures {
    /// The replies to be sent: those to one client side by side, the longest first. What sorts them so, and their numbers.
    order: Vec<(u64, u8)>,
    /// For each message, how many replies.
    sizes: Vec<u8>,
    vectors: Box<[iovec]>,
    controls: Box<[Segments]>,
    messages: Box<[mmsghdr]>,
    /// Whether the kernel and the network devices can take messages to pieces.
    joins: bool,
}

// SAFETY: the pointers lead into what is handed over with each batch, or into boxes that move along.
unsafe impl Send for Departures {}

impl Departures {
    /// Room for a batch. Without `joins` every reply is a message of its own.
    pub(super) fn new(joins: bool) -> Departures {
        let vector = iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        // SAFETY: a C struct of numbers and pointers, for which all zeroes is a value.
        let message: mmsghdr = unsafe { std::mem::zeroed() };
        Departures {
            order: Vec::with_capacity(BATCH),
            sizes: Vec::with_capacity(BATCH),
            vectors: vec![vector; BATCH].into_boxed_slice(),
            controls: vec![Segments::default(); BATCH].into_boxed_slice(),
            messages: vec![message; BATCH].into_boxed_slice(),
            joins,
        }
    }

    /// Sends those of `replies` that are not empty. One that cannot be sent is lost, as the network might lose it.
    pub(super) fn send(&mut self, socket: &UdpSocket, requests: &Received, replies: &[Reply]) {
        self.order.clear();
        for (number, reply) in (0..).zip(replies.iter()).filter(|(_, reply)| !reply.as_bytes().is_empty()) {
            let length = reply.as_bytes().len() as u16;
            let rank = requests.mark(usize::from(number)) << 16 | u64::from(!length);
            self.order.push((rank, number));
        }
        if self.joins && self.order.len() > 1 {
            self.order.sort_unstable();
        }
        self.sizes.clear();
        let mut first = 0;
        while first < self.order.len() {
            let size = self.together(first, requests, replies);
            self.prepare(first, size, requests, replies);
            first += size;
        }
        self.leave(socket, requests, replies);
    }

    /// How many replies, from the `first` in order on, can be one message.
    fn together(&self, first: usize, requests: &Received, replies: &[Reply]) -> usize {
        if !self.joins {
            return 1;
        }
        let length = |number: u8| replies[usize::from(number)].as_bytes().len();
        let (_, number) = self.order[first];
        let segment = length(number);
        let mut size = 1;
        for &(_, another) in self.order[first + 1..].iter().take((MESSAGE / segment).saturating_sub(1)) {
            if !requests.have_one_sender(usize::from(number), usize::from(another)) {
                break;
            }
            size += 1;
            // All pieces but the last have to be of one length.
            if length(another) < segment {
                break;
            }
        }
        size
    }

    fn prepare(&mut self, first: usize, size: usize, requests: &Received, replies: &[Reply]) {
        let vectors = &mut self.vectors[first..first + size];
        for ((_, number), vector) in self.order[first..].iter().zip(vectors.iter_mut()) {
            let reply = replies[usize::from(*number)].as_bytes();
            *vector = iovec { iov_base: reply.as_ptr().cast_mut().cast(), iov_len: reply.len() };
        }
        let at = self.sizes.len();
        let request = requests.header(usize::from(self.order[first].1));
        let header = &mut self.messages[at].msg_hdr;
        header.msg_name = request.msg_name;
        header.msg_namelen = request.msg_namelen;
        header.msg_iov = vectors.as_mut_ptr();
        header.msg_iovlen = size;
        // What the kernel said of the request's target is, in the same form, what it is told of the reply's source.
        header.msg_control = request.msg_control;
        header.msg_controllen = request.msg_controllen;
        if size > 1 {
            // SAFETY: these compute lengths.
            let (length, space) = unsafe { (libc::CMSG_LEN(2), libc::CMSG_SPACE(2)) };
            header.msg_control = self.controls[at].as_mut_ptr().cast();
            header.msg_controllen = space as usize;
            let control = ptr::from_mut(&mut self.controls[at]).cast::<cmsghdr>();
            // SAFETY: the control message is as long as a head and eight bytes more, and aligned like a u64, as heads are.
            unsafe {
                (*control).cmsg_len = length as usize;
                (*control).cmsg_level = libc::SOL_UDP;
                (*control).cmsg_type = UDP_SEGMENT;
                libc::CMSG_DATA(control).cast::<u16>().write_unaligned(vectors[0].iov_len as u16);
            }
        }
        self.sizes.push(size as u8);
    }

    fn leave(&mut self, socket: &UdpSocket, requests: &Received, replies: &[Reply]) {
        let mut sent = 0;
        while sent < self.sizes.len() {
            // SAFETY: the headers from `sent` on were filled in by `prepare`, and what they point to has not moved since.
            let done = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    self.messages[sent..].as_mut_ptr(),
                    (self.sizes.len() - sent) as c_uint,
                    0,
                )
            };
            match usize::try_from(done) {
                Ok(done) if done > 0 => sent += done,
                // An error is that of the first of them.
                _ => {
                    if self.sizes[sent] > 1 {
                        return self.leave_apart(socket, sent, requests, replies);
                    }
                    sent += 1;
                }
            }
        }
    }

    /// Sends the replies from a message on one by one: the message could not be taken to pieces, because the way to the client
    /// takes no datagrams of that length, or because the device cannot do it. Then no message is tried again.
    fn leave_apart(&mut self, socket: &UdpSocket, from: usize, requests: &Received, replies: &[Reply]) {
        if io::Error::last_os_error().raw_os_error() != Some(libc::EMSGSIZE) {
            self.joins = false;
        }
        let skipped: usize = self.sizes[..from].iter().map(|&size| usize::from(size)).sum();
        self.order.drain(..skipped);
        self.sizes.clear();
        for first in 0..self.order.len() {
            self.prepare(first, 1, requests, replies);
        }
        self.leave(socket, requests, replies);
    }
}
