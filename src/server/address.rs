//! Binding a socket to an address that this machine may not have yet.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};

use socket2::Socket;

/// Binds `socket` to `addr`, also where this machine has no such address (IP_FREEBIND, which takes no rights): the socket then serves it
/// from the moment it comes, by whatever means, and takes none of the rights that a process gives up after its start.
pub(super) fn bind(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    match socket.bind(&addr.into()) {
        // Where the system does not know the option, what it said first is what is wrong.
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
            bind_absent(socket, addr).map_err(|_| error)
        }
        other => other,
    }
}

fn bind_absent(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    match addr.is_ipv6() {
        true => socket.set_freebind_v6(true)?,
        false => socket.set_freebind_v4(true)?,
    }
    socket.bind(&addr.into())
}

/// Fails where this machine does not have the address now, whatever the port.
pub(super) fn is_here(addr: SocketAddr) -> io::Result<()> {
    let mut any_port = addr;
    any_port.set_port(0);
    UdpSocket::bind(any_port).map(drop)
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Type};

    use super::*;

    #[test]
    fn an_address_that_is_not_there_is_bound_and_known_to_be_absent() {
        // Of the networks for documentation (RFC 5737, RFC 3849), which no machine is in.
        for addr in ["192.0.2.77:0", "[2001:db8::77]:0"] {
            let addr: SocketAddr = addr.parse().unwrap();
            for kind in [Type::DGRAM, Type::STREAM] {
                let socket = Socket::new(Domain::for_address(addr), kind, None).unwrap();
                bind(&socket, addr).unwrap();
                assert_eq!(socket.local_addr().unwrap().as_socket().unwrap().ip(), addr.ip());
            }
            assert_eq!(is_here(addr).unwrap_err().kind(), ErrorKind::AddrNotAvailable);
        }
    }

    #[test]
    fn a_busy_port_is_busy_and_its_address_is_here() {
        let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = holder.local_addr().unwrap();
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        assert_eq!(bind(&socket, addr).unwrap_err().kind(), ErrorKind::AddrInUse);
        is_here(addr).unwrap();
        is_here("0.0.0.0:53".parse().unwrap()).unwrap();
    }
}
