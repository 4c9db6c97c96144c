//! One version of a zone's content: immutable, cheap to clone, sharing what did not change with the version before.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::wire::message::Record;
use crate::wire::name::{Name, NameRef, hash_name};
use crate::wire::rtype::Rtype;

use super::delta::Delta;
use super::digest::Digest;
use super::owner::{Block, Draft, Owner, Rrset};
use super::serial::Serial;
use super::signed::Signed;
use super::soa::{self, Timers};
use super::table::{Entry, Table};

/// A zone's content under one serial.
#[derive(Clone, Debug)]
pub struct Snapshot {
    apex: Arc<Name>,
    pub(super) table: Table,
    /// The order of a signed zone.
    signed: Option<Signed>,
    serial: Serial,
    records: u64,
    digest: Digest,
}

/// Why records do not make a zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No SOA at the apex.
    #[error("zone `{0}` has no SOA record at its apex")]
    NoSoa(Name),
    /// Several SOA records at the apex.
    #[error("zone `{0}` has more than one SOA record")]
    SecondSoa(Name),
    /// A SOA elsewhere.
    #[error("SOA record at `{0}`, which is not the apex")]
    StraySoa(Name),
    /// No NS at the apex.
    #[error("zone `{0}` has no NS record at its apex")]
    NoNs(Name),
    /// A name outside the zone.
    #[error("`{0}` is outside the zone")]
    OutOfZone(Name),
    /// CNAME with other data (RFC 1034 3.6.2, RFC 2181 10.1).
    #[error("`{0}` has a CNAME beside other data")]
    CnameAndOther(Name),
    /// Two of a type that stands alone.
    #[error("`{0}` has more than one {1} record")]
    NotSingle(Name, Rtype),
    /// A type that is no zone data.
    #[error("`{0}` has a record of type {1}, which cannot be zone data")]
    MetaType(Name, Rtype),
}

impl Fault {
    /// Whether a record with this owner and type is (one of those) at fault.
    pub fn concerns(&self, owner: &NameRef, rtype: Rtype) -> bool {
        match self {
            Fault::NoSoa(_) | Fault::NoNs(_) => false,
            Fault::SecondSoa(name) | Fault::StraySoa(name) => rtype == Rtype::SOA && owner == &**name,
            Fault::OutOfZone(name) => owner == &**name,
            Fault::CnameAndOther(name) => owner == &**name && !stands_beside_cname(rtype),
            Fault::NotSingle(name, single) | Fault::MetaType(name, single) => {
                rtype == *single && owner == &**name
            }
        }
    }

    /// What was expected instead.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Fault::NoSoa(apex) => format!("a record `{apex} SOA ...`; is the zone's name right?"),
            Fault::NoNs(apex) => format!("at least one record `{apex} NS ...`"),
            Fault::SecondSoa(_) => "one SOA record".to_owned(),
            Fault::StraySoa(_) => "the SOA at the apex only; a child zone has a file of its own".to_owned(),
            Fault::OutOfZone(_) => "a name in the zone; is a final dot too many or missing?".to_owned(),
            Fault::CnameAndOther(_) => "the CNAME alone, or the other records without it".to_owned(),
            Fault::NotSingle(..) => "one of them".to_owned(),
            Fault::MetaType(..) => return None,
        })
    }
}

/// Whether the type may stand beside a CNAME (RFC 4034 3 and 4, RFC 2535 2.3.5).
pub fn stands_beside_cname(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::RRSIG | Rtype::NSEC | Rtype::KEY)
}

