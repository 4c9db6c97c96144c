//! Consecutive records of one owner on their way into a block: zone files and transfers nearly always bring an owner's records
//! together, so that nothing has to be sorted or boxed before the block can be written.

use std::collections::HashSet;

use crate::wire::name::{MAX_NAME, NameRef};
use crate::wire::rdata;
use crate::wire::rtype::Rtype;

use super::owner::{FEW, Owner, covered, write_name, write_set};

/// The records of one owner, in the order they came.
#[derive(Debug, Default)]
pub(super) struct Run {
    owner: Vec<u8>,
    /// RDATA, back to back.
    data: Vec<u8>,
    records: Vec<Held>,
    block: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    rtype: Rtype,
    /// What a signature covers: each has an RRset of its own.
    covered: Rtype,
    ttl: u32,
    at: usize,
    length: u16,
    /// Given before; its TTL counts all the same.
    again: bool,
}

impl Run {
    /// Without records, with room for those of most owners: very many zones are so small that finding it would be much of the work.
    pub(super) fn with_room() -> Run {
        Run {
            owner: Vec::with_capacity(MAX_NAME),
            data: Vec::with_capacity(MAX_NAME),
            records: Vec::with_capacity(8),
            block: Vec::with_capacity(2 * MAX_NAME),
        }
    }

    /// Whether it is (still) without records.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether these are records of this owner.
    pub(super) fn is_of(&self, owner: &NameRef) -> bool {
        self.owner.eq_ignore_ascii_case(owner.as_wire())
    }

    /// Begins anew with another owner.
    pub(super) fn begin(&mut self, owner: &NameRef) {
        self.owner.clear();
        self.owner.extend_from_slice(owner.as_wire());
        self.data.clear();
        self.records.clear();
    }

    /// Takes a record. Data longer than RDATA can be is no record.
    pub(super) fn add(&mut self, rtype: Rtype, ttl: u32, data: &[u8]) {
        let Ok(length) = u16::try_from(data.len()) else { return };
        let covered = covered(rtype, data);
        self.records.push(Held { rtype, covered, ttl, at: self.data.len(), length, again: false });
        self.data.extend_from_slice(data);
    }

    /// Takes all records that a block holds.
    pub(super) fn add_all(&mut self, owner: Owner<'_>) {
        for set in owner.rrsets() {
            set.rdatas().for_each(|data| self.add(set.rtype, set.ttl, data));
        }
    }

    /// The owner.
    pub(super) fn name(&self) -> &NameRef {
        NameRef::read_trusted(&self.owner)
    }

    /// Writes the block: records given twice count once; of differing TTLs in an RRset the lowest counts (RFC 2181 5.2).
    pub(super) fn block(&mut self) -> &[u8] {
        let Run { owner, data, records, block } = self;
        // Stable, so that records of one RRset keep the order they came in.
        if !records.is_sorted_by_key(Held::key) {
            records.sort_by_key(Held::key);
        }
        block.clear();
        write_name(block, owner);
        let rdata = |record: &Held| &data[record.at..record.at + usize::from(record.length)];
        for set in records.chunk_by_mut(|a, b| a.key() == b.key()) {
            let rtype = set[0].rtype;
            mark_repeated(rtype, set, data);
            let ttl = set.iter().map(|record| record.ttl).min().unwrap_or_default();
            write_set(block, rtype, ttl, set.iter().filter(|record| !record.again).map(rdata));
        }
        block
    }
}

impl Held {
    /// The RRset that a record belongs to.
    fn key(&self) -> (Rtype, Rtype) {
        (self.rtype, self.covered)
    }
}

/// Marks every record of an RRset that says what one before it said.
fn mark_repeated(rtype: Rtype, set: &mut [Held], data: &[u8]) {
    let rdata = |record: &Held| &data[record.at..record.at + usize::from(record.length)];
    if set.len() <= FEW {
        for index in 1..set.len() {
            let (before, [record, ..]) = set.split_at_mut(index) else { return };
            record.again = before.iter().any(|known| rdata::same(rtype, rdata(known), rdata(record)));
        }
        return;
    }
    let mut known = HashSet::with_capacity(set.len());
    for record in set {
        record.again = !known.insert(rdata::canonical(rtype, rdata(record)));
    }
}
