//! What can be seen of a difference: chains, cuts, proofs, glue.

use std::collections::BTreeSet;

use super::compare::{Case, Part};
use super::generate::Zone;
use super::loaded::Loaded;
use super::name::Name;
use super::reply::{CNAME, Record, Reply, covered, type_number};
use super::world::Make::{self, Bind, Knot};

/// As many CNAMEs does tidemark follow.
pub const LONGEST: usize = 16;

/// A difference, with all that a class may look at.
pub struct Seen<'c> {
    pub zones: &'c [Zone],
    /// The same zones as the servers have read them.
    pub loaded: &'c [Loaded],
    pub case: &'c Case,
    pub make: Make,
    pub part: Part,
    /// Flags and sections; of the reply over TCP, when one was truncated.
    pub ours: &'c Reply,
    pub theirs: &'c Reply,
    /// What was really said.
    pub said: &'c Reply,
}

/// The name of the zone that has this name.
pub fn apex(zones: &[Zone], name: &Name) -> Option<Name> {
    zones.iter().filter(|zone| name.is_in(&zone.apex)).map(|zone| zone.apex.clone()).max_by_key(Name::len)
}

/// The owner of the NS records in a referral, also at the end of a chain.
pub fn cut(reply: &Reply) -> Option<Name> {
    let ns = reply.sections[1].iter().find(|record| record.rtype == type_number("NS"))?;
    Some(Name::from_wire(&ns.owner))
}

pub fn servers(reply: &Reply) -> BTreeSet<Name> {
    let ns = reply.sections[1].iter().filter(|record| record.rtype == type_number("NS"));
    ns.map(|record| Name::from_wire(&record.data)).collect()
}

/// Whether what is in one reply only are addresses of names that the answer mentions.
pub fn useful_addresses(seen: &Seen) -> bool {
    let mentioned = |owner: &[u8]| {
        let replies = [seen.ours, seen.theirs];
        replies.iter().flat_map(|reply| reply.sections[0].iter().chain(&reply.sections[2])).any(|answer| {
            let found = answer.data.windows(owner.len()).any(|part| part == owner);
            let wildcard = owner.strip_prefix(b"\x01*");
            let covers =
                wildcard.is_some_and(|above| answer.data.windows(above.len()).any(|part| part == above));
            found || covers || answer.owner == owner
        })
    };
    // BIND gives _25._tcp of mail servers too (RFC 7672).
    let mentioned = |record: &Record| {
        let host = record.owner.strip_prefix(b"\x03_25\x04_tcp");
        mentioned(&record.owner) || host.is_some_and(mentioned)
    };
    let useful = ["A", "AAAA", "CNAME", "SVCB", "HTTPS", "TLSA", "SRV", "RRSIG", "NSEC"].map(type_number);
    // Knot proves what it makes from wildcards here too.
    let proof = |record: &Record| {
        record.rtype == type_number("NSEC3") || covered(record) == Some(type_number("NSEC3"))
    };
    let address = |record: &&Record| {
        useful.contains(&record.rtype) && mentioned(record) || seen.make == Knot && proof(record)
    };
    !seen.ours.sections[0].is_empty()
        && seen.ours.sections[2].iter().all(|record| address(&record))
        && seen.theirs.sections[2].iter().all(|record| address(&record))
}

/// Whether what differs in the authority sections are proofs.
pub fn proofs_only(seen: &Seen) -> bool {
    let types = ["NSEC", "NSEC3"].map(type_number);
    let rest = |reply: &Reply| -> Vec<Record> {
        let proof = |record: &Record| types.contains(&covered(record).unwrap_or(record.rtype));
        reply.sorted(1).into_iter().filter(|record| !proof(record)).cloned().collect()
    };
    rest(seen.ours) == rest(seen.theirs)
}

/// Whether another make has what tidemark has in the authority section, or BIND and Knot have not gone as far as NSD.
pub fn unopposed(seen: &Seen) -> bool {
    let others = [Bind, Knot].into_iter().filter_map(|make| seen.case.whole_of(make).or(seen.case.of(make)));
    let proves =
        |reply: &Reply| seen.ours.sections[1].iter().all(|record| reply.sections[1].contains(record));
    crossing(seen).is_some() || others.into_iter().any(proves)
}

