//! Records in any order, from a zone file, a transfer or a journal, put together to a snapshot.

use crate::wire::message::Record;
use crate::wire::name::{Name, NameRef, hash_name};
use crate::wire::rtype::Rtype;

use super::digest::Digest;
use super::gather::Run;
use super::owner::{Block, Owner};
use super::snapshot::{Fault, Snapshot, link};
use super::table::{Entry, Table};

/// How many faults of one zone are told.
const MAX_FAULTS: usize = 20;

/// Collects records in any order and makes a snapshot of them. Cheapest when the records of each owner come together.
pub struct Builder {
    apex: Name,
    /// The records of the owner that is being read.
    run: Run,
    /// What has been read, with the hash of its name. An owner that came back is in it more than once.
    blocks: Vec<(u64, Entry)>,
    /// Names whose parent is not the apex: the hash of that parent, their own, and their block.
    deep: Vec<(u64, u64, Block)>,
    /// How many names are right below the apex.
    shallow: usize,
    /// Records taken, those given twice included.
    taken: usize,
    records: u64,
    digest: Digest,
    faults: Vec<Fault>,
    out_of_zone: Vec<Name>,
}

impl Builder {
    /// Starts an empty zone.
    pub fn new(apex: Name) -> Builder {
        Builder {
            apex,
            run: Run::default(),
            blocks: Vec::new(),
            deep: Vec::new(),
            shallow: 0,
            taken: 0,
            records: 0,
            digest: Digest::default(),
            faults: Vec::new(),
            out_of_zone: Vec::new(),
        }
    }

    /// The zone's name.
    pub fn apex(&self) -> &NameRef {
        &self.apex
    }

    /// How many records were taken so far.
    pub fn records(&self) -> usize {
        self.taken
    }

    /// Takes one record. One outside the zone is left out and told by [`Builder::finish`].
    pub fn add(&mut self, owner: &NameRef, rtype: Rtype, ttl: u32, rdata: &[u8]) {
        if self.run.is_empty() || !self.run.is_of(owner) {
            if !owner.is_in(&self.apex) {
                if self.out_of_zone.len() < MAX_FAULTS {
                    self.out_of_zone.push(owner.to_name());
                }
                return;
            }
            self.flush();
            self.run.begin(owner);
        }
        self.run.add(rtype, ttl, rdata);
        self.taken += 1;
    }

    /// Takes an owned record.
    pub fn push(&mut self, record: &Record) {
        self.add(&record.owner, record.rtype, record.ttl, &record.rdata);
    }

    /// Makes the snapshot. Records given twice count once; of differing TTLs in an RRset the lowest counts (RFC 2181 5.2).
    ///
    /// `Err` holds what keeps this from being a zone; the second part of `Ok` what was left out of it.
    pub fn finish(mut self) -> Result<(Snapshot, Vec<Fault>), Vec<Fault>> {
        self.flush();
        let mut blocks = std::mem::take(&mut self.blocks);
        // Stable, so that an owner that came back keeps the order of its records.
        blocks.sort_by_key(|&(hash, _)| hash);
        let collided = self.join_returned(&mut blocks);
        let mut unlinked = std::mem::take(&mut self.deep);
        if collided {
            // Beside names of one hash, hashes do not tell who is whose parent.
            unlinked = blocks.iter().map(|(hash, entry)| (0, *hash, Block::clone(&entry.block))).collect();
        } else {
            let apex = hash_name(&self.apex);
            if let Ok(at) = blocks.binary_search_by_key(&apex, |&(hash, _)| hash) {
                blocks[at].1.add_children(self.shallow);
            }
            unlinked.sort_unstable_by_key(|&(parent, child, _)| (parent, child));
            count_children(&mut blocks, &mut unlinked);
        }
        let mut table = Table::build(blocks);
        for (.., block) in &unlinked {
            link(&mut table, &self.apex, Owner::new(block).name());
        }
        let mut faults = self.faults;
        let made = Snapshot::assemble(self.apex, table, self.records, self.digest);
        let snapshot = match made {
            Ok(snapshot) if faults.is_empty() => snapshot,
            Ok(_) => return Err(faults),
            Err(fault) => {
                faults.insert(0, fault);
                faults.truncate(MAX_FAULTS);
                return Err(faults);
            }
        };
        Ok((snapshot, self.out_of_zone.into_iter().map(Fault::OutOfZone).collect()))
    }

