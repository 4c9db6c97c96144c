//! Zones as data: immutable snapshots, how they are built, searched, compared and checked.
//!
//! A [`snapshot::Snapshot`] is one version of a zone's content. How versions are written as text is [`crate::text`], how one takes the
//! place of another is [`crate::publish`].

pub mod builder;
pub mod canonical;
pub mod clocks;
pub mod closest_encloser;
pub mod delta;
pub mod diff;
pub mod digest;
pub mod dname;
pub mod edit;
pub mod empty_nonterminal;
pub mod fault;
#[cfg(test)]
pub mod fixture;
pub mod lint;
pub mod lookup;
pub mod negative;
pub mod nsec3;
pub mod order;
pub mod owner;
pub mod owner_run;
pub mod prefetch;
pub mod reading;
pub mod records;
pub mod serial;
pub mod signed;
pub mod snapshot;
pub mod soa;
pub mod stamp;
pub mod table;
pub mod zoneversion;
