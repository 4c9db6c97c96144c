//! Zones made by chance: unsigned, with NSEC, with NSEC3, with NSEC3 and opt-out. Their chains are what a signer would make; their
//! signatures are bytes that nobody verifies.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::Rtype;
use crate::zone::builder::Builder;
use crate::zone::nsec3::hashed;
use crate::zone::snapshot::Snapshot;

/// The zone.
pub(super) const APEX: &str = "gen.";

/// How a zone proves absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chain {
    Unsigned,
    Nsec,
    Nsec3,
    OptOut,
}

/// What stands at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Address,
    Text,
    Mail,
    Alias,
    /// A delegation with this many servers below it, one beside it and one elsewhere; signed or not.
    Cut(u8, bool),
}

pub(super) fn labels() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(
        prop::sample::select(vec!["a", "b", "c", "d", "*", "ns", "x", "long-label-here"]),
        1..4,
    )
}

pub(super) fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => Just(Kind::Address),
        2 => Just(Kind::Text),
        1 => Just(Kind::Mail),
        1 => Just(Kind::Alias),
        5 => (0_u8..9, any::<bool>()).prop_map(|(servers, is_signed)| Kind::Cut(servers, is_signed)),
    ]
}

pub(super) fn chain() -> impl Strategy<Value = Chain> {
    prop::sample::select(vec![Chain::Unsigned, Chain::Nsec, Chain::Nsec3, Chain::OptOut])
}

type Sets = BTreeMap<Name, BTreeMap<Rtype, BTreeSet<Vec<u8>>>>;

/// A zone with these at these names.
pub(super) fn zone(chain: Chain, iterations: u16, owners: &[(Vec<&'static str>, Kind)]) -> Snapshot {
    let apex: Name = APEX.parse().unwrap();
    let mut sets = Sets::new();
    let mut add = |owner: &Name, rtype: Rtype, data: Vec<u8>| {
        sets.entry(owner.clone()).or_default().entry(rtype).or_default().insert(data);
    };
    let mut soa = b"\x02ns\x03gen\x00\x05admin\x03gen\x00".to_vec();
    soa.extend([7, 7_200, 900, 86_400, 300_u32].iter().flat_map(|number| number.to_be_bytes()));
    add(&apex, Rtype::SOA, soa);
    add(&apex, Rtype::NS, b"\x02ns\x03gen\x00".to_vec());
    let mut cuts = BTreeSet::new();
    for (labels, kind) in owners {
        let owner: Name = format!("{}.{APEX}", labels.join(".")).parse().unwrap();
        match *kind {
            Kind::Address => add(&owner, Rtype::A, vec![192, 0, 2, 1]),
            Kind::Text => add(&owner, Rtype::TXT, b"\x04text".to_vec()),
            Kind::Mail => add(&owner, Rtype::MX, b"\x00\x0a\x01a\x03gen\x00".to_vec()),
            Kind::Alias => add(&owner, Rtype::CNAME, b"\x01a\x03gen\x00".to_vec()),
            Kind::Cut(servers, is_signed) => {
                cuts.insert(owner.clone());
                for number in 0..servers {
                    let host = owner.child(format!("n{number}").as_bytes()).unwrap();
                    add(&owner, Rtype::NS, host.as_wire().to_vec());
                    add(&host, Rtype::A, vec![192, 0, 2, number]);
                    add(&host, Rtype::AAAA, vec![number; 16]);
                }
                add(&owner, Rtype::NS, b"\x01a\x03gen\x00".to_vec());
                add(&owner, Rtype::NS, b"\x02ns\x05other\x04test\x00".to_vec());
                if is_signed {
                    add(&owner, Rtype::DS, vec![7; 36]);
                }
            }
        }
    }
    // Nothing but addresses may stand beside or below an alias here, or there would be no zone.
    let aliases: Vec<Name> = sets
        .iter()
        .filter(|(_, own)| own.contains_key(&Rtype::CNAME))
        .map(|(name, _)| name.clone())
        .collect();
    for alias in aliases {
        if let Some(own) = sets.get_mut(&alias) {
            own.retain(|rtype, _| *rtype == Rtype::CNAME);
        }
        cuts.remove(&alias);
    }
    if chain != Chain::Unsigned {
        sign(&mut sets, &cuts, &apex, chain, iterations);
    }
    let mut builder = Builder::new(apex);
    for (owner, own) in &sets {
        for (rtype, data) in own {
            data.iter().for_each(|data| builder.add(owner, *rtype, 600 + u32::from(rtype.0), data));
        }
    }
    builder.finish().unwrap().0
}

fn sign(sets: &mut Sets, cuts: &BTreeSet<Name>, apex: &Name, chain: Chain, iterations: u16) {
    let is_below_cut = |name: &NameRef| cuts.iter().any(|cut| **cut != *name && name.is_in(cut));
    let visible: Vec<Name> = sets.keys().filter(|name| !is_below_cut(name)).cloned().collect();
    if chain == Chain::Nsec {
        for (at, name) in visible.iter().enumerate() {
            let next = &visible[(at + 1) % visible.len()];
            let data = [next.as_wire(), b"\x00\x01\x40"].concat();
            sets.entry(name.clone()).or_default().entry(Rtype::NSEC).or_default().insert(data);
        }
    } else {
        let [high, low] = iterations.to_be_bytes();
        let params = vec![1, 0, high, low, 2, 0xab, 0xcd];
        sets.entry(apex.clone()).or_default().entry(Rtype::NSEC3PARAM).or_default().insert(params);
        let is_secure = |name: &Name| {
            chain == Chain::Nsec3 || !cuts.contains(name) || sets[name].contains_key(&Rtype::DS)
        };
        let mut names: BTreeSet<Name> = BTreeSet::new();
        for name in visible.iter().filter(|name| is_secure(name)) {
            let mut above = Some(&**name);
            while let Some(name) = above.filter(|name| name.is_in(apex)) {
                names.insert(name.to_name());
                above = name.parent();
            }
        }
        let flags = u8::from(chain == Chain::OptOut);
        for name in names {
            let mut data = vec![1, flags, high, low, 2, 0xab, 0xcd, 20];
            data.extend([0x5a; 20]);
            data.extend(b"\x00\x01\x40");
            let owner = hashed(&name, apex, iterations, &[0xab, 0xcd]);
            sets.entry(owner).or_default().entry(Rtype::NSEC3).or_default().insert(data);
        }
    }
    for (name, own) in sets.iter_mut().filter(|(name, _)| !is_below_cut(name)) {
        let signed: Vec<Rtype> = own
            .keys()
            .filter(|rtype| !cuts.contains(name) || matches!(**rtype, Rtype::DS | Rtype::NSEC))
            .copied()
            .collect();
        for rtype in signed {
            let mut data = [rtype.0.to_be_bytes(), [13, name.label_count() as u8]].concat();
            data.extend([0; 14]);
            data.extend(apex.as_wire());
            data.extend([rtype.0 as u8; 64]);
            own.entry(Rtype::RRSIG).or_default().insert(data);
        }
    }
}
