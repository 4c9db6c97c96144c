//! The real world: sockets, files, clocks, threads, HTTP. Everything below this floor is told the time and handed bytes.

pub mod admin;
pub mod clock;
pub mod control;
pub mod exchange;
pub mod files;
pub mod http;
pub mod journal;
pub mod pulse;
pub mod run;
pub mod settings;
pub mod worker;

mod jobs;
mod log;
mod memory;
mod priority;
mod privileges;
