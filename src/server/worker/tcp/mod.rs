//! TCP (RFC 7766): each worker is one thread with sockets of its own, which answers what its connections ask without handing
//! it to anybody.
//!
//! ```text
//!            readable                        whole requests              one write
//!  client ------------> Worker -> Connection ---------------> respond -------------> client
//!                         ^                                      |
//!                         |  mailbox: a reply, a message         | a cache miss -> resolver
//!                         +--------------------------------------+ a transfer   -> a task of its own
//! ```
//!
//! One read takes all requests that have arrived, and their replies leave in one write (RFC 7766 6.2.1.1, 8). Only what takes
//! time leaves the thread; its reply comes when it is ready, whatever was asked before it (section 7). A client that does not take its
//! replies is not read from any more, and keeps nobody else waiting. With TLS (RFC 7858) it is the same, through a session.

pub mod listen;
pub mod mailbox;
pub mod worker;

mod connection;
mod framing;
mod respond;
mod stream;
mod transfer;
