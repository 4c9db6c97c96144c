//! One version of a zone's content: immutable, cheap to clone, sharing what did not change with the version before.

use std::iter::successors;
use std::sync::Arc;

use crate::wire::hash::{hash_label, hash_name};
use crate::wire::message::{Record, RecordRef};
use crate::wire::name::{Name, NameRef};
use crate::wire::rendered::Rendered;
use crate::wire::rtype::Rtype;

use super::delta::Delta;
use super::digest::Digest;
use super::empty_nonterminal::{Room, link, prune};
use super::fault::Fault;
use super::negative;
use super::owner::{Block, Draft, Owner, Rrset};
use super::prefetch::fetch;
use super::serial::Serial;
use super::signed::Signed;
use super::soa::{self, Timers};
use super::table::{Entry, Place, Table};

/// Where one in so many owners changes, it takes less to put all names in order anew than to find the place of each that changed.
const SORTED_ANEW: usize = 16;

/// Changes ahead of the one at hand that memory is fetched for, in each of two steps.
const AHEAD: usize = 4;

/// A zone's content under one serial.
#[derive(Clone, Debug)]
pub struct Snapshot {
    apex: Arc<Apex>,
    pub(super) table: Table,
    /// What the table has for the apex, which all searches begin at, ...
    pub(super) at_apex: Entry,
    /// ... and for the wildcard right below it, which most that find nothing end at.
    pub(super) apex_wildcard: Option<Entry>,
    /// The order of a signed zone.
    signed: Option<Arc<Signed>>,
    negative: negative::Soa,
    serial: Serial,
    records: u64,
    digest: Digest,
}

/// A zone's name, with what every search in the zone begins with.
#[derive(Debug)]
struct Apex {
    name: Name,
    hash: u64,
    labels: usize,
}

impl Apex {
    fn new(name: Name) -> Apex {
        Apex { hash: hash_name(&name), labels: name.label_count(), name }
    }
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
    /// The zone that a table holds, or why it is none.
    pub(super) fn assemble(
        apex: Name,
        table: Table,
        records: u64,
        digest: Digest,
    ) -> Result<Snapshot, Fault> {
        let apex = Arc::new(Apex::new(apex));
        let Some((at_apex, apex_wildcard)) = begin(&apex, &table) else {
            return Err(Fault::NoSoa(apex.name.clone()));
        };
        let (signed, negative, serial) = (None, negative::Soa::default(), Serial(0));
        let mut snapshot =
            Snapshot { apex, table, at_apex, apex_wildcard, signed, negative, serial, records, digest };
        snapshot.check_apex()?;
        snapshot.serial = snapshot.timers().serial;
        snapshot.index();
        Ok(snapshot)
    }

    /// The zone's name, which is cheap to share.
    pub fn apex(&self) -> &Name {
        &self.apex.name
    }

    /// The hash of the zone's name.
    pub(super) fn apex_hash(&self) -> u64 {
        self.apex.hash
    }

    /// How many labels the zone's name has.
    pub(super) fn apex_labels(&self) -> usize {
        self.apex.labels
    }