/// Whether the other gives part of our authority section.
pub fn fewer(seen: &Seen) -> bool {
    seen.theirs.sections[1].iter().all(|record| seen.ours.sections[1].contains(record))
}

/// Whether the other gives part of our authority section, and what it leaves out are NSEC records and their signatures.
pub fn fewer_nsec(seen: &Seen) -> bool {
    let (ours, theirs) = (&seen.ours.sections[1], &seen.theirs.sections[1]);
    let types = ["NSEC", "NSEC3"].map(type_number);
    let nsec = |record: &&Record| types.contains(&covered(record).unwrap_or(record.rtype));
    fewer(seen) && ours.iter().filter(|record| !theirs.contains(record)).all(|record| nsec(&record))
}

/// Whether the wildcard next above the name asked for has names below it, but no data.
pub fn empty_wildcard(seen: &Seen) -> bool {
    let name = end(seen);
    let Some(zone) = answering(seen, &name).and_then(|apex| seen.zones.iter().find(|zone| zone.apex == apex))
    else {
        return false;
    };
    let exists = |name: &Name| zone.sets.keys().any(|(owner, _)| owner.is_in(name));
    let Some(encloser) = name.up().find(exists) else { return false };
    let wildcard = encloser.child(b"*");
    exists(&wildcard) && zone.types_at(&wildcard).next().is_none()
}

pub fn optional_addresses(seen: &Seen) -> bool {
    let (Some(cut), servers) = (cut(seen.theirs), servers(seen.theirs)) else { return false };
    let (ours, theirs) = (seen.ours.sorted(2), seen.theirs.sorted(2));
    let required = |records: &[&Record]| -> Vec<Record> {
        let inside = records.iter().filter(|record| Name::from_wire(&record.owner).is_in(&cut));
        inside.map(|record| (*record).clone()).collect()
    };
    let fits = |record: &&Record| servers.contains(&Name::from_wire(&record.owner));
    required(&ours) == required(&theirs) && ours.iter().all(fits) && theirs.iter().all(fits)
}

/// Whether the reply lacks addresses, of servers at or below the cut, that the zone has.
pub fn lacks_glue(seen: &Seen, cut: &Name) -> bool {
    let above = cut.parent().and_then(|parent| apex(seen.zones, &parent));
    let Some(zone) = seen.zones.iter().find(|zone| Some(&zone.apex) == above.as_ref()) else { return false };
    let inside = servers(seen.said).into_iter().filter(|server| server.is_in(cut));
    inside.into_iter().any(|server| {
        ["A", "AAAA"].iter().any(|rtype| {
            let there = seen.said.sections[2]
                .iter()
                .any(|record| Name::from_wire(&record.owner) == server && record.rtype == type_number(rtype));
            zone.has(&server, rtype) && !there
        })
    })
}

/// Whether what the other adds are addresses of servers below the cut that do not exist.
pub fn wildcard_glue(seen: &Seen, cut: &Name) -> bool {
    let added = seen.theirs.sections[2].iter().filter(|record| !seen.ours.sections[2].contains(record));
    let ghost = |record: &Record| {
        let name = Name::from_wire(&record.owner);
        let exists = |zone: &Zone| zone.types_at(&name).next().is_some();
        name.is_below(cut) && !seen.zones.iter().any(exists)
    };
    added.into_iter().all(ghost)
}

/// The CNAMEs from the name asked for onwards: owner and target of each.
pub fn trail<'c>(case: &Case, reply: &'c Reply) -> Vec<(&'c [u8], &'c [u8])> {
    let mut trail: Vec<(&[u8], &[u8])> = Vec::new();
    let mut name = case.name().wire();
    while let Some(next) =
        reply.sections[0].iter().find(|record| record.rtype == CNAME && record.owner == name)
    {
        if trail.iter().any(|(owner, _)| *owner == name) {
            break;
        }
        trail.push((&next.owner, &next.data));
        name = next.data.clone();
    }
    trail
}

/// The last name of our chain, or the one asked for.
pub fn end(seen: &Seen) -> Name {
    passed(seen).pop().unwrap_or_else(|| seen.case.name())
}

/// The name asked for and those that our chain comes to.
pub fn passed(seen: &Seen) -> Vec<Name> {
    let targets = trail(seen.case, seen.ours).into_iter().map(|(_, target)| Name::from_wire(target));
    [seen.case.name()].into_iter().chain(targets).collect()
}