/// Why a delta does not fit a snapshot. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// It begins at another serial.
    #[error("delta begins at serial {found}, the zone has {have}")]
    WrongSerial {
        /// What the zone has.
        have: Serial,
        /// Where the delta begins.
        found: Serial,
    },
    /// It removes what is not there.
    #[error("delta removes {0}/{1}, which is not in the zone")]
    Missing(Name, Rtype),
    /// It adds what is there.
    #[error("delta adds {0}/{1}, which is in the zone already")]
    Present(Name, Rtype),
    /// The outcome is not a zone.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Snapshot {
    /// The zone's name.
    pub fn apex(&self) -> &NameRef {
        &self.apex
    }

    /// The SOA serial.
    pub fn serial(&self) -> Serial {
        self.serial
    }

    /// How many records.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The digest of the content.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What proves absence here; `None` for an unsigned zone.
    pub fn signed(&self) -> Option<&Signed> {
        self.signed.as_ref()
    }

    /// The SOA RRset; a snapshot always has one.
    pub fn soa(&self) -> Rrset<'_> {
        self.owner(&self.apex).and_then(|owner| owner.rrset(Rtype::SOA)).unwrap_or(Rrset::empty())
    }

    /// The SOA as a record.
    pub fn soa_record(&self) -> Record {
        let soa = self.soa();
        Record { owner: Name::clone(&self.apex), rtype: Rtype::SOA, ttl: soa.ttl, rdata: soa.first().into() }
    }

    /// The SOA's numbers.
    pub fn timers(&self) -> Timers {
        Timers::read(self.soa().first())
    }

    /// The owner with exactly this name.
    pub fn owner(&self, name: &NameRef) -> Option<Owner<'_>> {
        self.table.get(hash_name(name), name).map(Entry::owner)
    }

    /// All owners, empty non-terminals included, in no order that means anything.
    pub fn owners(&self) -> impl Iterator<Item = Owner<'_>> {
        self.table.iter().map(Entry::owner)
    }

    /// How many names, empty non-terminals included.
    pub fn names(&self) -> usize {
        self.table.len()
    }

    /// The version after a delta. All of it applies or nothing does.
    pub fn apply(&self, delta: &Delta) -> Result<Snapshot, ApplyError> {
        if delta.from() != self.serial {
            return Err(ApplyError::WrongSerial { have: self.serial, found: delta.from() });
        }
        let mut changes: BTreeMap<&NameRef, (Vec<&Record>, Vec<&Record>)> = BTreeMap::new();
        for record in &delta.removed {
            changes.entry(&record.owner).or_default().0.push(record);
        }
        for record in &delta.added {
            changes.entry(&record.owner).or_default().1.push(record);
        }
        let mut next = self.clone();
        next.serial = delta.to();
        for (name, (removed, added)) in changes {
            next.change(name, &removed, &added)?;
        }
        next.check_apex()?;
        next.index();
        Ok(next)
    }

    /// Makes the order of a signed zone, unless there is one that still fits.
    fn index(&mut self) {
        let Some(apex) = self.owner(&self.apex) else { return };
        if !self.signed.as_ref().is_some_and(|signed| signed.is_for(apex)) {
            self.signed = Signed::build(apex, &self.table);
        }
    }

    fn change(&mut self, name: &NameRef, removed: &[&Record], added: &[&Record]) -> Result<(), ApplyError> {
        if !name.is_in(&self.apex) {
            return Err(Fault::OutOfZone(name.to_name()).into());
        }
        let hash = hash_name(name);
        let mut draft = Draft::default();
        if let Some(entry) = self.table.get(hash, name) {
            draft = Draft::of(entry.owner());
            self.digest.remove(entry.owner().digest());
        }
        for record in removed {
            if !draft.remove(record.rtype, &record.rdata) {
                return Err(ApplyError::Missing(name.to_name(), record.rtype));
            }
            self.records -= 1;
        }
        for record in added {
            if record.rtype.is_meta() {
                return Err(Fault::MetaType(name.to_name(), record.rtype).into());
            }
            if !draft.add(record.rtype, record.ttl, &record.rdata) {
                return Err(ApplyError::Present(name.to_name(), record.rtype));
            }
            self.records += 1;
        }
        if let Some(fault) = draft.fault(name, &self.apex) {
            return Err(fault.into());
        }
        let block = draft.block(name);
        self.digest.add(Owner::new(&block).digest());
        match self.table.get_mut(hash, name) {
            Some(entry) if draft.is_empty() && !entry.has_children() => {
                prune(&mut self.table, &self.apex, name)
            }
            Some(entry) => entry.set_block(block),
            None if draft.is_empty() => {}
            None => {
                self.table.insert(hash, block);
                link(&mut self.table, &self.apex, name);
            }
        }
        if let Some(signed) = &mut self.signed {
            signed.update(name, self.table.get(hash, name));
        }
        Ok(())
    }

    fn check_apex(&self) -> Result<(), Fault> {
        let apex = || Name::clone(&self.apex);
        let owner = self.owner(&self.apex).ok_or_else(|| Fault::NoSoa(apex()))?;
        owner.rrset(Rtype::SOA).ok_or_else(|| Fault::NoSoa(apex()))?;
        owner.rrset(Rtype::NS).ok_or_else(|| Fault::NoNs(apex()))?;
        Ok(())
    }

    /// The same content under another serial.
    pub fn with_serial(&self, serial: Serial) -> Snapshot {
        let mut next = self.clone();
        next.serial = serial;
        let hash = hash_name(&self.apex);
        if let Some(entry) = next.table.get_mut(hash, &self.apex) {
            let mut draft = Draft::of(entry.owner());
            let old = self.soa();
            draft.remove(Rtype::SOA, old.first());
            draft.add(Rtype::SOA, old.ttl, &soa::with_serial(old.first(), serial));
            entry.set_block(draft.block(&self.apex));
        }
        if let Some(signed) = &mut next.signed {
            signed.update(&self.apex, next.table.get(hash, &self.apex));
        }
        next
    }
}

