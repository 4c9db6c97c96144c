//! One owner name with its RRsets as a single block of bytes: the unit that snapshots share and answers are copied from.
//!
//! ```text
//! block: length of the name u8 | name in wire form | RRset ...
//! RRset: type u16 | count u16 | ttl u32 | length u32 | (RDATA length u16 | RDATA) ...
//! ```
//!
//! Numbers are little-endian; RRsets stand in the order of their types. Signatures are kept apart by the type they cover, in the
//! order of those, since each has the TTL of what it covers (RFC 4034 3): several RRsets of type RRSIG. A block without RRsets
//! is an empty non-terminal (RFC 4592 2.2.2).

use std::collections::HashMap;
use std::sync::Arc;

use crate::wire::message::Record;
use crate::wire::name::NameRef;
use crate::wire::rdata;
use crate::wire::rtype::Rtype;

use super::digest::Digest;
use super::records::Records;

/// The bytes of one owner.
pub(super) type Block = Arc<[u8]>;

/// The length of an RRset's head.
const HEAD: usize = 12;
/// RRsets up to this size are searched for a record one by one; larger ones by hash.
pub(super) const FEW: usize = 16;
/// An RRset with so many records is no zone data ([`super::fault::Fault::TooMany`]), and what it has beyond them is not
/// kept. Each record takes 12 bytes at least, so that not a tenth of them could be sent in an answer.
pub(super) const TOO_MANY: u16 = u16::MAX;

/// A view of an owner name and its RRsets.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'z> {
    block: &'z [u8],
}

/// A view of one RRset.
#[derive(Clone, Copy, Debug)]
pub struct Rrset<'z> {
    /// TYPE.
    pub rtype: Rtype,
    /// TTL in seconds, one for all records (RFC 2181 5.2).
    pub ttl: u32,
    /// How many records, at least one.
    pub count: u16,
    data: &'z [u8],
}

/// An RRset and the signatures over it.
#[derive(Clone, Copy, Debug)]
pub struct SignedRrset<'z> {
    /// The RRset.
    pub set: Rrset<'z>,
    /// The RRSIG records that cover it.
    pub signatures: Option<Rrset<'z>>,
}

impl<'z> Owner<'z> {
    pub(super) fn new(block: &'z [u8]) -> Owner<'z> {
        Owner { block }
    }

    /// The name.
    #[inline]
    pub fn name(self) -> &'z NameRef {
        match self.block.split_first() {
            Some((&length, rest)) if usize::from(length) <= rest.len() => {
                NameRef::wrap_trusted(&rest[..usize::from(length)])
            }
            _ => NameRef::ROOT,
        }
    }

    /// All RRsets, ascending by type.
    pub fn rrsets(self) -> impl Iterator<Item = Rrset<'z>> {
        let mut rest = &self.block[1 + self.name().as_wire().len()..];
        std::iter::from_fn(move || {
            let head: &[u8; HEAD] = rest.first_chunk()?;
            let length = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
            let (data, behind) = rest[HEAD..].split_at_checked(length)?;
            rest = behind;
            Some(Rrset {
                rtype: Rtype(u16::from_le_bytes([head[0], head[1]])),
                count: u16::from_le_bytes([head[2], head[3]]),
                ttl: u32::from_le_bytes([head[4], head[5], head[6], head[7]]),
                data,
            })
        })
    }

    /// The RRset of one type.
    pub fn rrset(self, rtype: Rtype) -> Option<Rrset<'z>> {
        self.rrsets().find(|rrset| rrset.rtype >= rtype).filter(|rrset| rrset.rtype == rtype)
    }

    /// The RRset of one type with its signatures.
    pub fn signed_rrset(self, rtype: Rtype) -> Option<SignedRrset<'z>> {
        let (mut set, mut signatures) = (None, None);
        for rrset in self.rrsets() {
            if rrset.rtype == rtype {
                set = Some(rrset);
            } else if rrset.rtype > rtype && set.is_none() {
                return None;
            } else if rrset.covers() == Some(rtype) {
                signatures = Some(rrset);
            } else if rrset.rtype > rtype.max(Rtype::RRSIG) {
                break;
            }
            if set.is_some() && signatures.is_some() {
                break;
            }
        }
        Some(SignedRrset { set: set?, signatures })
    }

    /// How many records are here.
    pub(super) fn len(self) -> u64 {
        self.rrsets().map(|set| u64::from(set.count)).sum()
    }

    pub(super) fn types(self) -> impl Iterator<Item = Rtype> {
        self.rrsets().map(|set| set.rtype)
    }

    pub(super) fn count(self, rtype: Rtype) -> usize {
        self.rrset(rtype).map_or(0, |set| usize::from(set.count))
    }

    pub(super) fn has(self, rtype: Rtype) -> bool {
        self.rrset(rtype).is_some()
    }

    /// The signatures over the RRset of one type.
    pub fn signatures(self, covered: Rtype) -> Option<Rrset<'z>> {
        self.rrsets().find(|rrset| rrset.covers() == Some(covered))
    }

    /// What this owner has of the type of `set`; for signatures, of the type covered.
    pub fn like(self, set: Rrset<'_>) -> Option<Rrset<'z>> {
        self.rrsets().find(|rrset| rrset.rtype == set.rtype && rrset.covers() == set.covers())
    }

    /// The sum of the digests of all records here.
    pub(super) fn digest(self) -> Digest {
        let mut digest = Digest::default();
        for rrset in self.rrsets() {
            for data in rrset.rdatas() {
                digest.add(Digest::of(self.name(), rrset.rtype, rrset.ttl, data));
            }
        }
        digest
    }

    /// Appends all records here.
    pub(super) fn write_to(self, records: &mut Records) {
        for set in self.rrsets() {
            set.rdatas().for_each(|data| records.push(self.name(), set.rtype, set.ttl, data));
        }
    }

    /// All records here as owned ones.
    pub fn records(self) -> impl Iterator<Item = Record> {
        self.rrsets().flat_map(move |rrset| rrset.records(self.name()))
    }
}

