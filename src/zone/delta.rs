//! The difference between two versions of a zone: what an IXFR carries (RFC 1995 section 4), a journal keeps, and
//! [`super::snapshot::Snapshot::apply`] applies.

use crate::wire::message::Record;

use super::serial::Serial;
use super::soa::Timers;

/// Records to remove from one version and to add, to get another. The SOA of the old version is the first removed record,
/// that of the new one the first added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The old SOA, then the other records that go.
    pub removed: Vec<Record>,
    /// The new SOA, then the other records that come.
    pub added: Vec<Record>,
}

impl Delta {
    /// The serial this delta begins at.
    pub fn from(&self) -> Serial {
        self.removed.first().map(|soa| Timers::read(&soa.rdata).serial).unwrap_or_default()
    }

    /// The serial this delta leads to.
    pub fn to(&self) -> Serial {
        self.added.first().map(|soa| Timers::read(&soa.rdata).serial).unwrap_or_default()
    }

    /// How many records are removed and added, SOAs included.
    pub fn len(&self) -> usize {
        self.removed.len() + self.added.len()
    }

    /// Whether not even SOAs are in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
