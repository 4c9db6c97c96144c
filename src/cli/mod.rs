//! The command line: what may be typed ([`args`]), what a command comes to ([`exit`]), how data is shown ([`table`]), how
//! a running node is reached ([`control`]), and a file per command.

pub mod args;
pub mod check;
pub mod completions;
pub mod control;
pub mod demo;
pub mod diagnostics;
pub mod drive;
pub mod exit;
pub mod foreign;
pub mod lag;
pub mod man;
pub mod order;
pub mod reload;
pub mod serve;
pub mod servers;
pub mod status;
pub mod table;
pub mod wait;
