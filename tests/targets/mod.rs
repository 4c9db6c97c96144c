//! What must hold of any bytes at all: of a message, of a zone file, of RDATA. `tests/fuzz.rs` runs these over the corpus and
//! changes to it; the targets in `fuzz/` look for new inputs by the code they reach.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod corpus;
pub mod library;
pub mod message;
pub mod rdata;
pub mod reached;
pub mod world;
pub mod zone_file;

/// A target: its name, and what it does with an input. It panics where something does not hold.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 3] =
    [("message", message::holds), ("zone_file", zone_file::holds), ("rdata", rdata::holds)];
