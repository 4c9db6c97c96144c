//! What turns one version of a zone into another. Parts that the two share are not looked at.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::ControlFlow;

use crate::wire::name::NameRef;
use crate::wire::rdata;
use crate::wire::rtype::Rtype;

use super::delta::Delta;
use super::owner::{FEW, Owner, Rrset};
use super::records::Records;
use super::snapshot::Snapshot;
use super::table::Entry;

/// That more differs than anybody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch;

/// What turns `old` into `new`. `None` when the two are equal, SOA included.
pub fn between(old: &Snapshot, new: &Snapshot) -> Option<Delta> {
    // There is no more memory than that for records.
    between_at_most(old, new, usize::MAX).ok().flatten()
}

/// The same where it takes at most so many records, SOAs included.
pub fn between_at_most(old: &Snapshot, new: &Snapshot, most: usize) -> Result<Option<Delta>, TooMuch> {
    let mut delta = Delta::between(&old.soa_record(), &new.soa_record());
    let mut each = |now: Option<&Entry>, before: Option<&Entry>| {
        match (now.map(Entry::owner), before.map(Entry::owner)) {
            (Some(now), Some(before)) => compare(&mut delta, now.name(), before, now),
            (Some(now), None) => now.write_to(&mut delta.added),
            (None, Some(before)) => before.write_to(&mut delta.removed),
            (None, None) => {}
        }
        if delta.len() > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    if new.table.differing(&old.table, &mut each).is_break() {
        return Err(TooMuch);
    }
    let unchanged = delta.len() == 2 && delta.removed.first() == delta.added.first();
    delta.shrink_to_fit();
    Ok((!unchanged).then_some(delta))
}

/// Adds what turns the records that `name` had into those that it has now, its SOA aside.
fn compare(delta: &mut Delta, name: &NameRef, before: Owner<'_>, now: Owner<'_>) {
    collect(&mut delta.added, name, now, before);
    collect(&mut delta.removed, name, before, now);
}

/// Adds the records of `these` that are not among `those`.
fn collect(records: &mut Records, name: &NameRef, these: Owner<'_>, those: Owner<'_>) {
    for set in these.rrsets().filter(|set| set.rtype != Rtype::SOA) {
        let other = those.like(set).filter(|other| other.ttl == set.ttl);
        let is_large = |other: &Rrset<'_>| usize::from(other.count) > FEW;
        let known: Option<HashSet<Cow<'_, [u8]>>> = other
            .filter(is_large)
            .map(|other| other.rdatas().map(|data| rdata::canonical(set.rtype, data)).collect());
        let is_there = |data: &[u8]| match &known {
            Some(known) => known.contains(&rdata::canonical(set.rtype, data)),
            None => other.is_some_and(|other| holds(other, data)),
        };
        for data in set.rdatas().filter(|data| !is_there(data)) {
            records.push(name, set.rtype, set.ttl, data);
        }
    }
}

fn holds(set: Rrset<'_>, data: &[u8]) -> bool {
    set.rdatas().any(|known| rdata::same(set.rtype, known, data))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::builder::Builder;
    use super::super::fault::Fault;
    use super::super::serial::Serial;
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
            let delta = between(&old, &new).unwrap();
            let applied = old.apply(&delta).unwrap();
            prop_assert_eq!(between(&applied, &new), None);
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
        assert_eq!(between(&zone(1, &names), &zone(1, &names)), None);
        let renumbered = zone(1, &names).with_serial(Serial(9));
        assert_eq!(renumbered.digest(), zone(1, &names).digest());
        assert_eq!(between(&zone(1, &names), &renumbered).unwrap().len(), 2);
        assert_eq!(renumbered.timers().serial, Serial(9));
    }
}
