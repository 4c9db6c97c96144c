//! The difference between two versions of a zone: what an IXFR carries (RFC 1995 section 4), a journal keeps, and
//! [`super::snapshot::Snapshot::apply`] applies.

use crate::wire::message::{Record, RecordRef};

use super::records::Records;
use super::serial::Serial;
use super::soa::Timers;

/// Records to remove from one version and to add, to get another. The SOA of the old version is the first removed record,
/// that of the new one the first added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// The old SOA, then the other records that go.
    pub removed: Records,
    /// The new SOA, then the other records that come.
    pub added: Records,
}

impl Delta {
    /// A delta between versions with these SOAs, and nothing else yet.
    pub fn between(old: &Record, new: &Record) -> Delta {
        let only = |soa: &Record| std::iter::once(soa).collect();
        Delta { removed: only(old), added: only(new) }
    }

    /// The serial this delta begins at.
    pub fn from(&self) -> Serial {
        self.removed.first().map(|soa| Timers::read(soa.rdata).serial).unwrap_or_default()
    }

    /// The serial this delta leads to.
    pub fn to(&self) -> Serial {
        self.added.first().map(|soa| Timers::read(soa.rdata).serial).unwrap_or_default()
    }

    /// How many records are removed and added, SOAs included.
    pub fn len(&self) -> usize {
        self.removed.len() + self.added.len()
    }

    /// What goes, and then what comes.
    pub fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        self.removed.iter().chain(self.added.iter())
    }

    /// The same behind the first `at` bytes of it ([`Records::as_bytes`]), each with how many bytes there are up to its end.
    pub fn records_from(&self, at: usize) -> impl Iterator<Item = (usize, RecordRef<'_>)> {
        let removed = self.removed.as_bytes().len();
        let added = self.added.iter_from(at.saturating_sub(removed));
        self.removed.iter_from(at).chain(added.map(move |(end, record)| (removed + end, record)))
    }

    /// Gives back memory for records that did not come.
    pub fn shrink_to_fit(&mut self) {
        self.removed.shrink_to_fit();
        self.added.shrink_to_fit();
    }

    /// Whether not even SOAs are in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
