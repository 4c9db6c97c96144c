//! tidemark.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod outbox;
pub mod time;
pub mod transfer;
pub mod wire;
pub mod zone;
