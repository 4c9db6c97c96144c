//! What the RFCs want said, from the zones' text alone: RFC 1034 4.3.2 with RFC 4592, RFC 6672 and RFC 8482.
//!
//! The peers cannot judge tidemark where they differ from it; this can. Record data is compared by count, and by the peers.

use std::collections::BTreeMap;

use super::ask::{self, Question};
use super::compare::{Case, Part};
use super::denial::{self, BESIDE_CNAME, Claim};
use super::facts::LONGEST;
use super::loaded::{self, Kind, Loaded, Set};
use super::name::Name;
use super::reply::{AA, CNAME, RRSIG, Record, Reply, SOA, TC, covered, type_name, type_number};
use super::world::Make;

const ANY: u16 = 255;
const NOERROR: u16 = 0;
const NXDOMAIN: u16 = 3;
const REFUSED: u16 = 5;
const YXDOMAIN: u16 = 6;
/// An OPT record without options.
const OPT_LENGTH: usize = 11;
/// RRsets: TTL and number of records.
type Sets = BTreeMap<(Name, Kind), (u32, usize)>;

/// The answer to one question.
pub struct Expected<'l> {
    pub rcode: u16,
    pub authoritative: bool,
    answer: Sets,
    /// Without proofs.
    authority: Sets,
    /// What is to be proved, and where.
    claims: Vec<(&'l Loaded, Claim)>,
    /// The zone that has spoken last.
    last: &'l Loaded,
    /// The owner of the NS records of a referral.
    cut: Option<Name>,
}

/// What a zone has for a name.
enum Found {
    Cut(Name),
    Dname(Name),
    /// The owner of the data: the name itself or a wildcard.
    At(Name),
    Nothing,
}

/// What is wrong with tidemark's reply.
pub fn faults(zones: &[Loaded], case: &Case) -> Vec<String> {
    let reply = case.ours();
    let all: Vec<&Loaded> = zones.iter().collect();
    let mut faults = Vec::new();
    let Some(expected) = expect(&all, None, &case.question, reply) else {
        if reply.rcode != REFUSED || reply.has(AA | TC) || !reply.is_bare() {
            faults.push("more than REFUSED where no zone has the name".to_owned());
        }
        return faults;
    };
    if reply.rcode != expected.rcode {
        faults.push(format!("another response code than expected: {}", expected.rcode));
    }
    if reply.has(AA) != expected.authoritative {
        faults.push(format!("AA, which was expected to be {}", expected.authoritative));
    }
    if reply.has(TC) {
        let whole = case.whole_of(Make::Tidemark).filter(|whole| expected.fits(&case.question, whole));
        faults.extend(whole.map(|_| "TC although there is room".to_owned()));
        return faults;
    }
    faults.extend(differences("answer", &expected.answer, &sets(&reply.sections[0])));
    let (proofs, rest): (Vec<Record>, Vec<Record>) =
        reply.sections[1].iter().cloned().partition(denial::is_proof);
    faults.extend(differences("authority", &expected.authority, &sets(&rest)));
    faults.extend(denial::faults(zones, &proofs, &expected.claims));
    faults.extend(expected.additional(&case.question, reply));
    faults
}

/// Whether a part of another make's reply is what is expected where a chain stays in the zone that has the name asked for:
/// what is nearer in another zone is looked up there, as Knot does, or not at all, as BIND does but for the DS of that zone.
pub fn is_confined(zones: &[Loaded], case: &Case, (make, reply): (Make, &Reply), part: Part) -> bool {
    let all: Vec<&Loaded> = zones.iter().collect();
    let Some(first) = answering(&all, &case.name(), case.question.rtype) else { return false };
    let (proofs, rest): (Vec<Record>, Vec<Record>) =
        reply.sections[1].iter().cloned().partition(denial::is_proof);
    let is_from = |within: &[&Loaded]| {
        let expected = expect(within, Some(first), &case.question, reply);
        expected.is_some_and(|expected| {
            let answer = || sets(&reply.sections[0]) == expected.answer;
            let authority = || sets(&rest) == expected.authority;
            match part {
                Part::Rcode => reply.rcode == expected.rcode,
                Part::Answer => answer(),
                Part::Authority => {
                    let less = expected
                        .claims
                        .iter()
                        .filter_map(|(zone, claim)| Some((*zone, claim.less(make == Make::Knot, zone)?)));
                    let holds =
                        |claims: &[(&Loaded, Claim)]| denial::faults(zones, &proofs, claims).is_empty();
                    authority() && (holds(&expected.claims) || holds(&less.collect::<Vec<_>>()))
                }
                _ => answer() && authority(),
            }
        })
    };
    is_from(&[first]) || make == Make::Bind && is_from(&all)
}