    /// The records at the apex; a snapshot always has some.
    pub fn at_apex(&self) -> Owner<'_> {
        self.at_apex.owner()
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
        self.signed.as_deref()
    }

    /// The SOA RRset; a snapshot always has one.
    pub fn soa(&self) -> Rrset<'_> {
        self.at_apex().rrset(Rtype::SOA).unwrap_or(Rrset::empty())
    }

    /// The SOA of negative answers without signatures, rendered; `None` where it cannot be.
    #[inline]
    pub fn negative_soa(&self) -> Option<&Rendered> {
        self.negative.of(|| self.at_apex())
    }

    /// The SOA as a record.
    pub fn soa_record(&self) -> Record {
        let soa = self.soa();
        Record { owner: self.apex().clone(), rtype: Rtype::SOA, ttl: soa.ttl, rdata: soa.first().into() }
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

    /// The owner at a place in the order of [`Snapshot::owners`], or else the first one behind it, to which the place moves.
    pub fn owner_at(&self, place: &mut Place) -> Option<Owner<'_>> {
        self.table.entry_at(place).map(Entry::owner)
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
        let mut changes: Vec<Change<'_>> = Vec::with_capacity(delta.len());
        changes.extend(delta.removed.iter().map(|record| Change::of(record, false)));
        changes.extend(delta.added.iter().map(|record| Change::of(record, true)));
        // In the order of the table, so that neighbours in memory are changed together. Stable: what goes, goes first.
        changes.sort_by(|a, b| a.hash.cmp(&b.hash).then_with(|| a.record.owner.cmp(b.record.owner)));
        let owners = || changes.chunk_by(|a, b| a.hash == b.hash && a.record.owner == b.record.owner);
        let mut next = self.clone();
        next.table.make_room(owners().filter(|changes| changes.iter().any(|change| change.is_added)).count());
        let mut room = Room::default();
        for changes in owners() {
            next.change(changes, &mut room)?;
        }
        next.changed()
    }

    /// How many records the owners have that a change is about, those that lose and gain something twice: what it costs to apply it.
    pub fn touched_by(&self, delta: &Delta) -> u64 {
        let mut last = None;
        let records = delta.removed.iter().chain(delta.added.iter());
        let owners = records.map(|record| record.owner).filter(|owner| last.replace(*owner) != Some(*owner));
        owners.filter_map(|owner| self.owner(owner)).map(Owner::len).sum()
    }

    /// The version where owners have what these blocks say, which are those of different names in the zone, best in the order of their
    /// hashes; one without records takes its owner away. With them come so many names, about.
    pub(super) fn with_blocks(&self, blocks: &[(u64, Block)], new: usize) -> Result<Snapshot, ApplyError> {
        let mut next = self.clone();
        if blocks.len() > self.names() / SORTED_ANEW {
            next.signed = None;
        }
        next.table.make_room(new);
        let mut room = Room::default();
        for (at, (hash, block)) in blocks.iter().enumerate() {
            // Blocks lie in memory as they were read, and each would be waited for.
            if let Some((hash, _)) = blocks.get(at + AHEAD) {
                next.table.fetch_block(*hash);
            }
            if let Some((hash, block)) = blocks.get(at + 2 * AHEAD) {
                next.table.fetch_leaf(*hash);
                fetch(block.as_ptr());
            }
            next.put(*hash, Block::clone(block), &mut room)?;
        }
        next.changed()
    }

    /// Ends a change.
    fn changed(mut self) -> Result<Snapshot, ApplyError> {
        self.take_apex();
        self.check_apex()?;
        self.serial = self.timers().serial;
        self.index();
        Ok(self)
    }

    /// Takes in what the table has now for the apex and its wildcard.
    fn take_apex(&mut self) {
        if let Some(begin) = begin(&self.apex, &self.table) {
            (self.at_apex, self.apex_wildcard) = begin;
        }
    }

    /// Makes what depends on the apex: the order of a signed zone, unless there is one that still fits.
    fn index(&mut self) {
        self.negative = negative::Soa::default();
        let old = self.signed.take();
        let apex = self.at_apex.owner();
        self.signed = match old.filter(|signed| signed.is_for(apex)) {
            Some(mut signed) => {
                Arc::make_mut(&mut signed).settle(apex);
                Some(signed)
            }
            None => Signed::build(apex, &self.table).map(Arc::new),
        };
    }

    /// Makes the changes of one owner.
    fn change(&mut self, changes: &[Change<'_>], room: &mut Room) -> Result<(), ApplyError> {
        let Some(&Change { hash, record: RecordRef { owner: name, .. }, .. }) = changes.first() else {
            return Ok(());
        };
        if !name.is_in(self.apex()) {
            return Err(Fault::OutOfZone(name.to_name()).into());
        }
        let before = self.table.get(hash, name).map(Entry::owner);
        let mut draft = before.map_or(Draft::default(), Draft::of);
        for &Change { record, is_added, .. } in changes {
            let rtype = record.rtype;
            if !is_added {
                if !draft.remove(rtype, record.rdata) {
                    return Err(ApplyError::Missing(name.to_name(), rtype));
                }
                continue;
            }
            if !draft.add(rtype, record.ttl, record.rdata) {
                return Err(ApplyError::Present(name.to_name(), rtype));
            }
        }
        self.put(hash, draft.block(name), room)
    }

    /// Has an owner have what a block says.
    fn put(&mut self, hash: u64, block: Block, room: &mut Room) -> Result<(), ApplyError> {
        let owner = block.clone();
        let now = Owner::new(&owner);
        let name = now.name();
        let meta = now.types().find(|rtype| rtype.is_meta());
        let meta = meta.map(|rtype| Fault::MetaType(name.to_name(), rtype));
        if let Some(fault) = meta.or_else(|| now.fault(self.apex())) {
            return Err(fault.into());
        }
        self.digest.add(now.digest());
        self.records += now.len();
        let is_empty = now.rrsets().next().is_none();
        match self.table.get_mut(hash, name) {
            Some(entry) => {
                self.digest.remove(entry.owner().digest());
                self.records -= entry.owner().len();
                if is_empty && !entry.has_children() && name != &*self.apex.name {
                    prune(&mut self.table, &self.apex.name, name);
                } else {
                    entry.set_block(block);
                }
            }
            None if is_empty => {}
            None => {
                self.table.insert(hash, block);
                link(&mut self.table, &self.apex.name, name, room)?;
            }
        }
        if let Some(signed) = &mut self.signed {
            Arc::make_mut(signed).update(name, self.table.get(hash, name));
        }
        Ok(())
    }

    fn check_apex(&self) -> Result<(), Fault> {
        let apex = || self.apex().clone();
        let owner = self.at_apex();
        owner.rrset(Rtype::SOA).ok_or_else(|| Fault::NoSoa(apex()))?;
        let servers = owner.rrset(Rtype::NS).ok_or_else(|| Fault::NoNs(apex()))?;
        for host in servers.rdatas().filter_map(|data| NameRef::read(data).ok()) {
            let has_dname = |name: &&NameRef| self.owner(name).is_some_and(|owner| owner.has(Rtype::DNAME));
            let mut above = successors(host.parent(), |name| name.parent());
            if self.owner(host).is_some()
                && let Some(above) = above.find(has_dname)
            {
                return Err(Fault::NsBelowDname(host.to_name(), above.to_name()));
            }
        }
        Ok(())
    }

    /// The same content under another serial.
    pub fn with_serial(&self, serial: Serial) -> Snapshot {
        let mut next = self.clone();
        next.serial = serial;
        next.negative = negative::Soa::default();
        if let Some(entry) = next.table.get_mut(self.apex.hash, self.apex()) {
            let mut draft = Draft::of(entry.owner());
            let old = self.soa();
            draft.remove(Rtype::SOA, old.first());
            draft.add(Rtype::SOA, old.ttl, &soa::with_serial(old.first(), serial));
            entry.set_block(draft.block(self.apex()));
        }
        next.take_apex();
        if let Some(signed) = &mut next.signed {
            let signed = Arc::make_mut(signed);
            signed.update(self.apex(), Some(&next.at_apex));
            signed.settle(next.at_apex.owner());
        }
        next
    }
}

/// A record that goes or comes.
#[derive(Clone, Copy)]
struct Change<'r> {
    /// Of its owner.
    hash: u64,
    is_added: bool,
    record: RecordRef<'r>,
}

impl Change<'_> {
    fn of(record: RecordRef<'_>, is_added: bool) -> Change<'_> {
        Change { hash: hash_name(record.owner), is_added, record }
    }
}

/// What a table has for the apex and the wildcard right below it.
fn begin(apex: &Apex, table: &Table) -> Option<(Entry, Option<Entry>)> {
    let is_source = |name: &NameRef| name.is_wildcard() && name.parent() == Some(&apex.name);
    let wildcard = table.find(hash_label(apex.hash, b"*"), is_source).cloned();
    Some((table.get(apex.hash, &apex.name)?.clone(), wildcard))
}
