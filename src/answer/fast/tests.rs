//! The fast path says what [`respond`](super::super::respond) says, wherever it says anything.

mod cached;
mod zones;

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::*;
use crate::answer::context::{Client, Outcome, Served};
use crate::answer::respond;
use crate::publish::access::Access;
use crate::publish::proposal::Proposal;
use crate::publish::store::ZoneStore;
use crate::text::file::read::read;
use crate::time::{Mono, Now, Utc};
use crate::wire::cookie::{Cookie, Secret, Secrets};
use crate::wire::edns::{COOKIE, EXPIRE, KEEPALIVE, NSID, PADDING, ZONEVERSION, push_option};
use crate::wire::message::Message;
use crate::wire::name::Name;
use crate::wire::rtype::CLASS_IN;
use crate::wire::via::Via;
use crate::wire::writer::Writer;
use crate::zone::builder::Builder;
use crate::zone::serial::Policy;

const EXAMPLE: &str = include_str!("../../../tests/data/plain/example.zone");
const NSEC: &str = include_str!("../../../tests/data/signed/nsec.zone");
const NSEC3: &str = include_str!("../../../tests/data/signed/nsec3.zone");
const OPTOUT: &str = include_str!("../../../tests/data/signed/optout.zone");
const ROOT: &str = include_str!("../../../tests/data/plain/root.zone");

/// A node with these zones.
fn serve(zones: impl IntoIterator<Item = Snapshot>) -> Served {
    let store = ZoneStore::new(1);
    for zone in zones {
        let name = zone.apex().clone();
        store.configure(&name, Access::default());
        store.publish(now(), Proposal::file(zone, Policy::Increment), |_| Ok(())).unwrap();
    }
    let cookies = Arc::new(Secrets::new(Secret::new([7; 16]), Vec::new()));
    Served { store: Arc::new(store), recursion: None, nsid: Some(b"here".as_slice().into()), cookies }
}

fn served(zones: &[(&str, &str)]) -> Served {
    serve(zones.iter().map(|(apex, text)| {
        let mut builder = Builder::new(apex.parse().unwrap());
        let mut none = |_: &str, _: &str| Err(String::new());
        let outcome = read("zone", text.as_bytes(), None, &mut none, &mut |entry| {
            builder.add(entry.owner, entry.rtype, entry.ttl, entry.rdata);
        });
        assert!(outcome.is_ok(), "{:?}", outcome.diagnostics);
        builder.finish().unwrap().0
    }))
}

fn plain() -> Served {
    served(&[("example.", EXAMPLE), (".", ROOT)])
}

/// The signed zones, one of each kind, beside the root that delegates them.
fn signed() -> Served {
    served(&[("nsec.", NSEC), ("nsec3.", NSEC3), ("optout.", OPTOUT), (".", ROOT)])
}

fn now() -> Now {
    Now { mono: Mono(1_000_000), utc: Utc(1_700_000_000_000_000) }
}

/// Whether the query was plain by every way; where it was, both paths send the same bytes.
fn agrees(served: &Served, query: &[u8]) -> bool {
    Via::ALL.map(|via| agrees_over(served, query, via)) == [true; 3]
}

fn agrees_over(served: &Served, query: &[u8], via: Via) -> bool {
    let mut room = [0xaa; REPLY];
    let directory = served.store.directory();
    let versions = Versions::<1>::default();
    let from = Client { addr: "127.0.0.1:53".parse().unwrap(), via };
    let mut plain = Fast::read(served, &directory, &versions, query);
    // The answer is the same whether anything was fetched or not.
    if via.is_stream() {
        plain.iter_mut().for_each(Fast::fetch);
    }
    let mut names = Names::default();
    let length = plain.as_ref().and_then(|plain| plain.answer(served, now(), from, &mut room, &mut names));
    let Some(length) = length else { return false };
    let mut whole = Vec::new();
    let outcome = respond::answer(served, now(), query, from, &mut whole);
    let path = plain.as_ref().map(Fast::path);
    assert!(matches!(outcome, Outcome::Reply(found) if Some(found) == path), "{outcome:?}");
    if room[..length] != whole[..] {
        let (ours, theirs) = (Message::read(&room[..length]).unwrap(), Message::read(&whole).unwrap());
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
        panic!("one message, compressed in two ways:\n{:?}\n{whole:?}", &room[..length]);
    }
    true
}

