//! What is written down before it is served, and what is left of that after a crash. No I/O here: `server::journal` and the
//! simulator's disk write and read the bytes.

pub mod content;
pub mod entry;
pub mod floor;
pub mod frame;
pub mod group;
pub mod log;
pub mod old;
pub mod order;
pub mod recovery;
