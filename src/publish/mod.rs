//! The one door for change: what is served, how a new version takes the place of the current one, and what is written down for that.
//!
//! Every change enters by [`store::ZoneStore::publish`]; readers take the current [`zone::Version`] and never wait.

pub mod directory;
pub mod history;
pub mod journal;
pub mod store;
pub mod zone;
