//! The journal on disk: a thread that writes and syncs for all zones at once, and a folder that one process at a time may use.
//!
//! ```text
//! data-dir/node-id           this node's id as a writer, made once
//! data-dir/lock              held while a process runs here
//! data-dir/journal           one file of frames for all zones ([`crate::publish::journal`])
//! data-dir/floors{,.copy}    what was reserved and served, twice ([`crate::publish::journal::floor`])
//! data-dir/content/ID        large contents and changes, which the journal refers to
//! data-dir/NAME.new          a file being written; takes the place of NAME by rename
//! data-dir/NAME.damaged[.N]  what could not be read, kept aside
//!
//! commit -> thread -> floors, synced if serials are reserved -> journal, synced -> floors -> Report::Written
//!               `--> contents (a thread) --^
//! ```

pub mod contents;
pub mod file;
pub mod folder;
pub mod group;
pub mod open;
pub mod rewrite;
pub mod thread;