    /// Makes a block of the records at hand.
    fn flush(&mut self) {
        if self.run.is_empty() {
            return;
        }
        for rtype in self.run.types().filter(|rtype| rtype.is_meta()) {
            note(&mut self.faults, || Fault::MetaType(self.run.name().to_name(), rtype));
        }
        let block: Block = self.run.block().into();
        let owner = Owner::new(&block);
        let name = owner.name();
        let hash = hash_name(name);
        self.take_in(owner);
        match name.parent() {
            Some(_) if *name == *self.apex => {}
            Some(parent) if *parent == *self.apex => self.shallow += 1,
            Some(parent) => self.deep.push((hash_name(parent), hash, Block::clone(&block))),
            None => {}
        }
        self.blocks.push((hash, Entry::new(hash, block)));
    }

    /// Counts what an owner has.
    fn take_in(&mut self, owner: Owner<'_>) {
        if let Some(fault) = owner.fault(&self.apex) {
            note(&mut self.faults, || fault);
        }
        self.digest.add(owner.digest());
        self.records += owner.len();
    }

    /// Makes one of the blocks of each owner that came back. Whether two names have one hash.
    fn join_returned(&mut self, blocks: &mut Vec<(u64, Entry)>) -> bool {
        if blocks.windows(2).all(|pair| pair[0].0 != pair[1].0) {
            return false;
        }
        let mut collided = false;
        let mut joined: Vec<(u64, Entry)> = Vec::with_capacity(blocks.len());
        let mut given = std::mem::take(blocks).into_iter().peekable();
        while let Some((hash, first)) = given.next() {
            let mut same = vec![first];
            while let Some((_, entry)) = given.next_if(|&(other, _)| other == hash) {
                same.push(entry);
            }
            while !same.is_empty() {
                let name = same[0].owner().name().to_name();
                let (pieces, others): (Vec<Entry>, Vec<Entry>) =
                    same.into_iter().partition(|entry| *entry.owner().name() == *name);
                collided |= !others.is_empty();
                same = others;
                joined.push((hash, self.join(hash, pieces)));
            }
        }
        *blocks = joined;
        collided
    }

    fn join(&mut self, hash: u64, mut pieces: Vec<Entry>) -> Entry {
        if pieces.len() == 1
            && let Some(only) = pieces.pop()
        {
            return only;
        }
        let name = pieces[0].owner().name().to_name();
        self.run.begin(&name);
        for piece in &pieces {
            self.digest.remove(piece.owner().digest());
            self.records -= piece.owner().len();
            self.run.add_all(piece.owner());
        }
        let again = pieces.len() - 1;
        match name.parent() {
            Some(parent) if name != self.apex && *parent == *self.apex => self.shallow -= again,
            _ => {}
        }
        let block: Block = self.run.block().into();
        self.take_in(Owner::new(&block));
        Entry::new(hash, block)
    }
}

