//! The real world: sockets, files, clocks, threads, HTTP. Everything below this floor is told the time and handed bytes.
//!
//! It has floors of its own, lowest last (`tests/layers.rs` holds them):
//!
//! ```text
//! run                              from start to stop
//! listening                        the addresses: bound, served, waited for
//! worker · admin · http            requests: DNS, the API
//! control                          the thread that owns the node
//! files · journal · jobs           threads that control sets to work and hears from
//! settings                         what a node is told to do
//! unread                           what it can do without until that can be read
//! cookies · exchange · memory · pulse · tls
//! courtesy · sockets               heavy work lets queries go first
//! address · clock · content · log · pages · poll · priority · privileges · received · threads
//! ```

pub mod admin;
pub mod clock;
pub mod content;
pub mod control;
pub mod cookies;
pub mod exchange;
pub mod files;
pub mod http;
pub mod journal;
pub mod listening;
pub mod pulse;
pub mod received;
pub mod run;
pub mod settings;
pub mod tls;
pub mod unread;
pub mod worker;

mod address;
mod courtesy;
mod jobs;
mod log;
mod memory;
mod pages;
mod poll;
mod priority;
mod privileges;
mod sockets;
mod supervisor;
mod threads;
