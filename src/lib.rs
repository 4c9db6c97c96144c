//! tidemark: a DNS server for zones that change and caches that follow, which knows at every moment how far behind each of
//! its servers is.
//!
//! A zone is an immutable [snapshot](zone::snapshot) with one serial. Every change (an edited file, a transfer) goes in by one
//! door, [`zone::store::ZoneStore::publish`]: check, difference, journal, stamp, swap, event. Queries read the current pointer and
//! never wait ([`answer`], bytes in, bytes out). Everything that talks over time is a machine without I/O, fed `(now, input)`, behind
//! [`node::router::Node`] or [`resolve::resolver::Resolver`]; it writes what it wants sent into an [`outbox`]. Two worlds drive the
//! same code: [`server`] with sockets and files, the simulator with a seed and virtual time.
//!
//! ```text
//! 8  main, cli              arguments -> commands
//! 7  config                 one TOML file -> server::settings
//! 6  server                 sockets, threads, files, HTTP, clocks
//! 5  sim, metrics           the pretend world; events -> Prometheus
//! 4  answer, node           query bytes -> answer bytes; every machine behind one door
//! 3  transfer resolve probe lag     siblings that do not know each other
//! 2  zone, outbox           the data; what a machine may ask for
//! 1  wire, time             names, RDATA, messages; time as an argument
//! ```
//!
//! Imports only run downwards; `tests/layers.rs` sees to it. Some rooms that came while building, and why:
//!
//! - `wire` stands below `zone`: zones keep their data in wire form, and every machine reads and writes messages, so names, RDATA
//!   layouts and messages are one floor of their own.
//! - `answer`, `node` and `metrics` are folders: each holds a few ideas that are clearer apart.
//! - The resolver stands beside the node, not in it: its work is cut by question over several of them, so that a miss
//!   does not pass one central task.
//! - `server::settings` is filled by `config`, which stands above it: what runs does not know how it was written.
//!
//! What it does not do yet: recursion from the root, DNSSEC signing and validation, dynamic update, TSIG.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod answer;
pub mod cli;
pub mod config;
pub mod lag;
pub mod metrics;
pub mod node;
pub mod outbox;
pub mod probe;
pub mod resolve;
pub mod server;
pub mod sim;
pub mod time;
pub mod transfer;
pub mod wire;
pub mod zone;
