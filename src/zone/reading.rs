//! A zone's records on their way to a version, from a file or a transfer.

use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::Rtype;

use super::builder::Builder;
use super::edit::Edit;
use super::fault::Fault;
use super::snapshot::Snapshot;

/// Takes records in any order. Where there is a version before, the outcome shares with it all that did not change, and its memory
/// stays where it is.
pub enum Reading {
    /// They are compared with the version before.
    Onto(Box<Edit>),
    /// There is none.
    Anew(Box<Builder>),
}

impl Reading {
    /// Begins to read the zone `apex`, with the version before if there is one.
    pub fn new(apex: &Name, before: Option<Snapshot>) -> Reading {
        match before {
            Some(before) => Reading::Onto(Box::new(Edit::new(before))),
            None => Reading::Anew(Box::new(Builder::new(apex.clone()))),
        }
    }

    /// Takes one record. One outside the zone is left out and told at the end.
    pub fn add(&mut self, owner: &NameRef, rtype: Rtype, ttl: u32, rdata: &[u8]) {
        match self {
            Reading::Onto(edit) => edit.add(owner, rtype, ttl, rdata),
            Reading::Anew(builder) => builder.add(owner, rtype, ttl, rdata),
        }
    }

    /// The version and what was left out of it, or what keeps the records from being a zone, as by [`Builder::finish_within`].
    pub fn finish_within(self, bytes: u64) -> Result<(Snapshot, Vec<Fault>), Vec<Fault>> {
        match self {
            Reading::Onto(edit) => edit.finish_within(bytes),
            Reading::Anew(builder) => builder.finish_within(bytes),
        }
    }
}