/// What a query says in its OPT record.
#[derive(Clone, Debug)]
struct Edns {
    payload: u16,
    dnssec_ok: bool,
    options: Vec<u8>,
}

impl Edns {
    /// As resolvers send it.
    fn usual() -> Edns {
        let mut options = Vec::new();
        push_option(&mut options, COOKIE, b"clientck");
        Edns { payload: 1_232, dnssec_ok: true, options }
    }
}

fn query(name: &Name, rtype: Rtype, flags: u16, edns: Option<Edns>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 4_096, 0x1234, flags);
    writer.question(name, rtype, CLASS_IN).unwrap();
    if let Some(Edns { payload, dnssec_ok, options }) = edns {
        writer.opt(payload, Rcode::NOERROR, dnssec_ok, &options).unwrap();
    }
    writer.finish();
    bytes
}

#[test]
fn what_is_plain_and_what_is_not() {
    let served = plain();
    let plain = |name: &str, rtype| {
        [None, Some(Edns::usual())]
            .map(|edns| agrees(&served, &query(&name.parse().unwrap(), rtype, 0, edns)))
    };
    for (name, rtype) in [
        ("A.example.", Rtype::A),
        ("a.example.", Rtype::TXT),
        ("nothing.example.", Rtype::A),
        ("any.b.example.", Rtype::A),
        ("y.b.example.", Rtype::A),
        ("www.c.example.", Rtype::A),
        ("c.example.", Rtype::DS),
        ("y.example.", Rtype::A),
        ("p.example.", Rtype::PTR),
        ("b.example.", Rtype::CAA),
        ("example.", Rtype::MX),
        ("example.", Rtype::SOA),
        ("ns.example.", Rtype::CNAME),
        ("www.com.", Rtype::A),
        (".", Rtype::A),
        (".", Rtype::NS),
    ] {
        assert_eq!(plain(name, rtype), [true; 2], "{name} {rtype}");
    }
    for (name, rtype) in [
        ("ns.example.", Rtype::A),
        ("x.d.example.", Rtype::A),
        ("example.", Rtype::ANY),
        ("example.", Rtype::DS),
    ] {
        assert_eq!(plain(name, rtype), [false; 2], "{name} {rtype}");
    }
}

/// The queries of real resolvers, of signed zones.
#[test]
fn signed_answers_are_plain() {
    let served = signed();
    for zone in ["nsec.", "nsec3.", "optout."] {
        for (name, rtype) in [
            ("www.", Rtype::A),
            ("www.", Rtype::AAAA),
            ("nothing.", Rtype::A),
            ("x.y.nothing.", Rtype::A),
            ("safe.", Rtype::A),
            ("www.safe.", Rtype::A),
            ("plain.", Rtype::A),
            ("www.plain.", Rtype::A),
            ("safe.", Rtype::DS),
            ("plain.", Rtype::DS),
            ("x.cut.deep.", Rtype::A),
            ("x.wild.", Rtype::A),
            ("x.wild.", Rtype::AAAA),
            ("ent.", Rtype::A),
            ("b.ent.", Rtype::A),
            ("", Rtype::DNSKEY),
            ("", Rtype::SOA),
            ("", Rtype::NS),
            ("", Rtype::MX),
        ] {
            let name: Name = format!("{name}{zone}").parse().unwrap();
            assert!(agrees(&served, &query(&name, rtype, 0, Some(Edns::usual()))), "{name} {rtype}");
        }
    }
}

