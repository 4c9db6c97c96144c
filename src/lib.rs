//! tidemark.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod cli;
pub mod config;
pub mod outbox;
pub mod resolve;
pub mod server;
pub mod time;
pub mod wire;
pub mod zone;
