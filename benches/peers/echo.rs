//! The floor of the socket path: a loop of recvmmsg and sendmmsg that makes each query a reply by one bit.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

/// Datagrams per system call.
const BATCH: usize = 64;
/// Room for each.
const ROOM: usize = 512;
/// Kernel buffer of the socket.
const BUFFER: usize = 4 << 20;

/// Answers for ever.
pub(crate) fn serve(addr: SocketAddr) -> ! {
    let socket = UdpSocket::bind(addr).unwrap();
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(BUFFER);
    let fd = socket.as_raw_fd();
    let mut buffers = vec![[0u8; ROOM]; BATCH];
    // SAFETY: all-zero is a valid value of these plain structures.
    let mut sources: [libc::sockaddr_in; BATCH] = unsafe { std::mem::zeroed() };
    let mut parts: [libc::iovec; BATCH] = unsafe { std::mem::zeroed() };
    let mut messages: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
    for at in 0..BATCH {
        parts[at].iov_base = buffers[at].as_mut_ptr().cast();
        messages[at].msg_hdr.msg_iov = &mut parts[at];
        messages[at].msg_hdr.msg_iovlen = 1;
        messages[at].msg_hdr.msg_name = (&raw mut sources[at]).cast();
    }
    loop {
        for at in 0..BATCH {
            parts[at].iov_len = ROOM;
            messages[at].msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        }
        // SAFETY: every pointer in `messages` is to an element of the arrays above, which outlive the loop.
        let received = unsafe {
            libc::recvmmsg(
                fd,
                messages.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_WAITFORONE,
                std::ptr::null_mut(),
            )
        };
        let received = received.max(0) as usize;
        for at in 0..received {
            buffers[at][2] |= 0x80;
            parts[at].iov_len = messages[at].msg_len as usize;
        }
        // SAFETY: as above; the first `received` messages were filled by recvmmsg.
        unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), received as u32, 0) };
    }
}
