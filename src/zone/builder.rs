//! Makes a snapshot of records that come in any order, or tells why they are no zone.

use std::fmt;

use crate::wire::hash::hash_name;
use crate::wire::message::Record;
use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::Rtype;

use super::digest::Digest;
use super::empty_nonterminal::{Room, count_children, fill, link};
use super::fault::Fault;
use super::owner::{Block, Owner};
use super::owner_run::Run;
use super::snapshot::Snapshot;
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

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Builder({} records of {})", self.taken, self.apex)
    }
}

impl Builder {
    /// Starts an empty zone.
    pub fn new(apex: Name) -> Builder {
        Builder {
            apex,
            run: Run::with_room(),
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
    pub fn apex(&self) -> &Name {
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
    pub fn finish(self) -> Result<(Snapshot, Vec<Fault>), Vec<Fault>> {
        self.finish_in(Room::default())
    }

    /// The same, where the names above those that were taken may need so many bytes.
    pub fn finish_within(self, bytes: u64) -> Result<(Snapshot, Vec<Fault>), Vec<Fault>> {
        self.finish_in(Room::new(bytes))
    }

    fn finish_in(mut self, mut room: Room) -> Result<(Snapshot, Vec<Fault>), Vec<Fault>> {
        self.flush();
        let mut blocks = std::mem::take(&mut self.blocks);
        // Stable, so that an owner that came back keeps the order of its records.
        blocks.sort_by_key(|&(hash, _)| hash);
        let mut collided = self.join_returned(&mut blocks);
        let mut deep = std::mem::take(&mut self.deep);
        if !collided {
            let apex = hash_name(&self.apex);
            if let Ok(at) = blocks.binary_search_by_key(&apex, |&(hash, _)| hash) {
                blocks[at].1.add_children(self.shallow);
            }
            deep.sort_unstable_by_key(|&(parent, child, _)| (parent, child));
            count_children(&mut blocks, &mut deep);
            match fill(&mut blocks, &self.apex, &deep, &mut room).map_err(|fault| vec![fault])? {
                Some(made) if made.is_empty() => {}
                Some(made) => {
                    blocks.extend(made);
                    blocks.sort_unstable_by_key(|&(hash, _)| hash);
                }
                None => collided = true,
            }
        }
        let mut unlinked: Vec<Block> = Vec::new();
        if collided {
            // Beside names of one hash, hashes do not tell who is whose parent: each name is counted by itself.
            for (hash, entry) in &mut blocks {
                let block = Block::clone(&entry.block);
                unlinked.push(Block::clone(&block));
                *entry = Entry::new(*hash, block);
            }
        }
        let mut table = Table::build(blocks);
        if let Some(owner) = table.crowded() {
            return Err(vec![Fault::Crowded(owner.name().to_name())]);
        }
        for block in &unlinked {
            link(&mut table, &self.apex, Owner::new(block).name(), &mut room).map_err(|fault| vec![fault])?;
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
        if !self.run.is_empty() {
            let block: Block = self.run.block().into();
            self.take(hash_name(self.run.name()), block);
        }
    }

    /// Takes all records of an owner that came together, written as a block; `hash` is that of its name.
    pub(super) fn take(&mut self, hash: u64, block: Block) {
        self.take_in(Owner::new(&block));
        self.place(hash, block);
    }

    /// Takes the block of another version of this zone, which is free of faults. Its digest is for the caller to count.
    pub(super) fn share(&mut self, hash: u64, block: Block) {
        self.records += Owner::new(&block).len();
        self.place(hash, block);
    }

    /// Counts what was shared.
    pub(super) fn count(&mut self, shared: Digest) {
        self.digest.add(shared);
    }

    fn place(&mut self, hash: u64, block: Block) {
        match Owner::new(&block).name().parent() {
            Some(_) if *Owner::new(&block).name() == *self.apex => {}
            Some(parent) if *parent == *self.apex => self.shallow += 1,
            Some(parent) => self.deep.push((hash_name(parent), hash, Block::clone(&block))),
            None => {}
        }
        self.blocks.push((hash, Entry::new(hash, block)));
    }

    /// Counts what an owner has.
    fn take_in(&mut self, owner: Owner<'_>) {
        for rtype in owner.types().filter(|rtype| rtype.is_meta()) {
            note(&mut self.faults, || Fault::MetaType(owner.name().to_name(), rtype));
        }
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
            // Stable, as above.
            same.sort_by(|a, b| a.owner().name().canonical_cmp(b.owner().name()));
            let mut names = 0;
            let mut same = same.into_iter().peekable();
            while let Some(first) = same.next() {
                let mut pieces = vec![first];
                while let Some(piece) = same.next_if(|piece| piece.owner().name() == pieces[0].owner().name())
                {
                    pieces.push(piece);
                }
                names += 1;
                joined.push((hash, self.join(hash, pieces)));
            }
            collided |= names > 1;
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

#[cfg(test)]
mod tests;
