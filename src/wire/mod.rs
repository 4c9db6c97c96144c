//! The wire format: names, types, RDATA layouts and messages (RFC 1035 section 4, RFC 6891), read and written without
//! I/O and without trust. It stands below `zone/`, because a zone keeps its data in wire form.

pub mod canonical;
mod compression;
pub mod cookie;
pub mod edns;
pub mod escape;
pub mod extended_error;
pub mod hash;
pub mod message;
pub mod name;
pub mod plain;
pub mod prefix;
pub mod rdata;
pub mod rendered;
pub mod rtype;
pub mod via;
pub mod writer;