impl Draft {
    /// What this owner breaks by itself.
    fn fault(&self, name: &NameRef, apex: &NameRef) -> Option<Fault> {
        if self.has(Rtype::SOA) && name != apex {
            return Some(Fault::StraySoa(name.to_name()));
        }
        if self.count(Rtype::SOA) > 1 {
            return Some(Fault::SecondSoa(name.to_name()));
        }
        if let Some(rtype) = [Rtype::CNAME, Rtype::DNAME].into_iter().find(|&rtype| self.count(rtype) > 1) {
            return Some(Fault::NotSingle(name.to_name(), rtype));
        }
        let others = |rtype: Rtype| rtype != Rtype::CNAME && !stands_beside_cname(rtype);
        (self.has(Rtype::CNAME) && self.types().any(others)).then(|| Fault::CnameAndOther(name.to_name()))
    }
}

/// Counts a new name at its parent, making the empty non-terminals between it and the nearest name that exists.
fn link(table: &mut Table, apex: &NameRef, name: &NameRef) {
    let mut child = name;
    while child != apex {
        let Some(parent) = child.parent() else { return };
        let hash = hash_name(parent);
        if let Some(entry) = table.get_mut(hash, parent) {
            entry.add_child();
            return;
        }
        table.insert(hash, Draft::default().block(parent));
        if let Some(entry) = table.get_mut(hash, parent) {
            entry.add_child();
        }
        child = parent;
    }
}

/// Removes a name without data and children, and every empty non-terminal that is left without children by that.
fn prune(table: &mut Table, apex: &NameRef, name: &NameRef) {
    let mut gone = name;
    while gone != apex {
        table.remove(hash_name(gone), gone);
        let Some(parent) = gone.parent() else { return };
        let Some(entry) = table.get_mut(hash_name(parent), parent) else { return };
        entry.remove_child();
        if entry.has_children() || entry.owner().rrsets().next().is_some() {
            return;
        }
        gone = parent;
    }
}

/// Collects records in any order and makes a snapshot of them.
pub struct Builder {
    apex: Name,
    /// Owner, type, TTL, RDATA of each record, back to back.
    arena: Vec<u8>,
    index: Vec<Slot>,
    out_of_zone: Vec<Name>,
}

struct Slot {
    hash: u64,
    at: usize,
    rtype: Rtype,
    owner: u8,
    rdata: u16,
    ttl: u32,
}

/// How many faults of one zone are told.
const MAX_FAULTS: usize = 20;

impl Builder {
    /// Starts an empty zone.
    pub fn new(apex: Name) -> Builder {
        Builder { apex, arena: Vec::new(), index: Vec::new(), out_of_zone: Vec::new() }
    }

