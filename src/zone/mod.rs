//! The data: zones, and the text they are written in.

pub mod file;
pub mod lexer;
pub mod rdata;
