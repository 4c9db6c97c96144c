//! The presentation format of DNS data (RFC 1035 5, RFC 3597, and each type's own RFC): read from and written to text.
//!
//! It knows records, not zones: what makes records a zone is [`crate::zone`].

pub mod edit_distance;
pub mod file;
pub mod lexer;
pub mod rdata;
