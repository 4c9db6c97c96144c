//! How a zone travels: asked for by a secondary, provided by whoever has it, announced when it changes.
//!
//! ```text
//!   primary                                     secondary
//!   notify::Notifier  -- NOTIFY (RFC 1996) -->  notify::read_notify -> refresh::Refresh
//!   (the answerer)    <-- SOA query ----------  refresh::Refresh
//!   provide::Provide  -- IXFR (RFC 1995), ----> intake::Intake -> ixfr::Ixfr, axfr::Axfr
//!                        AXFR (RFC 5936)          -> refresh::Event::Fetched -> publish::proposal
//! ```
//!
//! All of it is without I/O: machines are told the time and what arrived, and ask an [`crate::ask::exchange::Outbox`] to send.

pub mod axfr;
#[cfg(test)]
mod fixture;
pub mod intake;
pub mod ixfr;
pub mod ixfr_loop;
pub mod notify;
pub mod provide;
pub mod query;
pub mod reason;
pub mod refresh;
#[cfg(test)]
mod tests;
pub mod timers;
