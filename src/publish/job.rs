//! Preparing changes as work for another thread: large zones take seconds to put together and to compare.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

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
            Change { zone, prepared: outlive(|| prepare(base, proposal, utc)) }
        };
        Done { ticket: self.ticket, changes: self.proposals.into_iter().map(change).collect() }
    }
}

/// Makes an error of a panic: a fault of this program costs one change, and no zone waits for an outcome that never comes. What a
/// panic leaves half done is dropped with the proposal.
fn outlive<T>(work: impl FnOnce() -> Result<T, PublishError>) -> Result<T, PublishError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(PublishError::Panicked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_outcome() {
        assert_eq!(outlive::<()>(|| panic!("a fault of this program")), Err(PublishError::Panicked));
        assert_eq!(outlive(|| Ok(7)), Ok(7));
    }
}
