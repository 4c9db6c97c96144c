//! What a node asks the world to do.

use crate::ask::exchange::Outbox;
use crate::publish::job::Job;
use crate::publish::journal::entry::Entry;

/// Requests to the world, in the order they were made; the driver drains them after every call into the node.
#[derive(Debug, Default)]
pub struct Effects {
    /// Messages to be sent, and exchanges to be ended.
    pub out: Outbox,
    /// Work for other threads; what comes of it returns as [`Input::Prepared`](super::event::Input::Prepared).
    pub jobs: Vec<Job>,
    /// What is to be written down; that it is returns as [`Input::Committed`](super::event::Input::Committed).
    pub commits: Vec<Commit>,
    /// Entries whose loss does no harm: to be written down some time, in order with the commits.
    pub notes: Vec<Entry>,
}

/// Entries that have to be on stable storage before what they tell of is served.
#[derive(Debug)]
pub struct Commit {
    /// Under which its completion is reported.
    pub ticket: u64,
    /// What to write, in this order; all of it or, as far as readers of the journal see, nothing.
    pub entries: Vec<Entry>,
    /// Whether whole contents among these may be written down later, as long as their stamps are written now.
    pub may_be_later: bool,
}
