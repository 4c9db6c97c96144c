//! tidemark.
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
