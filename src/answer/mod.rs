//! From a request's bytes to a reply's bytes, synchronously and without I/O: the data plane.
//!
//! [`door::answer`] is called inline by whoever received the bytes. It replies by itself whenever it can (zone data, cache
//! hits, errors); what needs time (a transfer, a cache miss, a NOTIFY to act on) it hands back as a
//! [`context::Outcome`].

pub mod additional;
pub mod authoritative;
pub mod cached;
pub mod context;
pub mod door;
pub mod edns;
pub mod elsewhere;
pub mod end;
pub mod fast;
pub mod proof;
pub mod referral;
pub mod reply;
pub mod respond;
pub mod server_names;
pub mod transfer;
pub mod view;

#[cfg(test)]
mod tests;