impl<'z> Rrset<'z> {
    /// An RRset without records.
    pub(super) const fn empty() -> Rrset<'z> {
        Rrset { rtype: Rtype(0), ttl: 0, count: 0, data: &[] }
    }

    /// The RDATA of each record.
    pub fn rdatas(self) -> impl Iterator<Item = &'z [u8]> {
        let mut rest = self.data;
        std::iter::from_fn(move || {
            let length = usize::from(u16::from_le_bytes(*rest.first_chunk()?));
            let (data, behind) = rest[2..].split_at_checked(length)?;
            rest = behind;
            Some(data)
        })
    }

    /// The RDATA of the first record, the only one of a SOA, CNAME or DNAME.
    pub fn first(self) -> &'z [u8] {
        self.rdatas().next().unwrap_or_default()
    }

    /// The type that these signatures cover; `None` for any other type than RRSIG.
    pub fn covers(self) -> Option<Rtype> {
        if self.rtype != Rtype::RRSIG {
            return None;
        }
        // The first field of the first record.
        match *self.data {
            [l0, l1, c0, c1, ..] if u16::from_le_bytes([l0, l1]) >= 2 => {
                Some(Rtype(u16::from_be_bytes([c0, c1])))
            }
            _ => Some(Rtype(0)),
        }
    }

    /// The same records with another TTL.
    pub fn with_ttl(self, ttl: u32) -> Rrset<'z> {
        Rrset { ttl, ..self }
    }

    /// The records as owned ones.
    pub fn records(self, owner: &NameRef) -> impl Iterator<Item = Record> {
        self.rdatas().map(move |data| Record {
            owner: owner.to_name(),
            rtype: self.rtype,
            ttl: self.ttl,
            rdata: data.into(),
        })
    }
}

/// An owner being put together or changed.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    sets: Vec<DraftSet>,
}

#[derive(Clone, Debug)]
struct DraftSet {
    rtype: Rtype,
    covered: Rtype,
    ttl: u32,
    /// In the order they came, with a gap for each that was removed.
    data: Vec<Option<Box<[u8]>>>,
    /// How many are no gaps.
    count: usize,
    /// Where data stands, in canonical form; empty until a set of more than [`FEW`] is searched.
    places: HashMap<Box<[u8]>, usize>,
}

impl Draft {
    pub(super) fn of(owner: Owner<'_>) -> Draft {
        let sets = owner.rrsets().map(|set| DraftSet {
            data: set.rdatas().map(|data| Some(data.into())).collect(),
            count: usize::from(set.count),
            ..DraftSet::new(set.rtype, covered(set.rtype, set.first()), set.ttl)
        });
        Draft { sets: sets.collect() }
    }

    /// Adds a record, whose TTL becomes its RRset's; `false` when its data is there already.
    pub(super) fn add(&mut self, rtype: Rtype, ttl: u32, data: &[u8]) -> bool {
        let set = self.set(rtype, ttl, data);
        set.ttl = ttl;
        let is_new = set.find(data).is_none();
        if is_new {
            set.push(data);
        }
        is_new
    }

