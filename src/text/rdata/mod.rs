//! RDATA as text: presentation form to wire form ([`read`]) and back ([`mod@write`]), driven by the field table of
//! [`crate::wire::rdata`]. What is longer than a line or two has a file of its own, with both directions side by side.

pub mod a6;
pub mod amtrelay;
pub mod apl;
pub mod atma;
pub mod content;
pub mod duration;
pub mod encoding;
pub mod labels;
pub mod loc;
pub mod mnemonic;
pub mod names;
pub mod nxt;
pub mod read;
pub mod strings;
pub mod svcb;
pub mod write;
