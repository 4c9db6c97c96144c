//! The one door for change: what is served, how a new version takes the place of the current one, and what is written down for that.
//!
//! ```text
//! zone file, transfer -> proposal -> stages -> journal -> store::ZoneStore::commit -> zone::Version
//! ```
//!
//! Preparing a change costs time and reads no clock, so it may run on any thread; the journal is asked for and answers later
//! ([`stages`]). Readers take the current [`zone::Version`] and never wait.

pub mod access;
pub mod directory;
pub mod expire;
pub mod history;
pub mod job;
pub mod journal;
pub mod messages;
pub mod proposal;
pub mod stages;
pub mod store;
pub mod transferred;
pub mod zone;

mod replay;
