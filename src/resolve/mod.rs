//! Resolving: what other servers said, kept for as long as they said, and the machines that ask them.
//!
//! [`cache`] holds answers and is shared by all workers; [`resolver`] has one flight per question and belongs to one
//! worker; a flight goes by an upstream strategy: [`forward`] asks configured servers (recursive ones, or authoritative
//! ones as stubs). [`upstream`] knows which servers are responsible and how they have behaved, [`bailiwick`] decides what of a
//! reply may be believed, [`floors`] which versions of a zone are too old, [`settings`] says whom to ask, [`admission`] how much one
//! client may have of it, [`special_use`] which names nobody is asked for. Nothing here does I/O.
//!
//! Not here yet: recursion from the root (it would be a second strategy beside [`forward`]) and DNSSEC validation.

pub mod admission;
pub mod bailiwick;
pub mod cache;
pub mod floors;
pub mod forward;
pub mod resolver;
pub mod settings;
pub mod special_use;
pub mod upstream;

#[cfg(test)]
mod sample;
