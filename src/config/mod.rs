//! The configuration: one TOML file to typed settings, or one error that names the place and the next step.
//!
//! [`load`] reads the file into `server::settings`, `document` the file as written, `convert` the way from one
//! to the other (`server` that of its section), [`value`] the small languages inside strings (peers, prefixes, durations),
//! [`error`] the message, `secrets` those of DNS cookies, `suggest` what serde says in plainer words.

pub mod error;
pub mod load;
pub mod value;

mod convert;
mod document;
mod secrets;
mod server;
mod suggest;
#[cfg(test)]
mod tests;
