//! Zone files: which there are, what they hold, and when they change.
//!
//! ```text
//! inotify -> settle -> changes -> reads -> read (a pool of threads) -> load
//!                         ^                  |
//!                         +----- search <----+-> watch: what is reported to the control thread
//!                                  | ^
//!                       what a file v | what becomes of it
//!                       says       roster (of `node`: which zones there are, and what each comes from)
//! ```
//!
//! A file that somebody has open for writing (`lease`) is not read: it is `writers` that has it waited for.
//!
//! One thread, `files`, owns what is known of files and only ever waits for messages; it reads no zone file itself.

pub mod folder;
pub mod load;
pub mod watch;

mod asked;
mod changes;
mod copies;
mod inotify;
mod lease;
mod read;
mod reads;
mod scan;
mod search;
mod settle;
mod trail;
mod turns;
mod watched;
mod writers;
