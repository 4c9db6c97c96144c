//! tidemark: a DNS server for zones that change and caches that follow, which knows at every moment how far behind each of
//! its servers is.
//!
//! A zone is an immutable [snapshot](zone::snapshot) with one serial. Every change (an edited file, a transfer) goes in by one
//! door, [`publish`]. Queries read the current pointer and never wait ([`answer`], bytes in, bytes out). Everything that talks
//! over time is a machine without I/O, fed `(now, input)`, behind [`node::router::Node`] or [`resolve::resolver::Resolver`]; it writes
//! what it wants done into an argument. Two worlds drive the same code: [`server`] with sockets and files, [`sim`] with a seed and
//! virtual time.
//!
//! ```text
//! 9  main, cli              arguments -> commands
//! 8  config                 one TOML file -> server::settings
//! 7  server                 sockets, threads, files, HTTP, clocks
//! 6  sim, metrics           the pretend world; events -> Prometheus
//! 5  answer, node           query bytes -> answer bytes; every machine behind one door
//! 4  transfer resolve probe lag     siblings that do not know each other
//! 3  publish, ask           the one door for change; questions to other servers
//! 2  zone, text             the data; its presentation format
//! 1  wire, time, panic      names, RDATA, messages; time as an argument; a panic as an error
//! ```
//!
//! Imports only run downwards; `tests/layers.rs` sees to it.
//!
//! What it does not do yet: recursion from the root, DNSSEC signing and validation, dynamic update, TSIG.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod answer;
pub mod ask;
pub mod cli;
pub mod config;
pub mod lag;
pub mod metrics;
pub mod node;
pub mod panic;
pub mod probe;
pub mod publish;
pub mod resolve;
pub mod server;
pub mod sim;
pub mod text;
pub mod time;
pub mod transfer;
pub mod wire;
pub mod zone;
