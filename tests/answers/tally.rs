//! What a run has seen: one that compares little, or always the same, proves nothing.

use std::collections::BTreeMap;

use super::compare::{Case, Part};
use super::generate::{Plan, Zone};
use super::reply::{AA, CNAME, Reply, TC, type_number};
use super::sign;
use super::world::{MOST_SILENT, Make};

/// So many questions at the least ...
const QUESTIONS: usize = 30_000;
/// ... and answers of each kind.
const OF_EACH: usize = 20;
/// Each make has the same to say to so many of a hundred, apart from bits that it copies and addresses that may be left out.
const AGREED: usize = 90;

/// A kind of answers, and how to tell it; one answer may be of many.
type Kind = (&'static str, fn(&Reply) -> bool);
/// Of all zones.
const KINDS: &[Kind] = &[
    ("data", |reply| reply.rcode == 0 && !reply.sections[0].is_empty()),
    ("no data", |reply| reply.rcode == 0 && reply.sections[0].is_empty() && has(reply, 1, "SOA")),
    ("a referral", |reply| !reply.has(AA) && has(reply, 1, "NS")),
    ("glue", |reply| !reply.has(AA) && has(reply, 2, "A")),
    ("NXDOMAIN", |reply| reply.rcode == 3),
    ("YXDOMAIN", |reply| reply.rcode == 6),
    ("a chain", |reply| reply.sections[0].iter().filter(|record| record.rtype == CNAME).count() > 1),
    ("a DNAME", |reply| has(reply, 0, "DNAME")),
    ("TC", |reply| reply.has(TC)),
];
/// Only where some names are in no zone.
const OUTSIDE: Kind = ("REFUSED", |reply| reply.rcode == 5);
/// Of signed zones.
const SIGNED: &[Kind] = &[
    ("signatures", |reply| has(reply, 0, "RRSIG")),
    ("NSEC", |reply| has(reply, 1, "NSEC")),
    ("DS", |reply| has(reply, 1, "DS")),
];

/// Of zones signed with it, which there are not with every seed.
const HASHED: Kind = ("NSEC3", |reply| has(reply, 1, "NSEC3"));

fn has(reply: &Reply, section: usize, rtype: &str) -> bool {
    reply.sections[section].iter().any(|record| record.rtype == type_number(rtype))
}

/// Prints how many answers there are of each kind, and how many are alike at each make; fails when there are too few.
pub fn check(cases: &[Case], peers: &[Make], plan: Plan, zones: &[Zone]) {
    let outside = if plan.root { None } else { Some(OUTSIDE) };
    let signed = if zones.iter().any(|zone| zone.signed.is_some()) { SIGNED } else { &[] };
    let hashed = zones.iter().any(|zone| !sign::hashed_owners(zone).is_empty()).then_some(HASHED);
    let mut few = Vec::new();
    for (kind, fits) in KINDS.iter().chain(&outside).chain(signed).chain(&hashed) {
        let count = cases.iter().filter(|case| fits(case.ours())).count();
        println!("{count:6} answers of tidemark's: {kind}");
        if count < OF_EACH {
            few.push(*kind);
        }
    }
    assert!(few.is_empty(), "fewer than {OF_EACH} each: {few:?}");
    assert!(cases.len() >= QUESTIONS, "only {} questions", cases.len());
    let mut differing: BTreeMap<Make, usize> = BTreeMap::new();
    for case in cases {
        let differences = case.differences().into_iter();
        let matters = |part| ![Part::Flags, Part::Additional].contains(&part);
        let mut makes: Vec<Make> =
            differences.filter(|(_, part)| matters(*part)).map(|(make, _)| make).collect();
        makes.dedup();
        makes.into_iter().for_each(|make| *differing.entry(make).or_default() += 1);
    }
    for make in peers {
        let said = cases.iter().filter(|case| case.of(*make).is_some()).count();
        let same = said - differing.get(make).copied().unwrap_or_default();
        println!("{same:6} of {said} answers the same at {make:?}");
        // Those over UDP and those over TCP.
        assert!(said + 2 * MOST_SILENT >= cases.len(), "{make:?} was silent too often");
        assert!(same * 100 >= said * AGREED, "{make:?} agrees to {same} of {said} only");
    }
}
