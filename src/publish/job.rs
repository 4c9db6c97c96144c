//! Preparing changes as work for another thread: large zones take seconds to put together and to compare.

use std::sync::Arc;

use crate::panic;
use crate::time::Utc;

use super::proposal::{LARGE, Proposal};
use super::stages::{Base, Prepared, PublishError, prepare};
use super::zone::Zone;

/// Proposals to be prepared, each for another zone.
#[derive(Debug)]
pub struct Job {
    ticket: u64,
    utc: Utc,
    proposals: Vec<(Base, Proposal)>,
}

/// What came of a [`Job`].
#[derive(Debug)]
pub struct Done {
    /// The job's ticket.
    pub ticket: u64,
    /// What came of each proposal.
    pub changes: Vec<Change>,
}

/// What came of one proposal.
#[derive(Debug)]
pub struct Change {
    /// The zone.
    pub zone: Arc<Zone>,
    /// The change; `None` where the proposal changes nothing.
    pub prepared: Result<Option<Prepared>, PublishError>,
}

impl Job {
    /// A job that reports under a ticket; `utc` numbers versions by date.
    pub fn new(ticket: u64, utc: Utc, proposals: Vec<(Base, Proposal)>) -> Job {
        Job { ticket, utc, proposals }
    }

    /// Whether it takes so long that other jobs are not to wait for it.
    pub fn is_large(&self) -> bool {
        self.proposals.iter().map(|(_, proposal)| proposal.weight()).sum::<u64>() > LARGE
    }

    /// Does the work.
    pub fn run(self) -> Done {
        let utc = self.utc;
        let change = |(base, proposal): (Base, Proposal)| {
            let zone = Arc::clone(&base.zone);
            // A fault of this program costs one change, and no zone waits for an outcome that never comes.
            let prepared =
                panic::catch(|| prepare(base, proposal, utc)).unwrap_or_else(|error| Err(error.into()));
            Change { zone, prepared }
        };
        Done { ticket: self.ticket, changes: self.proposals.into_iter().map(change).collect() }
    }
}
