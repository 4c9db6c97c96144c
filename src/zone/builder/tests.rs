//! Building: in whatever order records come, the same zone comes out.

use proptest::prelude::*;

use crate::wire::message::RecordRef;

use super::super::delta::Delta;
use super::super::diff::between;
use super::super::fixture;
use super::super::serial::Serial;
use super::super::snapshot::ApplyError;
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
        let other = between(&zone, &self::zone(std::slice::from_ref(host)));
        let Some(mut delta) = other else { continue };
        let is_new = |record: &Record| {
            zone.owner(&record.owner).and_then(|owner| owner.rrset(record.rtype)).is_none_or(|set| {
                record.rtype == Rtype::SOA || set.rdatas().all(|data| *data != *record.rdata)
            })
        };
        let owned = |record: RecordRef<'_>| record.owned().unwrap();
        delta.removed = delta.removed.iter().take(1).map(owned).collect();
        delta.added = delta.added.iter().map(owned).filter(is_new).collect();
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
        let mut emptied = between(&built, &zone(&[])).map_or_else(|| built.clone(), |delta| built.apply(&delta).unwrap());
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

#[test]
fn an_rrset_that_no_answer_could_hold_is_a_fault() {
    let built = |many: u32| {
        let mut builder = Builder::new(name("example."));
        builder.add(&name("example."), Rtype::SOA, 60, &[0; 22]);
        builder.add(&name("example."), Rtype::NS, 60, b"\x02ns\x00");
        (0..many).for_each(|host| builder.add(&name("h.example."), Rtype::A, 60, &host.to_be_bytes()));
        builder.finish().map(|(zone, _)| zone)
    };
    let fault = Fault::TooMany(name("h.example."), Rtype::A);
    let most = built(65_534).unwrap();
    assert_eq!(most.records(), 65_536);
    for too_many in [65_535, 70_000] {
        assert_eq!(built(too_many).unwrap_err(), std::slice::from_ref(&fault));
    }
    assert!(fault.concerns(&name("h.example."), Rtype::A) && fault.remedy().is_some());
    let soa = most.soa_record();
    let rdata: Box<[u8]> = 70_000_u32.to_be_bytes().into();
    let one_more = Record { owner: name("h.example."), rtype: Rtype::A, ttl: 60, rdata };
    let mut delta = Delta::between(&soa, &soa);
    delta.added.extend([one_more]);
    assert_eq!(most.apply(&delta).unwrap_err(), ApplyError::Fault(fault));
}

/// A zone with these names, and room for what stands above them.
fn named(names: impl Iterator<Item = String>, room: u64) -> Result<Snapshot, Vec<Fault>> {
    let mut builder = Builder::new(name("example."));
    builder.add(&name("example."), Rtype::SOA, 60, &[0; 22]);
    builder.add(&name("example."), Rtype::NS, 60, b"\x02ns\x00");
    names.for_each(|owner| builder.add(&name(&owner), Rtype::A, 60, &[1; 4]));
    builder.finish_within(room).map(|(zone, _)| zone)
}

#[test]
fn empty_non_terminals_are_made_as_far_as_there_is_room() {
    let deep = |many| (0..many).map(|number| format!("{}{number}.example.", "a.".repeat(100)));
    let zone = named(deep(10), 1 << 20).unwrap();
    assert_eq!((zone.names(), zone.records()), (1 + 10 * 101, 12));
    let faults = named(deep(10), 1 << 10).unwrap_err();
    assert!(matches!(&faults[..], [Fault::TooDeep(_, 0)]), "{faults:?}");
    assert!(
        deep(10).any(|owner| faults[0].concerns(&name(&owner), Rtype::A)) && faults[0].remedy().is_some()
    );
    // Names above that others have in common, or that have records, count once.
    let shared = ["a.b.c.example.", "x.c.example.", "y.x.c.example.", "z.b.c.example."];
    let zone = named(shared.into_iter().map(str::to_owned), 1 << 10).unwrap();
    assert_eq!(zone.names(), 7);
}

/// Digits have the bit by which the hash folds case, and these control characters differ from them in nothing else.
fn colliding(number: u32) -> String {
    let label: String = (0..16).map(|bit| if number >> bit & 1 == 0 { "0" } else { "\\016" }).collect();
    format!("{label}.example.")
}

#[test]
fn names_with_one_hash_are_told_apart_and_a_crowd_of_them_refused() {
    let few = named((0..100).map(|number| format!("www.{}", colliding(number))), 1 << 20).unwrap();
    assert_eq!(few.names(), 201);
    assert!((0..100).all(|number| few.owner(&name(&colliding(number))).is_some()));
    let faults = named((0..2_000).map(colliding), 1 << 20).unwrap_err();
    assert!(matches!(&faults[..], [Fault::Crowded(_)]), "{faults:?}");
    let faults = named((0..2_000).map(|number| format!("www.{}", colliding(number))), 1 << 20).unwrap_err();
    assert!(matches!(&faults[..], [Fault::Crowded(_)]), "{faults:?}");
    // One by one, as transfers bring them.
    let soa = few.soa_record();
    let added = (0..2_000).map(|number| Record {
        owner: name(&format!("x.{}", colliding(number))),
        rtype: Rtype::A,
        ttl: 60,
        rdata: [1; 4].into(),
    });
    let mut delta = Delta::between(&soa, &soa);
    delta.added.extend(added);
    assert!(matches!(few.apply(&delta), Err(ApplyError::Fault(Fault::Crowded(_)))));
}

#[test]
fn a_zone_may_grow_by_any_factor_in_one_step() {
    let zone =
        |serial, hosts| fixture::hosts("example.", serial, (0..hosts).map(|host| (host, [10, 0, 0, 1])));
    for (few, many) in [(0, 100_000), (1, 30_000), (1_000, 200_000)] {
        let [old, new] = [(1, few), (2, many)].map(|(serial, hosts)| zone(serial, hosts).finish().unwrap().0);
        let delta = between(&old, &new).unwrap();
        let grown = old.apply(&delta).unwrap();
        assert_eq!((grown.digest(), grown.names()), (new.digest(), new.names()), "{few} to {many}");
        let shrunk = grown.apply(&between(&new, &old.with_serial(Serial(3))).unwrap()).unwrap();
        assert_eq!((shrunk.digest(), shrunk.names()), (old.with_serial(Serial(3)).digest(), old.names()));
        let again = between(&shrunk, &new.with_serial(Serial(4))).unwrap();
        assert_eq!(shrunk.apply(&again).unwrap().names(), new.names(), "{few} to {many} once more");
    }
}
