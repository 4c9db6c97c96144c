//! The pretend world: the same nodes, answers, transfers and resolvers as in the daemon, driven by virtual time and one seed.
//!
//! ```text
//! plan (a seed) --> world: (virtual time, sequence) --> host: Node, answer, provide, Resolver, disk
//!                     |            ^                      |
//!                     |            +------- net <---------+  Outbox, replies
//!                     v
//!                   check: what must always hold, by an oracle that knows what was published when
//! ```
//!
//! [`plan`] makes a scenario of a seed, [`world`] plays it, [`host`] is a machine with its [`disk`], [`net`] is what lies between
//! them, [`content`] is the zone file being edited, [`check`] compares what every host serves and says with the truth, and
//! [`trace`] is what happened. The same seed gives the same trace.

pub mod check;
pub mod content;
pub mod disk;
pub mod host;
pub mod net;
pub mod plan;
pub mod trace;
pub mod world;
