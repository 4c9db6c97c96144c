//! Load over UDP that costs little: where the load generator shares the cores with the server, what it uses is lost to the
//! server, and dnsperf uses more for a query than any server here. Queries of one length leave together (UDP_SEGMENT, taken to
//! pieces on their way); answers arrive one by one, as at any client.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use super::content::Query;
use super::dns::{self, HEADER};
use super::load::Count;

/// Sockets: enough that the kernel spreads them evenly over two workers.
const SOCKETS: usize = 64;
/// Queries on their way over each.
const WINDOW: usize = 12;
/// Queries that leave together.
const TOGETHER: usize = 6;
/// How long answers are left to gather.
const REST: Duration = Duration::from_micros(150);
/// Answers that have not come for so long are lost.
const LOST: Duration = Duration::from_millis(100);
/// Longer than any query.
const LONGEST: usize = 300;
/// UDP_SEGMENT of linux/udp.h.
const UDP_SEGMENT: libc::c_int = 103;

/// Asks as fast as the server answers for so long.
pub(crate) fn run(server: SocketAddr, queries: &[Query], time: Duration) -> Count {
    let mut messages = Messages::new(queries);
    let mut inbox = Inbox::new();
    let begun = Instant::now();
    let open = |_| {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        socket.connect(server).unwrap();
        socket.set_nonblocking(true).unwrap();
        Client { socket, waiting: 0, heard: begun }
    };
    let mut clients: Vec<Client> = (0..SOCKETS).map(open).collect();
    let mut count = Count { answered: 0, lost: 0, per_second: 0.0, valid: 0.0 };
    while begun.elapsed() < time {
        for client in &mut clients {
            client.receive(&mut inbox, &mut count);
            client.forget_lost(&mut count);
            client.send(&mut messages);
        }
        thread::sleep(REST);
    }
    count.per_second = count.answered as f64 / begun.elapsed().as_secs_f64();
    count.valid /= count.answered.max(1) as f64;
    count
}

/// The queries as messages, those that leave together of one length.
struct Messages {
    all: Vec<Vec<u8>>,
    next: usize,
}

impl Messages {
    fn new(queries: &[Query]) -> Messages {
        let mut by_length: Vec<Vec<Vec<u8>>> = vec![Vec::new(); LONGEST];
        let mut all = Vec::with_capacity(queries.len());
        for (name, rtype) in queries {
            let message = dns::query(1, name, *rtype, true);
            let same = &mut by_length[message.len()];
            same.push(message);
            if same.len() == TOGETHER {
                all.append(same);
            }
        }
        Messages { all, next: 0 }
    }

    /// Some messages of one length back to back, at most so many; how many, and their length.
    fn take(&mut self, most: usize, into: &mut Vec<u8>) -> (usize, usize) {
        let group = TOGETHER - self.next % TOGETHER;
        let some = &self.all[self.next..][..group.min(most)];
        into.clear();
        some.iter().for_each(|message| into.extend(message));
        self.next = (self.next + some.len()) % self.all.len();
        (some.len(), some[0].len())
    }
}

struct Client {
    socket: UdpSocket,
    waiting: usize,
    heard: Instant,
}

impl Client {
    fn send(&mut self, messages: &mut Messages) {
        let mut bytes = Vec::with_capacity(TOGETHER * LONGEST);
        while self.waiting < WINDOW {
            let (count, length) = messages.take(WINDOW - self.waiting, &mut bytes);
            if send(&self.socket, &bytes, length).is_err() {
                return;
            }
            self.waiting += count;
        }
    }

    fn receive(&mut self, inbox: &mut Inbox, count: &mut Count) {
        if self.waiting == 0 {
            return;
        }
        let answers = inbox.receive(&self.socket);
        if answers > 0 {
            self.heard = Instant::now();
        }
        for answer in &inbox.answers[..answers] {
            self.waiting -= 1;
            count.answered += 1;
            count.valid += f64::from(u8::from(matches!(answer[3] & 15, 0 | 3)));
        }
    }

    fn forget_lost(&mut self, count: &mut Count) {
        if self.waiting > 0 && self.heard.elapsed() > LOST {
            count.lost += self.waiting as u64;
            (self.waiting, self.heard) = (0, Instant::now());
        }
    }
}

/// Room for the headers of all that may come to a socket; nobody looks at the rest of an answer.
struct Inbox {
    answers: Box<[[u8; HEADER]]>,
    /// Point into `answers`.
    _parts: Box<[libc::iovec]>,
    messages: Box<[libc::mmsghdr]>,
}

impl Inbox {
    fn new() -> Inbox {
        let mut answers = vec![[0; HEADER]; WINDOW].into_boxed_slice();
        let part =
            |answer: &mut [u8; HEADER]| libc::iovec { iov_base: answer.as_mut_ptr().cast(), iov_len: HEADER };
        let mut parts: Box<[libc::iovec]> = answers.iter_mut().map(part).collect();
        // SAFETY: all-zero is a value of this plain structure.
        let nothing: libc::mmsghdr = unsafe { std::mem::zeroed() };
        let mut messages = vec![nothing; WINDOW].into_boxed_slice();
        for (message, part) in messages.iter_mut().zip(&mut parts) {
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
        }
        Inbox { answers, _parts: parts, messages }
    }

    /// Takes in what has come to a socket; how many.
    fn receive(&mut self, socket: &UdpSocket) -> usize {
        // SAFETY: every message points to a vector over an answer, which live as long as this.
        let received = unsafe {
            let messages = self.messages.as_mut_ptr();
            libc::recvmmsg(socket.as_raw_fd(), messages, WINDOW as u32, 0, ptr::null_mut())
        };
        usize::try_from(received).unwrap_or_else(|_| {
            let error = io::Error::last_os_error();
            assert!(error.kind() == ErrorKind::WouldBlock, "the server is not there: {error}");
            0
        })
    }
}

/// Sends what is in `bytes` as datagrams of this length.
fn send(socket: &UdpSocket, bytes: &[u8], length: usize) -> io::Result<()> {
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = [0u64; 3];
    // SAFETY: all-zero is a value of this plain structure.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: the control message is as long as a head and eight bytes more, and aligned like a u64, as heads are; the pointers
    // in `message` are to what outlives the call.
    let sent = unsafe {
        message.msg_controllen = libc::CMSG_SPACE(2) as usize;
        let head = ptr::from_mut(&mut control).cast::<libc::cmsghdr>();
        (*head).cmsg_len = libc::CMSG_LEN(2) as usize;
        (*head).cmsg_level = libc::SOL_UDP;
        (*head).cmsg_type = UDP_SEGMENT;
        libc::CMSG_DATA(head).cast::<u16>().write_unaligned(length as u16);
        libc::sendmsg(socket.as_raw_fd(), &message, 0)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
