//! The control plane of a node: every machine behind one door.
//!
//! [`router::Node`] owns the machines, hands each input to the one it concerns, publishes what they fetched, and passes on their
//! events. It decides nothing about DNS itself. [`status`] is what it can say of itself. [`settings`] is what it is to do with each zone, and [`roster`] are the rules by which a zone that
//! several sources name has one.

pub mod board;
pub mod effects;
pub mod event;
pub mod member;
pub mod roster;
pub mod router;
pub mod settings;
pub mod status;

mod members;
mod publishing;
mod seen_servers;
