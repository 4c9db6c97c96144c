//! Questions to other servers. [`question::Question`] is the one machine that puts a question to a server; [`exchange`] is
//! what it asks of the world, and [`admission`] whose turn it is.

pub mod admission;
pub mod exchange;
pub mod query;
pub mod question;
pub mod reply;
pub mod support;
