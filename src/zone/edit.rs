//! A zone's content read anew and compared with the version before while it is read: what differs is kept, and the outcome shares all
//! else with that version. Costs a table probe per owner, and no second copy of the zone.
//!
//! ```text
//!             few owners differ                                    many do
//! comparing -------------------> the base with what differs
//!     `-------------------------------------------------------> building: a table of its own, with the blocks of the base
//! ```
//!
//! Names come in another order than that of the table, so each probe reads memory that is in no cache. The last few owners wait in a
//! queue while the memory that they need is fetched, one step of the way to their block after the other.

use std::collections::VecDeque;

use crate::wire::hash::hash_name;

use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;

use super::builder::Builder;
use super::digest::Digest;
use super::fault::Fault;
use super::owner::{Block, Draft, Owner};
use super::owner_run::Run;
use super::snapshot::Snapshot;
use super::table::{Entry, Mark, Marks};

/// Owners that may differ however small the zone is.
const FEW: usize = 256;
/// Of a larger zone, one in so many owners may differ, and one in so many come or go: with more, a table is laid out anew at less cost.
const CHANGED: usize = 2;
const NEW: usize = 8;
/// How many records outside the zone are told.
const MAX_LEFT_OUT: usize = 20;

/// Owners that wait while the memory for one step of the way to their block is fetched.
const WAIT: usize = 6;
/// The steps: the pointer to the leaf, the leaf, the block.
const STEPS: usize = 3;

/// Takes a zone's records in any order and makes a version of them that shares with an older one. Cheapest when the records of each
/// owner come together, in the order they had in the older version.
pub struct Edit {
    base: Snapshot,
    /// What was met of the base.
    seen: Marks,
    run: Run,
    /// The owners before that of `run`, the newest last, by hash and block.
    waiting: VecDeque<(u64, Vec<u8>)>,
    /// Owners that differ from the base, by hash and block; one that came in pieces is in it with each of them.
    differing: Vec<(u64, Block)>,
    /// Names that come with them, about.
    new: usize,
    /// How many owners may differ, and how many names come or go.
    most: usize,
    most_new: usize,
    left_out: Vec<Fault>,
    /// Takes all that was and is read, once more differs than `most`.
    builder: Option<Builder>,
}

impl Edit {
    /// Begins to compare with a version.
    pub fn new(base: Snapshot) -> Edit {
        Edit {
            seen: Marks::new(&base.table),
            run: Run::with_room(),
            waiting: VecDeque::with_capacity(STEPS * WAIT + 1),
            differing: Vec::new(),
            new: 0,
            most: FEW.max(base.names() / CHANGED),
            most_new: FEW.max(base.names() / NEW),
            left_out: Vec::new(),
            builder: None,
            base,
        }
    }

    /// Takes one record. One outside the zone is left out and told by [`Edit::finish_within`].
    pub fn add(&mut self, owner: &NameRef, rtype: Rtype, ttl: u32, rdata: &[u8]) {
        if self.run.is_empty() || !self.run.is_of(owner) {
            if !owner.is_in(self.base.apex()) {
                if self.left_out.len() < MAX_LEFT_OUT {
                    self.left_out.push(Fault::OutOfZone(owner.to_name()));
                }
                return;
            }
            self.queue();
            self.run.begin(owner);
        }
        self.run.add(rtype, ttl, rdata);
    }

    /// The new version and what was left out of it, or what keeps this from being a zone, as by [`Builder::finish_within`].
    pub fn finish_within(mut self, bytes: u64) -> Result<(Snapshot, Vec<Fault>), Vec<Fault>> {
        self.queue();
        while let Some((hash, block)) = self.waiting.pop_front() {
            self.compare(hash, &block);
        }
        if self.builder.is_none()
            && let Some(snapshot) = self.amended()
        {
            return Ok((snapshot, self.left_out));
        }
        let mut builder = self.builder.take().unwrap_or_else(|| self.build());
        builder.count(self.shared());
        let (snapshot, _) = builder.finish_within(bytes)?;
        Ok((snapshot, self.left_out))
    }

