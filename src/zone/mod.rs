//! The data that is served.

pub mod serial;
