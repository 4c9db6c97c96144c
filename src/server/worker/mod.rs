//! The threads of the data plane.
//!
//! A worker is, for each core, one thread that waits for datagrams ([`udp`]), one that waits for connections
//! ([`tcp`]), and, in a cache, one that waits for upstream servers ([`resolver`]).
//!
//! One poll over all of these was measured first and is not used. With its UDP socket in an epoll (edge-triggered, asked only
//! when a receive had found less than a full batch) the authoritative path took this many times the CPU per query of the thread
//! that waits in recvmmsg (plain answers from a flat zone, one worker, on a machine that was busy besides; medians of paired runs):
//! 1.06 and 1.06 at full speed (7 pairs each), 1.03 and 1.03 at 100,000 q/s (5 and 7), 0.98 at 20,000 (5), 1.05 at 10,000 (7).
//! The kernel calls the poll back for every datagram, while a thread that waits in recvmmsg is woken once. So the UDP thread
//! waits there, and what has to wait for other servers is handed to a thread with a poll of its own.

pub mod mail;
pub mod refusals;
pub mod resolver;
pub mod respond;
pub mod tcp;
pub mod udp;