    /// The base with what differs. `None` when that is no zone, which is for the builder to tell, or too many owners come or go.
    fn amended(&mut self) -> Option<Snapshot> {
        self.join_pieces();
        let (base, differing) = (&self.base, &mut self.differing);
        let found = differing.len();
        // An empty non-terminal is in no file.
        let unseen = self.seen.entries(&base.table, Mark::Unseen).map(Entry::owner);
        let gone = unseen.filter(|owner| owner.len() > 0).map(Owner::name);
        let nothing = |name: &NameRef| (hash_name(name), Draft::default().block(name));
        differing.extend(gone.take(self.most_new + 1).map(nothing));
        let snapshot = match differing.len() {
            0 => Some(base.clone()),
            all if all - found > self.most_new => None,
            _ => base.with_blocks(differing, self.new).ok(),
        };
        differing.truncate(found);
        snapshot
    }

    /// Makes one of the pieces of each owner that differs.
    fn join_pieces(&mut self) {
        // Stable: what came first stays first.
        self.differing
            .sort_by(|(a, block), (b, other)| a.cmp(b).then_with(|| name(block).canonical_cmp(name(other))));
        let is_same = |(a, one): &(u64, Block), (b, other): &(u64, Block)| a == b && name(one) == name(other);
        if self.differing.windows(2).any(|pair| is_same(&pair[0], &pair[1])) {
            let owners = self.differing.chunk_by(is_same);
            let joined = owners.filter_map(|pieces| {
                let (hash, first) = pieces.first()?;
                if pieces.len() == 1 {
                    return Some((*hash, Block::clone(first)));
                }
                self.run.begin(name(first));
                pieces.iter().for_each(|(_, piece)| self.run.add_all(Owner::new(piece)));
                Some((*hash, self.run.block().into()))
            });
            self.differing = joined.collect();
        }
    }

    /// Hands all that was read so far to a builder.
    fn build(&mut self) -> Builder {
        let mut builder = Builder::new(self.base.apex().clone());
        for entry in self.seen.entries(&self.base.table, Mark::Shared) {
            builder.share(hash_name(entry.owner().name()), Block::clone(&entry.block));
        }
        std::mem::take(&mut self.differing).into_iter().for_each(|(hash, block)| builder.take(hash, block));
        builder
    }

    /// The digest of what the builder shares, from the side that has less to add up.
    fn shared(&self) -> Digest {
        let (base, seen) = (&self.base, &self.seen);
        let sum = |mark| {
            let mut sum = Digest::default();
            seen.entries(&base.table, mark).for_each(|entry| sum.add(entry.owner().digest()));
            sum
        };
        if seen.count(Mark::Shared) < base.names() / 2 {
            return sum(Mark::Shared);
        }
        let mut shared = base.digest();
        // What the builder has of owners that changed, it counts itself.
        for mark in [Mark::Changed, Mark::Unseen] {
            shared.remove(sum(mark));
        }
        shared
    }

    /// Puts the records at hand into the queue, and compares the owner that has waited longest.
    fn queue(&mut self) {
        if self.run.is_empty() {
            return;
        }
        let hash = hash_name(self.run.name());
        let mut room = match self.waiting.len() {
            len if len < STEPS * WAIT => Vec::new(),
            _ => self.waiting.pop_front().map_or(Vec::new(), |(hash, block)| {
                self.compare(hash, &block);
                block
            }),
        };
        room.clear();
        room.extend_from_slice(self.run.block());
        let table = &self.base.table;
        table.fetch_way(hash);
        self.seen.fetch(table, hash);
        let newest = self.waiting.len();
        let waiting = |age: usize| newest.checked_sub(age).and_then(|at| self.waiting.get(at));
        waiting(WAIT).into_iter().for_each(|(hash, _)| table.fetch_leaf(*hash));
        waiting(2 * WAIT).and_then(|(hash, _)| table.fetch_block(*hash));
        self.waiting.push_back((hash, room));
    }