    /// Removes a record, whatever its TTL; `false` when it is not there.
    pub(super) fn remove(&mut self, rtype: Rtype, data: &[u8]) -> bool {
        let key = (rtype, covered(rtype, data));
        let Some(at) = self.sets.iter().position(|set| set.key() == key) else { return false };
        let set = &mut self.sets[at];
        let Some(place) = set.find(data) else { return false };
        set.clear(place);
        if set.count == 0 {
            self.sets.remove(at);
        }
        true
    }

    /// The set that a record with this data belongs to.
    fn set(&mut self, rtype: Rtype, ttl: u32, data: &[u8]) -> &mut DraftSet {
        let covered = covered(rtype, data);
        let at = self.sets.partition_point(|set| set.key() < (rtype, covered));
        if self.sets.get(at).is_none_or(|set| set.key() != (rtype, covered)) {
            self.sets.insert(at, DraftSet::new(rtype, covered, ttl));
        }
        &mut self.sets[at]
    }

    pub(super) fn block(&self, name: &NameRef) -> Block {
        let mut bytes = Vec::with_capacity(name.as_wire().len() + 64);
        write_name(&mut bytes, name.as_wire());
        for set in &self.sets {
            write_set(&mut bytes, set.rtype, set.ttl, set.data.iter().flatten().map(|data| &**data));
        }
        bytes.into()
    }
}

impl DraftSet {
    fn new(rtype: Rtype, covered: Rtype, ttl: u32) -> DraftSet {
        DraftSet { rtype, covered, ttl, data: Vec::new(), count: 0, places: HashMap::new() }
    }

    fn key(&self) -> (Rtype, Rtype) {
        (self.rtype, self.covered)
    }

    /// Where a record's data stands.
    fn find(&mut self, data: &[u8]) -> Option<usize> {
        let DraftSet { rtype, data: all, places, .. } = self;
        if all.len() <= FEW {
            let is_same = |known: &Option<Box<[u8]>>| {
                known.as_ref().is_some_and(|known| rdata::same(*rtype, known, data))
            };
            return all.iter().position(is_same);
        }
        if places.is_empty() {
            let known = all.iter().enumerate().filter_map(|(at, data)| Some((at, data.as_ref()?)));
            places.extend(known.map(|(at, data)| (Box::from(rdata::canonical(*rtype, data)), at)));
        }
        places.get(&*rdata::canonical(*rtype, data)).copied()
    }

    fn push(&mut self, data: &[u8]) {
        if !self.places.is_empty() {
            self.places.insert(rdata::canonical(self.rtype, data).into(), self.data.len());
        }
        self.data.push(Some(data.into()));
        self.count += 1;
    }

    fn clear(&mut self, place: usize) {
        if let Some(data) = self.data[place].take() {
            self.places.remove(&*rdata::canonical(self.rtype, &data));
            self.count -= 1;
        }
    }
}

/// The type that an RRSIG covers, its first field (RFC 4034 3.1); 0 for all other types.
pub(super) fn covered(rtype: Rtype, data: &[u8]) -> Rtype {
    match (rtype, data) {
        (Rtype::RRSIG, &[high, low, ..]) => Rtype(u16::from_be_bytes([high, low])),
        _ => Rtype(0),
    }
}

/// Begins a block with the owner's name in wire form.
pub(super) fn write_name(bytes: &mut Vec<u8>, name: &[u8]) {
    // A name is at most 255 bytes long (RFC 1035 2.3.4).
    bytes.push(name.len() as u8);
    bytes.extend_from_slice(name);
}

