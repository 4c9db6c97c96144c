//! What asks to become a zone's next version: content from a zone file or from a transfer, with what its source says of it.

use crate::time::Utc;
use crate::wire::name::Name;
use crate::zone::serial::Policy;
use crate::zone::snapshot::Snapshot;
use crate::zone::stamp::Stamp;

use super::transferred::Transferred;

/// A change of more records is work for a thread of its own.
pub(super) const LARGE: u64 = 10_000;

/// A change that has not been checked yet.
#[derive(Debug)]
pub struct Proposal {
    /// The zone.
    pub zone: Name,
    /// What it is to hold.
    pub content: Content,
    /// Where that comes from, which decides its serial and its stamp.
    pub source: Source,
}

/// The content that a proposal brings.
#[derive(Debug)]
pub enum Content {
    /// A whole zone.
    Whole(Snapshot),
    /// The records of a whole zone, to be put together.
    Records(Transferred),
    /// The steps from what is served.
    Differences(Transferred),
}

/// What a zone file holds.
#[derive(Clone, Debug)]
pub struct ZoneFile {
    /// Its content.
    pub content: Snapshot,
    /// When it, or a file that it includes, was changed last, by the file system.
    pub edited: Option<Utc>,
}

/// Where a proposal comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A zone file: this node publishes it.
    File {
        /// By which it gets its serial.
        policy: Policy,
        /// When the file was changed.
        edited: Option<Utc>,
    },
    /// Another server.
    Transfer {
        /// The stamps that it told.
        told: Vec<Stamp>,
        /// From when on EXPIRE is counted. It is written down with the content: after a crash nothing else would tell how much of
        /// EXPIRE the server that it was pulled from had used up itself.
        counted_from: Option<Utc>,
        /// Whether an operator wants it even if its serial is older than what is served.
        is_forced: bool,
    },
}

impl Proposal {
    /// Proposes what a zone file holds.
    pub fn file(content: Snapshot, policy: Policy) -> Proposal {
        Proposal {
            zone: content.apex().clone(),
            content: Content::Whole(content),
            source: Source::File { policy, edited: None },
        }
    }

    /// The same, of a file that was changed at this moment.
    pub fn edited(mut self, at: Option<Utc>) -> Proposal {
        if let Source::File { edited, .. } = &mut self.source {
            *edited = at;
        }
        self
    }

    /// What a zone file holds.
    pub fn whole(&self) -> Option<&Snapshot> {
        match &self.content {
            Content::Whole(content) => Some(content),
            Content::Records(_) | Content::Differences(_) => None,
        }
    }

    /// Proposes the records that an AXFR brought, with the stamp of their version where the primary told it.
    pub fn axfr(records: Transferred, told: Option<Stamp>) -> Proposal {
        Proposal {
            zone: records.apex().clone(),
            content: Content::Records(records),
            source: Source::Transfer {
                told: told.into_iter().collect(),
                counted_from: None,
                is_forced: false,
            },
        }
    }

    /// Proposes what an IXFR brought, with the stamps of the versions it leads to as far as the primary told them.
    pub fn ixfr(differences: Transferred, told: Vec<Stamp>) -> Proposal {
        Proposal {
            zone: differences.apex().clone(),
            content: Content::Differences(differences),
            source: Source::Transfer { told, counted_from: None, is_forced: false },
        }
    }

    /// The same, of which EXPIRE is counted from this moment on.
    pub fn counted_from(mut self, at: Utc) -> Proposal {
        if let Source::Transfer { counted_from, .. } = &mut self.source {
            *counted_from = Some(at);
        }
        self
    }

    /// The same, which is to be served even if its serial is older than what is.
    pub fn whatever_its_serial(mut self) -> Proposal {
        if let Source::Transfer { is_forced, .. } = &mut self.source {
            *is_forced = true;
        }
        self
    }

    /// Whether preparing it takes so long that other zones are not to wait for it.
    pub fn is_large(&self) -> bool {
        self.weight() > LARGE
    }

    /// How many records have to be looked at to prepare it, about.
    pub(super) fn weight(&self) -> u64 {
        match &self.content {
            Content::Whole(snapshot) => snapshot.records(),
            Content::Records(transferred) | Content::Differences(transferred) => transferred.weight(),
        }
    }
}