    /// Compares all the records of an owner that came together.
    fn compare(&mut self, hash: u64, block: &[u8]) {
        let known = self.seen.find(&self.base.table, hash, name(block));
        let is_new = known.is_none();
        if let Some((place, entry)) = known {
            let mark = self.seen.mark(place);
            if mark == Mark::Unseen && *block == *entry.block {
                self.seen.set(place, Mark::Shared);
                if let Some(builder) = &mut self.builder {
                    builder.share(hash, Block::clone(&entry.block));
                }
                return;
            }
            if self.builder.is_none() {
                self.seen.set(place, Mark::Changed);
                // It was found equal, and now more of it comes.
                let equal = (mark == Mark::Shared).then(|| Block::clone(&entry.block));
                self.differing.extend(equal.map(|block| (hash, block)));
            }
        }
        if let Some(builder) = &mut self.builder {
            return builder.take(hash, block.into());
        }
        self.differing.push((hash, block.into()));
        if is_new {
            // What stands above it may be new, too.
            self.new += 1 + missing_above(&self.base, name(block));
        }
        if self.differing.len() > self.most || self.new > self.most_new {
            self.builder = Some(self.build());
        }
    }
}

fn name(block: &[u8]) -> &NameRef {
    Owner::new(block).name()
}

/// How many names above this one the version does not have.
fn missing_above(base: &Snapshot, name: &NameRef) -> usize {
    let is_missing = |above: &&NameRef| base.owner(above).is_none();
    std::iter::successors(name.parent(), |above| above.parent()).take_while(is_missing).count()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::diff::between;
    use super::super::fixture;
    use super::*;
    use crate::wire::message::Record;
    use crate::wire::name::Name;

    type Records = Vec<(u8, u8)>;

    fn feed(serial: u8, records: &Records, mut add: impl FnMut(&NameRef, Rtype, u32, &[u8])) {
        let apex: Name = "example.".parse().unwrap();
        let mut soa = vec![0; 22];
        soa[5] = serial;
        add(&apex, Rtype::SOA, 60, &soa);
        add(&apex, Rtype::NS, 60, b"\x02ns\x00");
        for &(host, data) in records {
            let owner: Name = match host % 3 {
                0 => format!("h{host}.example."),
                1 => format!("a.h{}.example.", host - 1),
                _ => format!("a.b.{host}.example."),
            }
            .parse()
            .unwrap();
            add(&owner, Rtype::A, 60 + u32::from(data / 4), &[data; 4]);
        }
    }

    fn built(serial: u8, records: &Records) -> Snapshot {
        let mut builder = Builder::new("example.".parse().unwrap());
        feed(serial, records, |owner, rtype, ttl, data| builder.add(owner, rtype, ttl, data));
        builder.finish().unwrap().0
    }

    fn edited(base: &Snapshot, serial: u8, records: &Records) -> Snapshot {
        let mut edit = Edit::new(base.clone());
        feed(serial, records, |owner, rtype, ttl, data| edit.add(owner, rtype, ttl, data));
        edit.finish_within(u64::MAX).unwrap().0
    }

    /// How many of the owners of `new` have the block that `old` has.
    fn shared(new: &Snapshot, old: &Snapshot) -> usize {
        let before = |owner: &NameRef| old.table.get(hash_name(owner), owner).map(|entry| &entry.block);
        let is_shared = |entry: &&Entry| {
            before(entry.owner().name()).is_some_and(|block| Arc::ptr_eq(block, &entry.block))
        };
        new.table.iter().filter(is_shared).count()
    }

    proptest! {
        /// However much differs, in names, data and order: the outcome is what building leads to, and shares what is the same.
        #[test]
        fn many_changes_lead_to_what_building_leads_to(
            (changed, gone, new) in (0u32..3_000, 0u32..3_000, 0u32..3_000),
            (step, torn) in (1u32..4, any::<bool>()),
        ) {
            let hosts = |range: std::ops::Range<u32>, data| range.map(move |host| (host, data));
            let records = |serial, hosts: &[(u32, [u8; 4])]| fixture::records("example.", serial, hosts.iter().copied());
            let base = fixture::hosts("example.", 1, hosts(0..3_000, [192, 0, 2, 1])).finish().unwrap().0;
            let mut content: Vec<(u32, [u8; 4])> = hosts(gone..3_000 + new, [192, 0, 2, 1]).collect();
            content.iter_mut().step_by(step as usize).filter(|(host, _)| *host < changed).for_each(|(_, data)| data[3] = 2);
            if torn {
                // Some owners come back, some of them with what the base has.
                let again = content.iter().step_by(7).map(|(host, data)| (*host, [192, 0, 2, 1 + data[3] % 2]));
                content.extend(again.collect::<Vec<_>>());
            }
            let (mut edit, mut builder) = (Edit::new(base.clone()), Builder::new("example.".parse().unwrap()));
            for record in records(2, &content) {
                edit.add(&record.owner, record.rtype, record.ttl, &record.rdata);
                builder.push(&record);
            }
            let (edited, built) = (edit.finish_within(u64::MAX).unwrap().0, builder.finish().unwrap().0);
            prop_assert_eq!(between(&edited, &built), None);
            prop_assert_eq!(
                (edited.digest(), edited.records(), edited.names()),
                (built.digest(), built.records(), built.names())
            );
            let same = built.owners().filter(|owner| {
                let is_same = |before: Owner<'_>| before.records().eq(owner.records());
                base.owner(owner.name()).is_some_and(is_same)
            });
            if !torn {
                prop_assert_eq!(shared(&edited, &base), same.count());
            }
        }
    }

    fn records() -> impl Strategy<Value = Records> {
        proptest::collection::vec((0u8..30, 0u8..8), 0..60)
    }

    proptest! {
        #[test]
        fn an_edit_leads_to_what_building_leads_to(old in records(), new in records(), sorted: bool) {
            let (old, mut new) = (built(1, &old), new);
            if sorted {
                new.sort_unstable();
            }
            let (edit, whole) = (edited(&old, 2, &new), built(2, &new));
            prop_assert_eq!(between(&edit, &whole), None);
            prop_assert_eq!(
                (edit.digest(), edit.serial(), edit.records(), edit.names()),
                (whole.digest(), whole.serial(), whole.records(), whole.names())
            );
            prop_assert_eq!(edited(&edit, 2, &new).digest(), whole.digest());
        }
    }

    #[test]
    fn an_edit_shares_what_did_not_change() {
        let hosts: Records = (0..255).map(|host| (host, 1)).collect();
        let old = built(1, &hosts);
        let mut changed = hosts.clone();
        changed[30].1 = 2;
        let new = edited(&old, 2, &changed);
        let delta = between(&old, &new).unwrap();
        assert_eq!((delta.removed.len(), delta.added.len()), (2, 2));
        assert_eq!(shared(&new, &old), old.names() - 2);
    }

    #[test]
    fn what_is_no_zone_is_told_as_by_the_builder() {
        let old = fixture::hosts("example.", 1, []).finish().unwrap().0;
        let finish = |records: &[Record]| {
            let (mut edit, mut builder) = (Edit::new(old.clone()), Builder::new(old.apex().clone()));
            for record in records {
                edit.add(&record.owner, record.rtype, record.ttl, &record.rdata);
                builder.push(record);
            }
            let (edited, built) = (edit.finish_within(u64::MAX).unwrap_err(), builder.finish().unwrap_err());
            assert_eq!(edited, built);
            edited
        };
        let name = |text: &str| text.parse::<Name>().unwrap();
        assert_eq!(finish(&[]), [Fault::NoSoa(name("example."))]);
        // With few others and with enough to have all of it built.
        for hosts in [1, FEW as u32 + 9] {
            let with = |rtype, rdata: &[u8]| {
                let mut records =
                    fixture::records("example.", 2, (0..hosts).map(|host| (host, [192, 0, 2, 1])));
                records.push(Record { owner: name("h0.example."), rtype, ttl: 60, rdata: rdata.into() });
                finish(&records)
            };
            assert_eq!(with(Rtype::CNAME, b"\0"), [Fault::CnameAndOther(name("h0.example."))]);
            assert_eq!(with(Rtype::ANY, b""), [Fault::MetaType(name("h0.example."), Rtype::ANY)]);
        }
    }
}
