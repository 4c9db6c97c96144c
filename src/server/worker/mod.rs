//! The threads of the data plane.
//!
//! A worker is, for each core, one thread that waits for datagrams ([`udp`]), one that waits for connections
//! ([`tcp`]), and, in a cache, one that waits for upstream servers ([`resolver`]).
//!
//! One poll over all of these was measured first and is not used: with its UDP socket in an epoll (edge-triggered, asked only
//! when a receive had found less than a full batch) the authoritative path took 5 to 6 % more CPU per query at full speed, 3 %
//! more at 100,000 q/s and 3 to 5 % more at 10,000 (plain answers from a flat zone, one worker; medians of seven pairs of runs).
//! The kernel calls the poll back for every datagram, while a thread that waits in recvmmsg is woken once. So the UDP thread
//! waits there, and what has to wait for other servers is handed to a thread with a poll of its own.

pub mod mail;
pub mod resolver;
pub mod respond;
pub mod tcp;
pub mod tls;
pub mod udp;

mod upstream;
