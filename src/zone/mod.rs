//! Zones: immutable snapshots, how they are read, searched, compared, published, and remembered.
//!
//! A [`snapshot::Snapshot`] is one version of a zone's content. Every change enters by [`store::ZoneStore::publish`]; readers
//! take the current [`store::Version`] and never wait.

pub mod absence;
pub mod delta;
pub mod diff;
pub mod digest;
pub mod directory;
pub mod edit;
pub mod empty;
pub mod fault;
pub mod file;
pub mod gather;
pub mod history;
pub mod journal;
pub mod lexer;
pub mod lint;
pub mod lookup;
pub mod nsec3;
pub mod order;
pub mod owner;
pub mod rdata;
pub mod serial;
pub mod served;
pub mod signed;
pub mod snapshot;
pub mod soa;
pub mod stamp;
pub mod store;
pub mod table;
