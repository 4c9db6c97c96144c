//! The real world: sockets, files, clocks, threads, HTTP. Everything below this floor is told the time and handed bytes.

pub mod settings;
