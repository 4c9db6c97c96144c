//! The straight path says what [`respond`](super::super::respond) says, wherever it says anything.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::answer::context::{Served, Source};
use crate::answer::respond;
use crate::publish::access::Access;
use crate::publish::proposal::Proposal;
use crate::publish::store::ZoneStore;
use crate::text::file::read::read;
use crate::time::{Mono, Now, Utc};
use crate::wire::cookie::{Secret, Secrets};
use crate::wire::message::Message;
use crate::wire::name::Name;
use crate::wire::rtype::CLASS_IN;
use crate::wire::via::Via;
use crate::wire::writer::Writer;
use crate::zone::serial::Policy;
use crate::zone::snapshot::Builder;

const EXAMPLE: &str = include_str!("../../../tests/data/plain/example.zone");
const ROOT: &str = include_str!("../../../tests/data/plain/root.zone");

fn served() -> Served {
    let store = ZoneStore::new(1);
    for (apex, text) in [("example.", EXAMPLE), (".", ROOT)] {
        let mut builder = Builder::new(apex.parse().unwrap());
        let mut none = |_: &str, _: &str| Err(String::new());
        let outcome = read("zone", text.as_bytes(), None, &mut none, &mut |entry| {
            builder.add(entry.owner, entry.rtype, entry.ttl, entry.rdata);
        });
        assert!(outcome.is_ok(), "{:?}", outcome.diagnostics);
        let (zone, _) = builder.finish().unwrap();
        let name = zone.apex().to_name();
        store.configure(&name, Access::default());
        store.publish(now(), Proposal::file(zone, Policy::Increment), |_| Ok(())).unwrap();
    }
    let cookies = Arc::new(Secrets::new(Secret::new([7; 16]), Vec::new()));
    Served { store: Arc::new(store), recursion: None, nsid: None, cookies }
}

fn now() -> Now {
    Now { mono: Mono(1_000_000), utc: Utc(1_700_000_000_000_000) }
}

/// Whether the query was plain; if it was, both ways of answering agree.
fn agrees(served: &Served, query: &[u8]) -> bool {
    Via::ALL.map(|via| agrees_over(served, query, via)) == [true; 3]
}

fn agrees_over(served: &Served, query: &[u8], via: Via) -> bool {
    let mut room = [0xaa; REPLY];
    let directory = served.store.directory();
    let versions = Versions::<1>::default();
    let plain = Straight::read(&directory, &versions, query);
    let Some(length) = plain.and_then(|plain| plain.answer(false, via, &mut room)) else { return false };
    let from = Source { addr: "127.0.0.1:53".parse().unwrap(), via };
    let mut whole = Vec::new();
    respond::answer(served, now(), query, from, &mut whole);
    let (ours, theirs) = (Message::read(&room[..length]).unwrap(), Message::read(&whole).unwrap());
    assert_eq!(ours.header, theirs.header);
    assert_eq!(
        room[12..][..query.len().min(20)],
        whole[12..][..query.len().min(20)],
        "the question's own bytes"
    );
    assert_eq!((&ours.question, &ours.opt), (&theirs.question, &theirs.opt));
    let (ours, theirs) = (
        [&ours.answer, &ours.authority, &ours.additional].map(|section| section.clone()),
        [&theirs.answer, &theirs.authority, &theirs.additional].map(|section| section.clone()),
    );
    assert_eq!(ours, theirs);
    assert!(length <= whole.len(), "{length} bytes instead of {}", whole.len());
    true
}

fn query(name: &Name, rtype: Rtype, flags: u16, edns: Option<(u16, bool)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 1_232, 0x1234, flags);
    writer.question(name, rtype, CLASS_IN).unwrap();
    if let Some((payload, dnssec_ok)) = edns {
        writer.opt(payload, Rcode::NOERROR, dnssec_ok, &[]).unwrap();
    }
    writer.finish();
    bytes
}

#[test]
fn what_is_plain_and_what_is_not() {
    let served = served();
    let plain = |name: &str, rtype| agrees(&served, &query(&name.parse().unwrap(), rtype, 0, None));
    for (name, rtype) in [
        ("A.example.", Rtype::A),
        ("a.example.", Rtype::TXT),
        ("nothing.example.", Rtype::A),
        ("any.b.example.", Rtype::A),
        ("y.b.example.", Rtype::A),
        ("www.c.example.", Rtype::A),
        ("y.example.", Rtype::A),
        ("p.example.", Rtype::PTR),
        ("b.example.", Rtype::CAA),
        ("www.com.", Rtype::A),
        (".", Rtype::A),
    ] {
        assert!(plain(name, rtype), "{name} {rtype}");
    }
    for (name, rtype) in [
        ("ns.example.", Rtype::A),
        ("x.d.example.", Rtype::A),
        ("x.e.example.", Rtype::A),
        ("example.", Rtype::MX),
        ("example.", Rtype::ANY),
        ("c.example.", Rtype::DS),
        ("big.example.", Rtype::TXT),
    ] {
        assert!(!plain(name, rtype), "{name} {rtype}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn both_ways_agree(
        labels in prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d", "e", "ns", "x", "y", "p", "*", "big", "com", "A", "Ns"]), 0..4),
        below in prop::bool::weighted(0.9),
        rtype in prop::sample::select(vec![1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43, 46, 65, 255, 257, 999]),
        flags in prop::sample::select(vec![0_u16, 0x100, 0x110, 0x10, 0x20]),
        edns in prop::option::of((prop::sample::select(vec![0_u16, 512, 700, 1232, 4096]), any::<bool>())),
    ) {
        let mut text: String = labels.iter().map(|label| format!("{label}.")).collect();
        text.push_str(if below { "example." } else if labels.is_empty() { "." } else { "" });
        agrees(&served(), &query(&text.parse().unwrap(), Rtype(rtype), flags, edns));
    }

    #[test]
    fn any_bytes_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..80), at in 0_usize..60, byte: u8) {
        let served = served();
        agrees(&served, &bytes);
        bytes = query(&"www.c.example.".parse().unwrap(), Rtype::A, 0, Some((1_232, true)));
        if let Some(changed) = bytes.get_mut(at) {
            *changed = byte;
        }
        agrees(&served, &bytes);
    }
}
