//! The difference between two versions of a zone: what an IXFR carries (RFC 1995 section 4), a journal keeps, and
//! [`Snapshot::apply`] applies.

use crate::wire::message::Record;
use crate::wire::name::NameRef;
use crate::wire::rdata;
use crate::wire::rtype::Rtype;

use super::owner::{Owner, Rrset};
use super::serial::Serial;
use super::snapshot::{Snapshot, Timers};

/// Records to remove from one version and to add, to get another. The SOA of the old version is the first removed record,
/// that of the new one the first added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The old SOA, then the other records that go.
    pub removed: Vec<Record>,
    /// The new SOA, then the other records that come.
    pub added: Vec<Record>,
}

impl Delta {
    /// What turns `old` into `new`. `None` when the two are equal, SOA included.
    pub fn between(old: &Snapshot, new: &Snapshot) -> Option<Delta> {
        let mut delta = Delta { removed: vec![old.soa_record()], added: vec![new.soa_record()] };
        new.table.unshared(&old.table, |entry| {
            let now = entry.owner();
            match old.owner(now.name()) {
                Some(before) => delta.compare(now.name(), before, now),
                None => delta.added.extend(now.records()),
            }
        });
        old.table.unshared(&new.table, |entry| {
            let before = entry.owner();
            if new.owner(before.name()).is_none() {
                delta.removed.extend(before.records());
            }
        });
        let unchanged = delta.len() == 2 && delta.removed[0] == delta.added[0];
        (!unchanged).then_some(delta)
    }

    /// The serial this delta begins at.
    pub fn from(&self) -> Serial {
        self.removed.first().map(|soa| Timers::read(&soa.rdata).serial).unwrap_or_default()
    }

    /// The serial this delta leads to.
    pub fn to(&self) -> Serial {
        self.added.first().map(|soa| Timers::read(&soa.rdata).serial).unwrap_or_default()
    }

    /// How many records are removed and added, SOAs included.
    pub fn len(&self) -> usize {
        self.removed.len() + self.added.len()
    }

    /// Whether not even SOAs are in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn compare(&mut self, name: &NameRef, before: Owner<'_>, now: Owner<'_>) {
        for set in now.rrsets().filter(|set| set.rtype != Rtype::SOA) {
            let old = before.rrset(set.rtype);
            for data in set.rdatas() {
                if !old.is_some_and(|old| old.ttl == set.ttl && holds(old, data)) {
                    self.added.push(record(name, set, data));
                }
            }
        }
        for set in before.rrsets().filter(|set| set.rtype != Rtype::SOA) {
            let new = now.rrset(set.rtype);
            for data in set.rdatas() {
                if !new.is_some_and(|new| new.ttl == set.ttl && holds(new, data)) {
                    self.removed.push(record(name, set, data));
                }
            }
        }
    }
}

fn holds(set: Rrset<'_>, data: &[u8]) -> bool {
    set.rdatas().any(|known| rdata::same(set.rtype, known, data))
}

fn record(name: &NameRef, set: Rrset<'_>, data: &[u8]) -> Record {
    Record { owner: name.to_name(), rtype: set.rtype, ttl: set.ttl, rdata: data.into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::snapshot::{Builder, Fault};
    use super::*;
    use crate::wire::name::Name;

    fn zone(serial: u8, names: &BTreeSet<(u8, u8)>) -> Snapshot {
        let apex: Name = "example.".parse().unwrap();
        let mut builder = Builder::new(apex.clone());
        let mut soa = vec![0; 22];
        soa[5] = serial;
        builder.add(&apex, Rtype::SOA, 60, &soa);
        builder.add(&apex, Rtype::NS, 60, b"\x02ns\x00");
        for &(name, data) in names {
            let owner = format!("{}.{}.example.", name % 5, name / 5).parse::<Name>().unwrap();
            builder.add(&owner, Rtype::A, 60 + u32::from(data % 2 * name), &[data; 4]);
        }
        builder.finish().unwrap().0
    }

    proptest! {
        #[test]
        fn what_is_between_leads_from_one_to_the_other(
            old in proptest::collection::btree_set((0u8..20, 0u8..4), 0..30),
            new in proptest::collection::btree_set((0u8..20, 0u8..4), 0..30),
        ) {
            let (old, new) = (zone(1, &old), zone(2, &new));
            let delta = Delta::between(&old, &new).unwrap();
            let applied = old.apply(&delta).unwrap();
            prop_assert_eq!(Delta::between(&applied, &new), None);
            prop_assert_eq!(applied.digest(), new.digest());
            prop_assert_eq!((applied.serial(), applied.records(), applied.names()), (new.serial(), new.records(), new.names()));
            for owner in new.owners() {
                prop_assert!(applied.owner(owner.name()).is_some());
            }
            prop_assert!(old.apply(&delta).unwrap().apply(&delta).is_err());
        }
    }

    #[test]
    fn faults_are_told() {
        let apex: Name = "example.".parse().unwrap();
        let mut builder = Builder::new(apex.clone());
        let www: Name = "www.example.".parse().unwrap();
        builder.add(&www, Rtype::CNAME, 1, b"\x00");
        builder.add(&www, Rtype::A, 1, &[0; 4]);
        assert_eq!(builder.finish().unwrap_err(), [Fault::NoSoa(apex), Fault::CnameAndOther(www)]);
    }

    #[test]
    fn same_content_has_no_delta() {
        let names = [(1, 1), (7, 2)].into();
        assert_eq!(Delta::between(&zone(1, &names), &zone(1, &names)), None);
        let renumbered = zone(1, &names).with_serial(Serial(9));
        assert_eq!(renumbered.digest(), zone(1, &names).digest());
        assert_eq!(Delta::between(&zone(1, &names), &renumbered).unwrap().len(), 2);
        assert_eq!(renumbered.timers().serial, Serial(9));
    }
}