/// Whether a name's records are whole RRsets that one of the zones has for it.
pub fn are_of_one_zone(zones: &[Loaded], name: &Name, records: &[Record]) -> bool {
    let sets = sets(records);
    zones.iter().filter(|zone| name.is_in(&zone.apex)).any(|zone| {
        let Found::At(owner) = find(zone, name, ANY) else { return false };
        sets.iter().filter(|((at, _), _)| at == name).all(|((_, kind), have)| {
            let set = zone.sets.get(&(owner.clone(), *kind));
            set.is_some_and(|set| (set.ttl, set.data.len()) == *have)
        })
    })
}

/// Where the answer leads, following our choice for ANY, through all zones or only one.
fn expect<'l>(
    zones: &[&'l Loaded],
    only: Option<&Loaded>,
    question: &Question,
    reply: &Reply,
) -> Option<Expected<'l>> {
    let mut name = question.name.lower();
    let mut zone = answering(zones, &name, question.rtype)?;
    let mut expected = Expected {
        rcode: NOERROR,
        authoritative: true,
        answer: Sets::new(),
        authority: Sets::new(),
        claims: Vec::new(),
        last: zone,
        cut: None,
    };
    let dnssec = question.edns.is_some_and(|edns: ask::Edns| edns.dnssec);
    let mut passed = Vec::new();
    loop {
        expected.last = zone;
        passed.push(name.clone());
        let proves = dnssec && !zone.chain.is_empty();
        let target = match find(zone, &name, question.rtype) {
            Found::Cut(cut) => {
                expected.authoritative = passed.len() > 1;
                expected.refer(zone, cut, proves);
                return Some(expected);
            }
            Found::Nothing => {
                expected.rcode = NXDOMAIN;
                expected.deny(zone, proves, Claim::NoName(name));
                return Some(expected);
            }
            Found::Dname(owner) => {
                let dname = give(&mut expected.answer, zone, &owner, &owner, type_number("DNAME"), proves)?;
                let kept = &name.labels[..name.labels.len() - owner.labels.len()];
                let target = Name { labels: [kept, &loaded::name(&dname.data[0]).labels].concat() };
                if !target.is_legal() {
                    expected.rcode = YXDOMAIN;
                    return Some(expected);
                }
                expected.answer.insert((name, (CNAME, None)), (dname.ttl, 1));
                if question.rtype == CNAME {
                    return Some(expected);
                }
                target
            }
            Found::At(owner) => {
                let expanded = owner != name;
                let rtype = match question.rtype {
                    ANY => chosen(zone, &owner, &name, reply),
                    rtype => Some(rtype).filter(|rtype| zone.at(&owner).any(|((at, _), _)| at == *rtype)),
                };
                let beside = BESIDE_CNAME.iter().any(|beside| type_number(beside) == question.rtype);
                let alias = zone.get(&owner, "CNAME").filter(|_| rtype.is_none() && !beside);
                if (rtype.is_some() || alias.is_some()) && expanded && proves {
                    expected.claims.push((zone, Claim::Expanded(name.clone())));
                }
                match (rtype, alias) {
                    (Some(rtype), _) => {
                        give(&mut expected.answer, zone, &owner, &name, rtype, proves);
                        return Some(expected);
                    }
                    (None, Some(cname)) => {
                        give(&mut expected.answer, zone, &owner, &name, CNAME, proves);
                        loaded::name(&cname.data[0])
                    }
                    (None, None) => {
                        let claim = match expanded {
                            true => Claim::WildcardNoData(name, owner, question.rtype),
                            false => Claim::NoData(name, question.rtype),
                        };
                        expected.deny(zone, proves, claim);
                        return Some(expected);
                    }
                }
            }
        };
        // A loop, the limit, or a name that no zone here has: what was found so far is the answer.
        let next = answering(zones, &target, question.rtype)
            .filter(|next| only.is_none_or(|only| next.apex == only.apex));
        let goes_on = !passed.contains(&target) && passed.len() < LONGEST;
        let Some(next) = next.filter(|_| goes_on) else { return Some(expected) };
        (zone, name) = (next, target);
    }
}

