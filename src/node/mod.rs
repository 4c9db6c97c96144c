//! The control plane of a node: every machine behind one door.
//!
//! [`router::Node`] owns the machines, hands each input to the one it concerns, publishes what they fetched, and passes on their
//! events. It decides nothing about DNS itself. [`settings`] is what it is to do with each zone, [`roster`] knows which zones there are
//! and what each comes from, and [`status`] is what the node can say of itself.

pub mod board;
pub mod effects;
pub mod event;
pub mod member;
pub mod roster;
pub mod router;
pub mod seen_servers;
pub mod settings;
pub mod status;

mod asking;
mod members;
mod publishing;
