//! tidemark.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod cli;
pub mod config;
pub mod lag;
pub mod outbox;
pub mod probe;
pub mod resolve;
pub mod time;
pub mod wire;
pub mod zone;