impl<'l> Expected<'l> {
    /// RFC 4035 3.1.4: NS, and DS or the proof that there is none.
    fn refer(&mut self, zone: &'l Loaded, cut: Name, proves: bool) {
        give(&mut self.authority, zone, &cut, &cut, type_number("NS"), false);
        let ds = type_number("DS");
        if proves && give(&mut self.authority, zone, &cut, &cut, ds, true).is_none() {
            self.claims.push((zone, Claim::NoData(cut.clone(), ds)));
        }
        self.cut = Some(cut);
    }

    /// RFC 2308 3: the SOA, to be kept for no longer than its minimum.
    fn deny(&mut self, zone: &'l Loaded, proves: bool, claim: Claim) {
        let apex = &zone.apex;
        if let Some(soa) = give(&mut self.authority, zone, apex, apex, SOA, proves) {
            let minimum = soa.data[0].rsplit(' ').next().unwrap().parse().unwrap();
            self.authority.values_mut().for_each(|(ttl, _)| *ttl = soa.ttl.min(minimum));
        }
        if proves {
            self.claims.push((zone, claim));
        }
    }

    /// The servers of a referral inside the delegated zone.
    fn glued(&self) -> Vec<Name> {
        let Some(cut) = &self.cut else { return Vec::new() };
        let ns = self.last.get(cut, "NS").into_iter().flat_map(|set| &set.data);
        ns.map(|host| loaded::name(host)).filter(|host| host.is_in(cut)).collect()
    }

    /// What is wrong with the additional section: glue is missing (RFC 9471 3.1), or something is in it that nothing names, or
    /// that the zone does not have.
    fn additional(&self, question: &Question, reply: &Reply) -> Vec<String> {
        let found = sets(&reply.sections[2]);
        let mut faults = Vec::new();
        let addresses = ["A", "AAAA"].map(type_number);
        for host in self.glued() {
            for ((rtype, _), set) in self.last.at(&host).filter(|((rtype, _), _)| addresses.contains(rtype)) {
                if found.get(&(host.clone(), (rtype, None))) != Some(&(set.ttl, set.data.len())) {
                    faults.push(format!("glue: {} {}", host.text(), type_name(rtype)));
                }
            }
        }
        let naming = if self.cut.is_some() { &reply.sections[1] } else { &reply.sections[0] };
        let servers = naming.iter().any(|record| record.rtype == type_number("NS"));
        let useful = ["A", "AAAA", "SVCB", "HTTPS"].map(type_number);
        for ((host, (rtype, signs)), have) in &found {
            let wire = host.wire();
            let named = naming.iter().any(|record| {
                record.data.ends_with(&wire) || record.data.windows(wire.len()).any(|part| part == wire)
            });
            let owner = match find(self.last, host, type_number("A")) {
                _ if servers && self.last.nodes.contains(host) => Some(host.clone()),
                Found::At(owner) => Some(owner),
                _ => None,
            };
            let set = owner.and_then(|owner| self.last.sets.get(&(owner, (*rtype, *signs))));
            let right = set.is_some_and(|set| (set.ttl, set.data.len()) == *have);
            if !named || !right || !useful.contains(&signs.unwrap_or(*rtype)) {
                faults.push(format!("in the additional section: {} {}", host.text(), type_name(*rtype)));
            }
            if signs.is_some() && !question.edns.is_some_and(|edns| edns.dnssec) {
                faults.push("signatures without DO in the additional section".to_owned());
            }
        }
        faults
    }

    /// Whether all that has to be said has room for this question, going by the same over TCP.
    fn fits(&self, question: &Question, whole: &Reply) -> bool {
        let glued: Vec<Vec<u8>> = self.glued().iter().map(Name::wire).collect();
        let glue =
            whole.sections[2].iter().zip(&whole.ends[2]).filter(|(record, _)| glued.contains(&record.owner));
        let ends = whole.ends[0].iter().chain(&whole.ends[1]).chain(glue.map(|(_, end)| end));
        let opt = if question.edns.is_some() { OPT_LENGTH } else { 0 };
        ends.max().is_none_or(|end| end + opt <= question.limit())
    }
}