fn edns() -> impl Strategy<Value = Option<Edns>> {
    let cookie = prop::sample::select(vec![0_usize, 1, 8, 9, 16, 24, 32, 40, 41]);
    let option = prop_oneof![
        8 => cookie.prop_map(|length| (COOKIE, vec![7; length])),
        4 => any::<[u8; 8]>().prop_map(|client| {
            let cookies = Secrets::new(Secret::new([7; 16]), Vec::new());
            let cookie = Cookie { client: &client, server: &[] };
            let (_, good) = cookies.exchange(cookie, "127.0.0.1".parse().unwrap(), 1_699_999_000);
            (COOKIE, good.to_vec())
        }),
        3 => Just((NSID, Vec::new())),
        3 => (0_usize..20).prop_map(|length| (PADDING, vec![0; length])),
        2 => Just((KEEPALIVE, Vec::new())),
        1 => Just((ZONEVERSION, Vec::new())),
        1 => Just((EXPIRE, Vec::new())),
        1 => (100_u16..110, 0_usize..9).prop_map(|(code, length)| (code, vec![1; length])),
    ];
    let options = prop::collection::vec(option, 0..4).prop_map(|options| {
        let mut bytes = Vec::new();
        options.iter().for_each(|(code, value)| push_option(&mut bytes, *code, value));
        bytes
    });
    let payload = prop::sample::select(vec![0_u16, 512, 600, 700, 900, 1_232, 4_096]);
    let edns = (payload, any::<bool>(), options).prop_map(|(payload, dnssec_ok, options)| Edns {
        payload,
        dnssec_ok,
        options,
    });
    prop::option::weighted(0.9, edns)
}

/// Made once: they are the same for all queries.
static NODES: LazyLock<[Served; 2]> = LazyLock::new(|| [plain(), signed()]);

fn rtype() -> impl Strategy<Value = Rtype> {
    prop::sample::select(vec![
        1_u16, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43, 46, 47, 48, 50, 51, 65, 255, 257, 999,
    ])
    .prop_map(Rtype)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn both_paths_agree(
        labels in prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d", "e", "ns", "x", "y", "p", "*", "big", "com", "A", "Ns"]), 0..4),
        below in prop::bool::weighted(0.9),
        rtype in rtype(),
        flags in prop::sample::select(vec![0_u16, 0x100, 0x110, 0x10, 0x20]),
        edns in edns(),
    ) {
        let mut text: String = labels.iter().map(|label| format!("{label}.")).collect();
        text.push_str(if below { "example." } else if labels.is_empty() { "." } else { "" });
        agrees(&NODES[0], &query(&text.parse().unwrap(), rtype, flags, edns));
    }

    #[test]
    fn both_paths_agree_on_signed_zones(
        labels in prop::collection::vec(prop::sample::select(vec!["a", "b", "ent", "www", "safe", "plain", "cut", "deep", "wild", "chain", "moved", "alias", "ns", "ns1", "x", "*", "Www"]), 0..4),
        zone in prop::sample::select(vec!["nsec.", "nsec3.", "optout.", "Nsec3."]),
        rtype in rtype(),
        edns in edns(),
    ) {
        let mut text: String = labels.iter().map(|label| format!("{label}.")).collect();
        text.push_str(zone);
        agrees(&NODES[1], &query(&text.parse().unwrap(), rtype, 0, edns));
    }

    #[test]
    fn any_bytes_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..80), at in 0_usize..80, byte: u8) {
        agrees(&NODES[0], &bytes);
        bytes = query(&"www.c.example.".parse().unwrap(), Rtype::A, 0, Some(Edns::usual()));
        if let Some(changed) = bytes.get_mut(at) {
            *changed = byte;
        }
        agrees(&NODES[0], &bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// One zone, many questions: names of the zone, below them and beside them.
    #[test]
    fn both_paths_agree_on_any_zone(
        chain in zones::chain(),
        iterations in prop::sample::select(vec![0_u16, 0, 3]),
        owners in prop::collection::vec((zones::labels(), zones::kind()), 0..12),
        asked in prop::collection::vec((zones::labels(), rtype(), edns()), 1..12),
    ) {
        let served = serve([zones::zone(chain, iterations, &owners)]);
        let under = |labels: &[&str]| format!("{}.{}", labels.join("."), zones::APEX).parse::<Name>().unwrap();
        for (labels, rtype, edns) in &asked {
            agrees(&served, &query(&under(labels), *rtype, 0, edns.clone()));
            for (owner, _) in &owners {
                agrees(&served, &query(&under(owner), *rtype, 0, edns.clone()));
                let below = under(owner).child(b"below").unwrap();
                agrees(&served, &query(&below, *rtype, 0, edns.clone()));
            }
        }
    }
}
