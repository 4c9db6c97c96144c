//! A zone's content read anew and compared with the version before while it is read: only what differs is kept, and the outcome
//! shares all else with that version. Costs a table probe per owner, and no second copy of the zone.
//!
//! Names come in another order than that of the table, so each probe reads memory that is in no cache. The last few owners wait in a
//! queue while the memory that they need is fetched, one step of the way to their block after the other.

use std::collections::{BTreeMap, VecDeque};

use crate::wire::hash::hash_name;

use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::Rtype;

use super::delta::Delta;
use super::diff::compare;
use super::fault::Fault;
use super::owner::Owner;
use super::owner_run::Run;
use super::snapshot::Snapshot;
use super::table::Marks;

/// Owners that may differ however small the zone is.
const FEW: usize = 256;
/// Of a larger zone, one in so many owners may differ: with more, building it from scratch is cheaper.
const ONE_IN: usize = 8;
/// How many records outside the zone are told.
const MAX_LEFT_OUT: usize = 20;

/// Owners that wait while the memory for one step of the way to their block is fetched.
const WAIT: usize = 6;
/// The steps: the pointer to the leaf, the leaf, the block.
const STEPS: usize = 3;

/// Takes a zone's records in any order and finds what turns an older version into them. Cheapest when the records of each
/// owner come together, in the order they had in the older version.
pub struct Edit {
    base: Snapshot,
    seen: Marks,
    run: Run,
    /// The owners before that of `run`, the newest last, by hash and block.
    waiting: VecDeque<(u64, Vec<u8>)>,
    /// Owners that differ from the base, or came in several pieces.
    differing: BTreeMap<Name, Run>,
    most: usize,
    left_out: Vec<Fault>,
}

impl Edit {
    /// Begins to compare with a version.
    pub fn new(base: Snapshot) -> Edit {
        Edit {
            seen: Marks::new(&base.table),
            run: Run::with_room(),
            waiting: VecDeque::with_capacity(STEPS * WAIT + 1),
            differing: BTreeMap::new(),
            most: FEW.max(base.names() / ONE_IN),
            left_out: Vec::new(),
            base,
        }
    }

    /// Whether so much differs that [`Edit::finish`] will have nothing; further records change nothing about that.
    pub fn is_hopeless(&self) -> bool {
        self.differing.len() > self.most
    }

    /// Takes one record. One outside the zone is left out and told by [`Edit::finish`].
    pub fn add(&mut self, owner: &NameRef, rtype: Rtype, ttl: u32, rdata: &[u8]) {
        if self.run.is_empty() || !self.run.is_of(owner) {
            if self.is_hopeless() {
                return;
            }
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

    /// The new version, and what was left out of it. `None` when it is no zone or has little in common with the older
    /// version; [`super::builder::Builder`] then makes it or tells what is wrong.
    pub fn finish(mut self) -> Option<(Snapshot, Vec<Fault>)> {
        self.queue();
        while let Some((hash, block)) = self.waiting.pop_front() {
            self.compare(hash, &block);
        }
        if self.is_hopeless() {
            return None;
        }
        let base = &self.base;
        // What stands above new names may be new, too.
        let new = self.differing.keys().map(|name| missing_above(base, name));
        if new.sum::<usize>() > self.most {
            return None;
        }
        let soa = base.soa_record();
        let mut delta = Delta { removed: vec![soa.clone()], added: vec![soa] };
        for (name, run) in &mut self.differing {
            if run.types().any(Rtype::is_meta) {
                return None;
            }
            let now = Owner::new(run.block());
            if now.fault(base.apex()).is_some() {
                return None;
            }
            if name == base.apex() {
                let soa = now.rrset(Rtype::SOA)?;
                delta.added[0] = soa.records(base.apex()).next()?;
            }
            match base.owner(name) {
                Some(before) => compare(&mut delta, name, before, now),
                None => delta.added.extend(now.records()),
            }
        }
        let mut gone = 0;
        for entry in self.seen.missing(&base.table) {
            let before = delta.removed.len();
            delta.removed.extend(entry.owner().records());
            // An empty non-terminal is in no file.
            gone += usize::from(delta.removed.len() > before);
            // A small file in the place of a large zone would have nearly all owners taken out, one by one.
            if gone > self.most {
                return None;
            }
        }
        let unchanged = delta.len() == 2 && delta.removed[0] == delta.added[0];
        let snapshot = if unchanged { base.clone() } else { base.apply(&delta).ok()? };
        Some((snapshot, self.left_out))
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
        let now = Owner::new(block);
        let known = self.seen.find(&self.base.table, hash, now.name());
        let mut before = None;
        if let Some((place, entry)) = known {
            let is_first = self.seen.mark(place);
            if is_first && *block == *entry.block {
                return;
            }
            // It was found equal, and now more of it comes.
            before = Some(entry.owner()).filter(|_| !is_first);
        }
        let run = self.differing.entry(now.name().to_name()).or_insert_with_key(|name| {
            let mut run = Run::default();
            run.begin(name);
            before.into_iter().for_each(|owner| run.add_all(owner));
            run
        });
        run.add_all(now);
    }
}

/// How many names above this one the version does not have.
fn missing_above(base: &Snapshot, name: &NameRef) -> usize {
    let is_missing = |above: &&NameRef| base.owner(above).is_none();
    std::iter::successors(name.parent(), |above| above.parent()).take_while(is_missing).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::builder::Builder;
    use super::super::diff::between;
    use super::super::fixture;
    use super::*;

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
        edit.finish().unwrap().0
    }

    #[test]
    fn what_is_left_of_a_large_zone_is_built_anew() {
        let hosts = |count| (0..count).map(|host| (host, [192, 0, 2, 1]));
        let base = fixture::hosts("example.", 1, hosts(1_000)).finish().unwrap().0;
        let finish = |left: u32| {
            let mut edit = Edit::new(base.clone());
            for record in fixture::records("example.", 2, hosts(left)) {
                edit.add(&record.owner, record.rtype, record.ttl, &record.rdata);
            }
            edit.finish()
        };
        let made = finish(1_000 - FEW as u32).unwrap().0;
        assert_eq!(made.records(), 2 + 1_000 - FEW as u64);
        assert!(finish(1_000 - FEW as u32 - 1).is_none());
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
        let mut unshared = 0;
        new.table.unshared(&old.table, |_| unshared += 1);
        assert!(unshared < new.names() / 2, "{unshared} of {}", new.names());
    }

    #[test]
    fn what_is_no_zone_or_too_different_is_left_to_the_builder() {
        let old = built(1, &Vec::new());
        assert!(Edit::new(old.clone()).finish().is_none());
        let mut edit = Edit::new(old.clone());
        feed(2, &vec![(0, 1)], |owner, rtype, ttl, data| edit.add(owner, rtype, ttl, data));
        edit.add(&"h0.example.".parse::<Name>().unwrap(), Rtype::CNAME, 60, b"\0");
        assert!(edit.finish().is_none());
        let mut edit = Edit::new(old);
        for number in 0..FEW + STEPS * WAIT + 3 {
            edit.add(&format!("n{number}.example.").parse::<Name>().unwrap(), Rtype::A, 60, &[1; 4]);
        }
        assert!(edit.is_hopeless() && edit.finish().is_none());
    }
}
