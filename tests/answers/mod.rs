//! Generated zones, generated questions, and the comparison of what servers of four makes answer.
//!
//! [`generate`] makes the zones of a [`world`], [`sign`] signs them, and [`ask`] makes the questions; [`client`] puts them to all servers; [`reply`]
//! reads what comes back, strictly; [`compare`] finds the differences, and [`explained`] says which of them are known,
//! and why. Whoever differs, tidemark's own answers are held against what is [`expected`] by the RFCs, and its proofs against
//! what they have to prove ([`denial`]). A run that has seen too little fails ([`tally`]).
#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod ask;
pub mod client;
pub mod compare;
pub mod denial;
pub mod expected;
pub mod explained;
pub mod facts;
pub mod generate;
pub mod loaded;
pub mod name;
pub mod rdata;
pub mod reply;
pub mod sign;
pub mod tally;
pub mod world;
