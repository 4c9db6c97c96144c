//! The configuration: one TOML file to typed settings, or all that is wrong with it, each with its place and the next step.
//!
//! [`load`] reads the file into `server::settings`, `document` the file as written, `recover` how it is read on behind an
//! error, `convert` the way from one to the other (`server` and `resolver` those of their sections), [`value`] the small languages inside strings (peers, prefixes, durations),
//! [`error`] the message, [`look`] what there is to check beside it, [`socket`] how its node is reached, `secrets` those of DNS cookies that stand in it, `suggest` what serde says in plainer words.

pub mod error;
pub mod load;
pub mod look;
pub mod socket;
pub mod value;

mod convert;
mod document;
mod recover;
mod resolver;
mod secrets;
mod server;
mod suggest;
#[cfg(test)]
mod tests;