/// Puts an RRset as `name`'s, with its signatures, into a section; for RRSIG all signatures there are.
fn give<'l>(
    section: &mut Sets,
    zone: &'l Loaded,
    owner: &Name,
    name: &Name,
    rtype: u16,
    proves: bool,
) -> Option<&'l Set> {
    let mut found = None;
    for (kind, set) in zone.at(owner) {
        if kind.0 == rtype || proves && kind == (RRSIG, Some(rtype)) {
            section.insert((name.clone(), kind), (set.ttl, set.data.len()));
        }
        if kind.0 == rtype {
            found = Some(set);
        }
    }
    found
}

/// The type that stands for all at a name (RFC 8482 4.1): that which tidemark has chosen, when it may be.
fn chosen(zone: &Loaded, owner: &Name, name: &Name, reply: &Reply) -> Option<u16> {
    let types = || zone.at(owner).map(|((rtype, _), _)| rtype).filter(|rtype| *rtype != RRSIG);
    let wire = name.wire();
    // A DNAME may be there for a name below it; what else is there is the choice then.
    let dname = type_number("DNAME");
    let given =
        |rtype: &u16| reply.sections[0].iter().any(|record| record.owner == wire && record.rtype == *rtype);
    types().filter(given).max_by_key(|rtype| *rtype != dname).or(types().next())
}

fn find(zone: &Loaded, name: &Name, rtype: u16) -> Found {
    let mut path: Vec<Name> = name.up().take_while(|above| above.is_in(&zone.apex)).collect();
    path.reverse();
    for above in &path {
        let own_ds = above == name && rtype == type_number("DS");
        if *above != zone.apex && zone.get(above, "NS").is_some() && !own_ds {
            return Found::Cut(above.clone());
        }
        if above != name && zone.get(above, "DNAME").is_some() {
            return Found::Dname(above.clone());
        }
    }
    if zone.nodes.contains(name) {
        return Found::At(name.clone());
    }
    let wildcard = zone.encloser(name).child(b"*");
    // RFC 4592 4.2 leaves NS there undefined; here it is a cut.
    match zone.nodes.contains(&wildcard) {
        true if rtype != type_number("DS") && zone.get(&wildcard, "NS").is_some() => Found::Cut(wildcard),
        true => Found::At(wildcard),
        false => Found::Nothing,
    }
}

/// RRsets of a section; of several TTLs none.
fn sets(records: &[Record]) -> Sets {
    let mut sets = Sets::new();
    for record in records {
        let key = (Name::from_wire(&record.owner), (record.rtype, covered(record)));
        let (ttl, count) = sets.entry(key).or_insert((record.ttl, 0));
        if *ttl != record.ttl {
            *ttl = u32::MAX;
        }
        *count += 1;
    }
    sets
}

fn differences(section: &str, expected: &Sets, found: &Sets) -> Vec<String> {
    let text = |((owner, (rtype, signs)), (ttl, count)): (&(Name, Kind), &(u32, usize))| {
        format!("{count} {} {ttl} {} {signs:?}", owner.text(), type_name(*rtype))
    };
    let missing = expected.iter().filter(|(key, set)| found.get(key) != Some(set));
    let added = found.iter().filter(|(key, set)| expected.get(key) != Some(set));
    let missing = missing.map(|set| format!("missing in the {section} section: {}", text(set)));
    missing.chain(added.map(|set| format!("not expected in the {section} section: {}", text(set)))).collect()
}

/// The zone nearest to a name; for DS at its apex the one above, when that is here (RFC 4035 3.1.4.1).
fn answering<'l>(zones: &[&'l Loaded], name: &Name, rtype: u16) -> Option<&'l Loaded> {
    let nearest = |name: &Name| {
        zones.iter().copied().filter(|zone| name.is_in(&zone.apex)).max_by_key(|zone| zone.apex.labels.len())
    };
    let found = nearest(name)?;
    let above = || name.parent().and_then(|parent| nearest(&parent));
    let ds = rtype == type_number("DS") && found.apex == *name;
    if ds { above().or(Some(found)) } else { Some(found) }
}
