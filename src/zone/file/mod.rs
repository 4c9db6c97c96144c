//! Master files (RFC 1035 section 5, with RFC 2308 `$TTL`, BIND's `$GENERATE`, RFC 3597 unknown types): one pass over
//! the bytes in [`read`], which reports every record to a closure and every fault as a [`diagnostic`].

pub mod diagnostic;
pub mod generate;
pub mod head;
pub mod read;
pub mod suggest;
