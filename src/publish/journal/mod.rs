//! What is written down before it is served.

pub mod entry;
pub mod log;