fn note(faults: &mut Vec<Fault>, fault: impl FnOnce() -> Fault) {
    if faults.len() < MAX_FAULTS {
        let fault = fault();
        // An owner that came back has one fault, not two.
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
}

/// Counts every name of `deep` (ascending by the hash of its parent, then its own) at its parent among `blocks` (ascending by
/// hash), and leaves in `deep` those that have no parent yet.
fn count_children(blocks: &mut [(u64, Entry)], deep: &mut Vec<(u64, u64, Block)>) {
    let mut at = 0;
    let mut before = None;
    deep.retain(|(parent, child, block)| {
        // An owner that came back is one name.
        if before.replace((*parent, *child)) == Some((*parent, *child)) {
            return false;
        }
        while blocks.get(at).is_some_and(|(hash, _)| hash < parent) {
            at += 1;
        }
        let name = Owner::new(block).name();
        match blocks.get_mut(at) {
            Some((hash, entry)) if hash == parent && name.parent() == Some(entry.owner().name()) => {
                entry.add_children(1);
                false
            }
            _ => true,
        }
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    /// A zone of these hosts, each `(name, data)` an address, in this order.
    fn zone(hosts: &[(u8, u8)]) -> Snapshot {
        let apex = name("example.");
        let mut builder = Builder::new(apex.clone());
        builder.add(&apex, Rtype::SOA, 60, &[0; 22]);
        builder.add(&apex, Rtype::NS, 60, b"\x02ns\x00");
        for &(host, data) in hosts {
            // Some below others, some below names without data, some in capitals.
            let owner = match host % 4 {
                0 => format!("h{host}.example."),
                1 => format!("H{}.eXample.", host - 1),
                2 => format!("a.h{}.example.", host - 2),
                _ => format!("b.a.n{host}.example."),
            };
            builder.add(&name(&owner), Rtype::A, 60, &[data; 4]);
        }
        builder.finish().unwrap().0
    }

    /// The same, put together record by record.
    fn one_by_one(hosts: &[(u8, u8)]) -> Snapshot {
        let mut zone = zone(&[]);
        for host in hosts {
            let other = super::super::diff::between(&zone, &self::zone(std::slice::from_ref(host)));
            let Some(mut delta) = other else { continue };
            delta.removed.truncate(1);
            delta.added.retain(|record| {
                zone.owner(&record.owner).and_then(|owner| owner.rrset(record.rtype)).is_none_or(|set| {
                    record.rtype == Rtype::SOA || set.rdatas().all(|data| *data != *record.rdata)
                })
            });
            zone = zone.apply(&delta).unwrap();
        }
        zone
    }

    proptest! {
        #[test]
        fn the_order_of_records_does_not_matter(hosts in proptest::collection::vec((0u8..24, 0u8..3), 0..60)) {
            let built = zone(&hosts);
            let changed = one_by_one(&hosts);
            let mut sorted = hosts.clone();
            sorted.sort_unstable();
            for other in [zone(&sorted), changed] {
                prop_assert_eq!((built.digest(), built.records(), built.names()), (other.digest(), other.records(), other.names()));
                for owner in built.owners() {
                    prop_assert!(other.owner(owner.name()).is_some());
                }
            }
            // Counts of children are right: when everything is taken out again, nothing is left.
            let mut emptied = super::super::diff::between(&built, &zone(&[])).map_or_else(|| built.clone(), |delta| built.apply(&delta).unwrap());
            prop_assert_eq!(emptied.names(), 1);
            emptied = emptied.with_serial(emptied.serial().next());
            prop_assert_eq!(emptied.digest(), zone(&[]).digest());
        }
    }

    #[test]
    fn a_large_set_counts_each_record_once() {
        let apex = name("example.");
        let mut builder = Builder::new(apex.clone());
        builder.add(&apex, Rtype::SOA, 60, &[0; 22]);
        for _ in 0..2 {
            for number in 0..100u8 {
                let target = format!("{}{number}.example.", if number % 2 == 0 { "ns" } else { "NS" });
                builder.add(&apex, Rtype::NS, 60 + u32::from(number), name(&target.to_lowercase()).as_wire());
                builder.add(&apex, Rtype::NS, 50 + u32::from(number), name(&target).as_wire());
            }
        }
        let zone = builder.finish().unwrap().0;
        let ns = zone.owner(&apex).unwrap().rrset(Rtype::NS).unwrap();
        assert_eq!((ns.count, ns.ttl, zone.records()), (100, 50, 101));
    }
}
