//! Ready answers of the cache.

use super::*;
use crate::answer::context::Recursion;
use crate::resolve::cache::{Answer, Ask, AskFlags, Cache, Config};
use crate::resolve::settings::Reach;
use crate::resolve::special_use::SpecialUse;
use crate::wire::message::Record;

fn serve() -> (Served, Arc<Cache>) {
    let cache = Arc::new(Cache::new(&Config::default()));
    let recursion = Recursion {
        cache: Arc::clone(&cache),
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        special_use: SpecialUse::default(),
        reach: Reach::default(),
    };
    (Served { recursion: Some(recursion), ..plain_without_root() }, cache)
}

fn plain_without_root() -> Served {
    served(&[("example.", EXAMPLE)])
}

/// Names of few labels, outside of what is served.
fn name() -> impl Strategy<Value = Name> {
    let labels = prop::collection::vec(prop::sample::select(vec!["a", "A", "b", "www"]), 0..3);
    labels.prop_map(|labels| {
        labels.iter().rev().fold("test.".parse().unwrap(), |name: Name, l| name.child(l.as_bytes()).unwrap())
    })
}

fn record() -> impl Strategy<Value = Record> {
    let data = (name(), name(), 0_usize..200).prop_flat_map(|(one, two, length)| {
        prop::sample::select(vec![
            (Rtype::A, vec![192, 0, 2, 1]),
            (Rtype::AAAA, vec![9; 16]),
            (Rtype::CNAME, one.as_wire().to_vec()),
            (Rtype::NS, two.as_wire().to_vec()),
            (Rtype::MX, [&[0, 10], one.as_wire()].concat()),
            (Rtype::SRV, [&[0; 6], one.as_wire()].concat()),
            (Rtype::SOA, [one.as_wire(), two.as_wire(), &[7; 20]].concat()),
            (Rtype::RRSIG, [&[0, 1][..], &[8; 16], two.as_wire(), &[5; 64]].concat()),
            (Rtype::TXT, vec![3; length]),
        ])
    });
    (name(), data, 1_u32..500).prop_map(|(owner, (rtype, rdata), ttl)| Record {
        owner,
        rtype,
        ttl,
        rdata: rdata.into(),
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    let records = || prop::collection::vec(record(), 0..9);
    let rcode = prop::sample::select(vec![Rcode::NOERROR, Rcode::NXDOMAIN, Rcode::SERVFAIL]);
    (rcode, records(), records(), prop::option::of(1_u32..500)).prop_map(
        |(rcode, answer, authority, negative)| Answer { rcode, answer, authority, negative, rest: None },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever is in the cache, whoever asks.
    #[test]
    fn both_paths_agree_on_what_is_cached(
        name in name(),
        rtype in rtype(),
        answer in answer(),
        flags in prop::sample::select(vec![0_u16, flags::RD, flags::RD | flags::CD, flags::AD]),
        edns in edns(),
        heard in 0_u64..500_000_000,
    ) {
        let (served, cache) = serve();
        let asked = AskFlags::of(flags, edns.as_ref().is_some_and(|edns| edns.dnssec_ok));
        cache.put(Mono(now().mono.0.saturating_sub(heard)), &Ask { name: name.clone(), rtype, flags: asked }, &answer);
        // What is found in the store is ready from then on.
        let is_fresh = cache.get(now().mono, &name, rtype, asked).is_some_and(|entry| entry.is_fresh(now().mono));
        let was_plain = agrees(&served, &query(&name, rtype, flags, edns));
        prop_assert!(is_fresh || !was_plain);
    }
}

#[test]
fn what_is_asked_for_often_is_plain() {
    let (served, cache) = serve();
    let name: Name = "www.test.".parse().unwrap();
    let record =
        |rdata: [u8; 4]| Record { owner: name.clone(), rtype: Rtype::A, ttl: 60, rdata: rdata.into() };
    let answer = |rdata| Answer {
        rcode: Rcode::NOERROR,
        answer: vec![record(rdata)],
        authority: Vec::new(),
        negative: None,
        rest: None,
    };
    let is_plain = |flags| agrees(&served, &query(&"WWW.test.".parse().unwrap(), Rtype::A, flags, None));
    let ask = Ask { name: name.clone(), rtype: Rtype::A, flags: AskFlags::default() };
    cache.put(now().mono, &ask, &answer([1; 4]));
    assert!(!is_plain(flags::RD), "nobody has asked for it yet");
    let known = || cache.get(now().mono, &name, Rtype::A, AskFlags::default()).unwrap();
    known();
    assert!(is_plain(flags::RD) && is_plain(0));
    // What is newer, and what was flushed, is not answered from what was ready before.
    cache.put(now().mono, &ask, &answer([2; 4]));
    assert!(!is_plain(flags::RD));
    assert!(known().records(now().mono).any(|(.., rdata)| rdata == [2; 4]));
    assert!(is_plain(flags::RD));
    assert_eq!(cache.flush_below(&name), 1);
    let found = |served: &Served| {
        let mut reply = Vec::new();
        let from = Client { addr: "127.0.0.1:53".parse().unwrap(), via: Via::Udp };
        respond::answer(served, now(), &query(&name, Rtype::A, flags::RD, None), from, &mut reply)
    };
    assert!(matches!(found(&served), Outcome::FollowUp(_)));
}
