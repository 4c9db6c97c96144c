//! The world that the integration tests run in: real servers of four makes, started on loopback, edited, killed
//! and watched from outside.
//!
//! A test reserves addresses first ([`ports`]), says which zones each server carries ([`zones`]), starts the
//! servers ([`bind`], [`knot`], [`nsd`], [`tidemark`]; all but the last give a plain [`daemon::Daemon`]), and looks
//! at them from outside ([`dig`], [`observer`], [`prometheus`]). Everything a server writes stays in a temporary
//! folder that goes away with it; if the test fails, the ends of the logs are printed.
//!
//! Each test program uses a part of this, and a failure in here is a failure of the test: hence the two `allow`s.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod await_until;
pub mod bad_server;
pub mod bind;
pub mod corpus;
pub mod daemon;
pub mod dig;
pub mod fake_primary;
pub mod hierarchy;
pub mod http;
pub mod knot;
pub mod metrics;
pub mod nsd;
pub mod observer;
pub mod path;
pub mod ports;
pub mod process;
pub mod prometheus;
pub mod raw;
pub mod rdata;
pub mod replay;
pub mod schedule;
pub mod seed;
pub mod soa;
pub mod tidemark;
pub mod truth;
pub mod unbound;
pub mod waits;
pub mod zones;