    /// The zone's name.
    pub fn apex(&self) -> &NameRef {
        &self.apex
    }

    /// How many records were taken so far.
    pub fn records(&self) -> usize {
        self.index.len()
    }

    /// Takes one record. One outside the zone is left out and told by [`Builder::finish`].
    pub fn add(&mut self, owner: &NameRef, rtype: Rtype, ttl: u32, rdata: &[u8]) {
        if !owner.is_in(&self.apex) {
            if self.out_of_zone.len() < MAX_FAULTS {
                self.out_of_zone.push(owner.to_name());
            }
            return;
        }
        let Ok(length) = u16::try_from(rdata.len()) else { return };
        let at = self.arena.len();
        self.arena.extend_from_slice(owner.as_wire());
        self.arena.extend_from_slice(rdata);
        let owner_length = owner.as_wire().len() as u8;
        self.index.push(Slot { hash: hash_name(owner), at, rtype, owner: owner_length, rdata: length, ttl });
    }

    /// Takes an owned record.
    pub fn push(&mut self, record: &Record) {
        self.add(&record.owner, record.rtype, record.ttl, &record.rdata);
    }

    /// Makes the snapshot. Records given twice count once; of differing TTLs in an RRset the lowest counts (RFC 2181 5.2).
    ///
    /// `Err` holds what keeps this from being a zone; the second part of `Ok` what was left out of it.
    pub fn finish(mut self) -> Result<(Snapshot, Vec<Fault>), Vec<Fault>> {
        let mut faults = Vec::new();
        let mut index = std::mem::take(&mut self.index);
        // Stable, so that records of one RRset keep the order they came in.
        index.sort_by_key(|slot| (slot.hash, slot.rtype));
        let mut blocks = Vec::with_capacity(index.len() / 2);
        let mut digest = Digest::default();
        let mut records = 0;
        let mut draft = Draft::default();
        for same_hash in index.chunk_by(|a, b| a.hash == b.hash) {
            let name = self.name(&same_hash[0]);
            let one_name = same_hash.iter().all(|slot| self.name(slot) == name);
            let mut add = |name: &NameRef, slots: &mut dyn Iterator<Item = &Slot>| {
                draft.clear();
                for slot in slots {
                    if slot.rtype.is_meta() {
                        faults.push(Fault::MetaType(name.to_name(), slot.rtype));
                    }
                    records += u64::from(draft.add_lowest(slot.rtype, slot.ttl, self.rdata(slot)));
                }
                faults.extend(draft.fault(name, &self.apex));
                let block = draft.block(name);
                digest.add(Owner::new(&block).digest());
                blocks.push((same_hash[0].hash, block));
            };
            if one_name {
                add(name, &mut same_hash.iter());
            } else {
                let names: std::collections::BTreeSet<&NameRef> =
                    same_hash.iter().map(|slot| self.name(slot)).collect();
                for name in names {
                    add(name, &mut same_hash.iter().filter(|slot| self.name(slot) == name));
                }
            }
        }
        let names: Vec<Block> = blocks.iter().map(|(_, block)| Block::clone(block)).collect();
        let mut table = Table::build(blocks);
        for block in &names {
            link(&mut table, &self.apex, Owner::new(block).name());
        }
        let mut snapshot =
            Snapshot { apex: Arc::new(self.apex), table, signed: None, serial: Serial(0), records, digest };
        snapshot.index();
        if let Err(fault) = snapshot.check_apex() {
            faults.insert(0, fault);
        }
        if !faults.is_empty() {
            faults.truncate(MAX_FAULTS);
            return Err(faults);
        }
        let serial = snapshot.timers().serial;
        Ok((Snapshot { serial, ..snapshot }, self.out_of_zone.into_iter().map(Fault::OutOfZone).collect()))
    }

    fn name(&self, slot: &Slot) -> &NameRef {
        NameRef::read_trusted(&self.arena[slot.at..slot.at + usize::from(slot.owner)])
    }

    fn rdata(&self, slot: &Slot) -> &[u8] {
        &self.arena[slot.at + usize::from(slot.owner)..][..usize::from(slot.rdata)]
    }
}