/// Whether the last name, or what is next above it, is an empty non-terminal without NSEC3.
pub fn opted_out(seen: &Seen) -> bool {
    let end = end(seen);
    let zone = answering(seen, &end).and_then(|apex| seen.loaded.iter().find(|zone| zone.apex == apex));
    zone.is_some_and(|zone| {
        let hashed = zone.hashed(&zone.encloser(&end));
        hashed.is_some_and(|hashed| !zone.chain.contains_key(&hashed))
    })
}

/// Whether the replies have the same to say, apart from addresses that may be left out.
pub fn same_but_optional(seen: &Seen) -> bool {
    let same = |section| seen.ours.sorted(section) == seen.theirs.sorted(section);
    same(0) && same(1) && (optional_addresses(seen) || useful_addresses(seen) || same(2))
}

/// Which CNAME of our chain leads into another zone.
pub fn crossing(seen: &Seen) -> Option<usize> {
    let first = answering(seen, &seen.case.name());
    trail(seen.case, seen.ours)
        .iter()
        .position(|(_, target)| answering(seen, &Name::from_wire(target)) != first)
}

/// The zone that answers for a name: for DS at its apex the one above.
pub fn answering(seen: &Seen, name: &Name) -> Option<Name> {
    let found = apex(seen.zones, name)?;
    let above = || apex(seen.zones, &found.parent()?);
    let ds = seen.case.question.rtype == type_number("DS") && found == *name;
    if ds { above().or(Some(found)) } else { Some(found) }
}

/// Whether the other takes what it says of a zone's name, asked for or come to, from a zone above the one that has its DS.
pub fn ds_from_above(seen: &Seen) -> bool {
    let at = |name: &Name| seen.zones.iter().find(|zone| zone.apex == *name);
    passed(seen).into_iter().filter(|name| at(name).is_some()).any(|name| {
        let Some(parent) = answering(seen, &name) else { return false };
        let mut above = seen.zones.iter().filter(|zone| parent.is_below(&zone.apex));
        let names_zone = |record: &Record, rtype| {
            let owner = Name::from_wire(&record.owner);
            record.rtype == type_number(rtype) && at(&owner).is_some() && name.is_below(&owner)
        };
        let theirs = &seen.theirs.sections;
        let refers = theirs[1].iter().any(|record| names_zone(record, "NS"));
        let denies = theirs[1]
            .iter()
            .any(|record| names_zone(record, "SOA") && parent.is_below(&Name::from_wire(&record.owner)));
        let ds =
            |record: &Record| record.rtype == type_number("DS") && Name::from_wire(&record.owner) == name;
        let tells = theirs[0].iter().any(ds) && above.any(|zone| zone.has(&name, "DS"));
        refers || denies || tells
    })
}

/// Whether our chain is a loop or breaks off at the limit.
pub fn endless(seen: &Seen) -> bool {
    let trail = trail(seen.case, seen.ours);
    trail.len() >= LONGEST
        || trail.last().is_some_and(|(_, target)| trail.iter().any(|(owner, _)| owner == target))
}

/// Whether the other answer is the beginning of ours.
pub fn stops(seen: &Seen) -> bool {
    let (ours, theirs) = (trail(seen.case, seen.ours), trail(seen.case, seen.theirs));
    !theirs.is_empty()
        && ours.starts_with(&theirs)
        && seen.theirs.sections[0].iter().all(|record| seen.ours.sections[0].contains(record))
}

/// Whether a name at or above the one asked for, or one the chain leads to, exists in another zone only.
pub fn foreign_encloser(seen: &Seen) -> bool {
    passed(seen).into_iter().any(|name| {
        let Some(apex) = answering(seen, &name) else { return false };
        name.up().take_while(|above| above.is_in(&apex)).any(|above| {
            let has = |zone: &Zone| zone.sets.keys().any(|(owner, _)| owner.is_in(&above));
            let (own, others): (Vec<&Zone>, Vec<&Zone>) =
                seen.zones.iter().partition(|zone| zone.apex == apex);
            let wildcard = above.child(b"*");
            let covers = |zone: &Zone| zone.sets.keys().any(|(owner, _)| owner.is_in(&wildcard));
            !own.iter().any(|zone| has(zone)) && others.iter().any(|zone| has(zone))
                || !own.iter().any(|zone| covers(zone)) && others.iter().any(|zone| covers(zone))
        })
    })
}
