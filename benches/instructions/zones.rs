//! What is asked for: zones of names that have an address or a CNAME, and of delegations, unsigned and signed. The chains of the
//! signed ones are what a signer makes; their signatures are as long as those of ECDSA P-256, and nobody verifies them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use sha1::{Digest as _, Sha1};
use tidemark::text::file::read::read;
use tidemark::wire::name::Name;
use tidemark::wire::rtype::Rtype;
use tidemark::zone::builder::Builder;
use tidemark::zone::snapshot::Snapshot;

use super::NAMES;

const HEAD: &str = "$TTL 3600\n@ SOA ns1 h 1 7200 900 86400 300\n@ NS ns1\nns1 A 192.0.2.1\n";

pub(super) fn flat() -> Snapshot {
    let mut text = format!("$ORIGIN flat.\n{HEAD}");
    for number in 0..NAMES {
        let _ = writeln!(text, "n{number} A 10.0.{}.{}", number / 250, number % 250);
        let _ = writeln!(text, "c{number} CNAME n{number}");
    }
    load("flat.", &text)
}

pub(super) fn registry() -> Snapshot {
    let mut text = format!("$ORIGIN example.\n{HEAD}");
    for number in 0..NAMES {
        let _ = writeln!(text, "d{number} NS ns1.d{number}\nd{number} NS ns2.o{}.test.", number % 1_000);
        let _ = writeln!(text, "ns1.d{number} A 192.0.2.{}", number % 250);
    }
    load("example.", &text)
}

fn load(apex: &str, text: &str) -> Snapshot {
    let mut builder = Builder::new(apex.parse().unwrap());
    let mut none = |_: &str, _: &str| Err("no includes".to_owned());
    let outcome = read("zone", text.as_bytes(), None, &mut none, &mut |entry| {
        builder.add(entry.owner, entry.rtype, entry.ttl, entry.rdata);
    });
    assert!(outcome.is_ok());
    builder.finish().unwrap().0
}

/// Names with addresses, delegations without DS, and delegations with it; with NSEC.
pub(super) fn nsec() -> Snapshot {
    signed(false)
}

/// The same with NSEC3 and opt-out, without salt and iterations.
pub(super) fn optout() -> Snapshot {
    signed(true)
}

fn signed(has_optout: bool) -> Snapshot {
    let apex: Name = "signed.".parse().unwrap();
    let mut builder = Builder::new(apex.clone());
    let mut sets: BTreeMap<Name, BTreeSet<Rtype>> = BTreeMap::new();
    let mut add = |owner: &Name, rtype: Rtype, data: &[u8], is_signed: bool| {
        builder.add(owner, rtype, 3_600, data);
        let own = sets.entry(owner.clone()).or_default();
        if is_signed {
            own.insert(rtype);
        }
    };
    let mut soa = b"\x03ns1\x06signed\x00\x01h\x06signed\x00".to_vec();
    soa.extend([1, 7_200, 900, 86_400, 300_u32].iter().flat_map(|number| number.to_be_bytes()));
    add(&apex, Rtype::SOA, &soa, true);
    add(&apex, Rtype::NS, b"\x03ns1\x06signed\x00", true);
    if has_optout {
        add(&apex, Rtype::NSEC3PARAM, &[1, 0, 0, 0, 0], true);
    }
    let below = |label: String| apex.child(label.as_bytes()).unwrap();
    for number in 0..NAMES {
        add(&below(format!("n{number}")), Rtype::A, &[10, 0, (number >> 8) as u8, number as u8], true);
        let cut = below(format!("d{number}"));
        let host: Name = format!("ns2.o{}.test.", number % 1_000).parse().unwrap();
        add(&cut, Rtype::NS, cut.child(b"ns1").unwrap().as_wire(), false);
        add(&cut, Rtype::NS, host.as_wire(), false);
        if number % 3 == 1 {
            add(&cut, Rtype::DS, &[number as u8; 36], true);
        }
    }
    let chain = if has_optout { Rtype::NSEC3 } else { Rtype::NSEC };
    let names: Vec<Name> = if has_optout {
        let secure = sets.iter().filter(|(_, own)| !own.is_empty());
        secure.map(|(name, _)| hashed(name, &apex)).collect::<BTreeSet<Name>>().into_iter().collect()
    } else {
        sets.keys().cloned().collect()
    };
    for (at, name) in names.iter().enumerate() {
        let next = &names[(at + 1) % names.len()];
        let data = if has_optout {
            [&[1, 1, 0, 0, 0, 20][..], &[0x5a; 20], b"\x00\x01\x40"].concat()
        } else {
            [next.as_wire(), b"\x00\x06\x40\x00\x00\x00\x00\x03"].concat()
        };
        builder.add(name, chain, 300, &data);
        sets.entry(name.clone()).or_default().insert(chain);
    }
    for (name, own) in &sets {
        for rtype in own {
            let mut data = [rtype.0.to_be_bytes(), [13, name.label_count() as u8]].concat();
            data.extend([0; 14]);
            data.extend(apex.as_wire());
            data.extend([7; 64]);
            builder.add(name, Rtype::RRSIG, if *rtype == chain { 300 } else { 3_600 }, &data);
        }
    }
    for number in 0..NAMES {
        let host = below(format!("d{number}")).child(b"ns1").unwrap();
        builder.add(&host, Rtype::A, 3_600, &[192, 0, 2, number as u8]);
    }
    builder.finish().unwrap().0
}

/// The owner of a name's NSEC3 record (RFC 5155 5).
fn hashed(name: &Name, apex: &Name) -> Name {
    let hash: [u8; 20] = Sha1::digest(name.to_lowercase().as_wire()).into();
    let digits = hash.as_chunks::<5>().0.iter().flat_map(|five| {
        let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        (0..8).map(move |at| b"0123456789abcdefghijklmnopqrstuv"[(bits >> (35 - 5 * at)) as usize & 31])
    });
    apex.child(&digits.collect::<Vec<u8>>()).unwrap()
}
