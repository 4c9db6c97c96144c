//! Building: in whatever order records come, the same zone comes out.

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
        let other = crate::zone::diff::between(&zone, &self::zone(std::slice::from_ref(host)));
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
        let mut emptied = crate::zone::diff::between(&built, &zone(&[])).map_or_else(|| built.clone(), |delta| built.apply(&delta).unwrap());
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
    let delta = Delta { removed: vec![soa.clone()], added: vec![soa, one_more] };
    assert_eq!(most.apply(&delta).unwrap_err(), ApplyError::Fault(fault));
}