/// Appends one RRset in block form.
pub(super) fn write_set<'a>(
    bytes: &mut Vec<u8>,
    rtype: Rtype,
    ttl: u32,
    rdatas: impl Iterator<Item = &'a [u8]>,
) {
    let head = bytes.len();
    bytes.extend_from_slice(&rtype.0.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&ttl.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    let mut count: u16 = 0;
    for data in rdatas {
        // RDATA is at most 65,535 bytes by its length field.
        let Ok(length) = u16::try_from(data.len()) else { continue };
        if count == TOO_MANY {
            break;
        }
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(data);
        count += 1;
    }
    let length = (bytes.len() - head - HEAD) as u32;
    bytes[head + 2..head + 4].copy_from_slice(&count.to_le_bytes());
    bytes[head + 8..head + HEAD].copy_from_slice(&length.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::name::Name;

    #[test]
    fn a_block_holds_what_was_added() {
        let name: Name = "www.example.".parse().unwrap();
        let mut draft = Draft::default();
        assert!(draft.add(Rtype::TXT, 60, b"\x01b"));
        assert!(draft.add(Rtype::A, 60, &[1; 4]));
        assert!(draft.add(Rtype::A, 30, &[2; 4]));
        assert!(!draft.add(Rtype::A, 30, &[2; 4]));
        let block = draft.block(&name);
        let owner = Owner::new(&block);
        assert_eq!(owner.name(), &*name);
        let a = owner.rrset(Rtype::A).unwrap();
        assert_eq!((a.ttl, a.count, a.rdatas().count()), (30, 2, 2));
        assert_eq!(owner.rrset(Rtype::TXT).unwrap().first(), b"\x01b");
        let mut draft = Draft::of(owner);
        assert!(draft.remove(Rtype::TXT, b"\x01b") && !draft.remove(Rtype::TXT, b"\x01b"));
        assert!(!Owner::new(&draft.block(&name)).has(Rtype::TXT) && !draft.sets.is_empty());
    }

    #[test]
    fn signatures_are_kept_by_the_type_they_cover() {
        let name: Name = "www.example.".parse().unwrap();
        let mut draft = Draft::default();
        for (ttl, data) in [(60, b"\x00\x10b"), (300, b"\x00\x01a"), (60, b"\x00\x10a")] {
            assert!(draft.add(Rtype::RRSIG, ttl, data));
        }
        draft.add(Rtype::TXT, 60, b"\x01b");
        let block = draft.block(&name);
        let owner = Owner::new(&block);
        let ttls: Vec<(u32, u16)> = owner.rrsets().map(|set| (set.ttl, set.count)).collect();
        assert_eq!(ttls, [(60, 1), (300, 1), (60, 2)]);
        assert_eq!(owner.signatures(Rtype::A).unwrap().first(), b"\x00\x01a");
        assert_eq!(
            owner.signatures(Rtype::TXT).map(|set| (set.count, owner.like(set).unwrap().count)),
            Some((2, 2))
        );
        assert!(owner.signatures(Rtype::MX).is_none());
        let mut draft = Draft::of(owner);
        assert!(draft.remove(Rtype::RRSIG, b"\x00\x10a") && !draft.remove(Rtype::RRSIG, b"\x00\x1ca"));
        assert_eq!(draft.block(&name).len(), block.len() - 5);
    }

    #[test]
    fn an_rrset_is_found_with_its_signatures() {
        let name: Name = "www.example.".parse().unwrap();
        let mut draft = Draft::default();
        for rtype in [Rtype::A, Rtype::NSEC, Rtype::DNSKEY] {
            draft.add(rtype, 60, b"data");
        }
        // Over A and DNSKEY, and one that is too short to say.
        for data in [&b"\x00\x01a"[..], b"\x00\x30a", b"\x00"] {
            draft.add(Rtype::RRSIG, 60, data);
        }
        let block = draft.block(&name);
        let find = |rtype| Owner::new(&block).signed_rrset(rtype).map(|found| found.signatures.is_some());
        let found = [Rtype::A, Rtype::TXT, Rtype::NSEC, Rtype::DNSKEY, Rtype::CAA].map(find);
        assert_eq!(found, [Some(true), None, Some(false), Some(true), None]);
    }

    /// Tens of thousands of records in one RRset: searched one by one, this would take minutes.
    #[test]
    fn a_large_set_is_changed_like_a_small_one() {
        let name: Name = "www.example.".parse().unwrap();
        for many in [FEW as u16 / 4, 15_000] {
            let target = |number: u16| format!("\x05h{number:04x}\x00").into_bytes();
            let mut draft = Draft::default();
            assert!((0..2 * many).all(|number| draft.add(Rtype::NS, 60, &target(number))));
            let mut draft = Draft::of(Owner::new(&draft.block(&name)));
            let capitals = |number| target(number).to_ascii_uppercase();
            assert!(!(0..2 * many).any(|number| draft.add(Rtype::NS, 60, &capitals(number))));
            assert!((0..many).all(|number| draft.remove(Rtype::NS, &capitals(2 * number))));
            assert!(!(0..many).any(|number| draft.remove(Rtype::NS, &target(2 * number))));
            assert!((0..many).all(|number| draft.add(Rtype::NS, 60, &target(2 * number))));
            let block = draft.block(&name);
            let odd_before_even = (0..many).map(|n| 2 * n + 1).chain((0..many).map(|n| 2 * n));
            assert!(Owner::new(&block).rrset(Rtype::NS).unwrap().rdatas().eq(odd_before_even.map(target)));
            assert!((0..2 * many).all(|number| draft.remove(Rtype::NS, &target(number))));
            assert!(draft.sets.is_empty());
        }
    }
}
