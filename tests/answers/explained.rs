//! The differences that are known, each with who differs, the RFC that decides, and why.

use std::collections::BTreeSet;

use super::compare::{Case, Part};
use super::denial::is_proof;
use super::expected::{are_of_one_zone, is_confined};
use super::facts::{
    LONGEST, Seen, crossing, cut, ds_from_above, empty_wildcard, end, endless, fewer, fewer_nsec,
    foreign_encloser, lacks_glue, opted_out, optional_addresses, passed, proofs_only, same_but_optional,
    stops, trail, unopposed, useful_addresses, wildcard_glue,
};
use super::generate::Zone;
use super::loaded::Loaded;
use super::name::Name;
use super::reply::{AA, AD, CD, Record, Reply, SOA, TC, covered, type_number};
use super::world::Make::{self, Bind, Knot, Nsd};

/// One class of differences.
pub struct Class {
    pub name: &'static str,
    /// The RFC and section that decides.
    pub decides: &'static str,
    /// Who differs from tidemark.
    pub who: &'static [Make],
    pub why: &'static str,
    pub applies: fn(&Seen) -> bool,
}

/// QTYPE `*`.
const ANY: u16 = 255;
/// Type, class, TTL and length of a record.
const HEAD: usize = 10;
/// Where it shows that a proof is missing.
const PROOFS: &[Part] = &[Part::Authority, Part::Truncated];
const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;
const YXDOMAIN: u16 = 6;

/// All of them; the first that applies counts.
pub const CLASSES: &[Class] = &[
    Class {
        name: "more than the DNAME with YXDOMAIN",
        decides: "RFC 6672 2.2",
        who: &[Knot],
        why: "the DNAME that makes too long a name is the answer; Knot adds the SOA, or the DNAME over and over, \
              or what its target has or is referred to, or says NXDOMAIN, also with nothing in any section and without AA",
        applies: |seen| {
            let answer = &seen.theirs.sections[0];
            let leads = |fits: &dyn Fn(&Name) -> bool| {
                let mut targets = answer.iter().filter(|other| is_alias(other));
                targets.any(|other| fits(&Name::from_wire(&other.data)))
            };
            let known = |record: &Record| {
                let owner = Name::from_wire(&record.owner);
                let above = covered(record).unwrap_or(record.rtype) == type_number("DNAME");
                let fits = |target: &Name| if above { target.is_in(&owner) } else { *target == owner };
                seen.ours.sections[0].contains(record) || leads(&fits)
            };
            let refers = |record: &Record| {
                let cut = Name::from_wire(record.owner.strip_prefix(b"\x01*").unwrap_or(&record.owner));
                let ns = ["NS", "DS"].map(type_number).contains(&covered(record).unwrap_or(record.rtype));
                ns && leads(&|target| target.is_in(&cut))
            };
            let bare = seen.theirs.is_bare();
            (seen.part.is_content() || bare && seen.part == Part::Authoritative)
                && seen.ours.rcode == YXDOMAIN
                && [YXDOMAIN, NXDOMAIN].contains(&seen.theirs.rcode)
                && seen.theirs.sections[0].iter().all(known)
                && seen.theirs.sections[1]
                    .iter()
                    .all(|record| is_proof(record) || is_soa(record) || refers(record))
        },
    },
    Class {
        name: "a DNAME to a name below itself",
        decides: "RFC 6672 3.2",
        who: &[Nsd],
        why: "the target is looked up like any other, up to a limit; NSD does so once",
        applies: |seen| {
            let below = |record: &Record| {
                record.rtype == type_number("DNAME")
                    && Name::from_wire(&record.data).is_below(&Name::from_wire(&record.owner))
            };
            seen.part.is_content() && seen.ours.sections[0].iter().any(below) && stops(seen)
        },
    },
    Class {
        name: "CD copied",
        decides: "RFC 4035 3.1.6",
        who: &[Bind],
        why: "an authoritative answer has CD clear",
        applies: |seen| {
            seen.part == Part::Flags
                && (seen.case.ours().flags ^ seen.said.flags) & !(AA | TC) == CD
                && seen.said.has(CD)
        },
    },
    Class {
        name: "ANY answered with other RRsets",
        decides: "RFC 8482 4.1",
        who: &[Bind, Knot, Nsd],
        why: "one RRset stands for all, whichever; BIND gives all of them",
        applies: |seen| {
            let end = seen.ours.sections[0].last().map_or(end(seen).wire(), |record| record.owner.clone());
            let types = |reply: &Reply| {
                let at_end = reply.sections[0].iter().filter(|record| record.owner == end);
                at_end.map(|record| record.rtype).collect::<BTreeSet<u16>>()
            };
            let before = |reply: &Reply| -> Vec<Record> {
                reply.sorted(0).into_iter().filter(|record| record.owner != end).cloned().collect()
            };
            let parts = [Part::Answer, Part::Additional, Part::Truncated];
            seen.case.question.rtype == ANY
                && parts.contains(&seen.part)
                && types(seen.ours) != types(seen.theirs)
                && !types(seen.theirs).is_empty()
                && before(seen.ours) == before(seen.theirs)
                && are_of_one_zone(seen.loaded, &Name::from_wire(&end), &seen.theirs.sections[0])
        },
    },
    Class {
        name: "ANY stops at the CNAME made from a DNAME",
        decides: "RFC 6672 3.2 step 3c",
        who: &[Bind],
        why: "a DNAME is followed whatever the type; BIND lets ANY match the CNAME",
        applies: |seen| {
            let dname = |record: &Record| record.rtype == type_number("DNAME");
            seen.case.question.rtype == ANY && seen.ours.sections[0].first().is_some_and(dname) && stops(seen)
        },
    },
    Class {
        name: "RRSIG or NSEC at a CNAME that has none",
        decides: "RFC 4035 2.5",
        who: &[Nsd],
        why: "both types may stand beside a CNAME, so that there is no data, as BIND and Knot say; NSD follows the CNAME",
        applies: |seen| {
            let beside = ["RRSIG", "NSEC"].iter().any(|rtype| type_number(rtype) == seen.case.question.rtype);
            let (ours, theirs) = (trail(seen.case, seen.ours), trail(seen.case, seen.theirs));
            seen.part.is_content() && beside && theirs.len() > ours.len() && theirs.starts_with(&ours)
        },
    },
    Class {
        name: "NSEC3 at a CNAME",
        decides: "RFC 5155 7.2.8",
        who: &[Nsd],
        why: "no name owns NSEC3 beside a CNAME, so that the CNAME is followed; NSD says there is no data",
        applies: |seen| {
            let (ours, theirs) = (trail(seen.case, seen.ours), trail(seen.case, seen.theirs));
            seen.part.is_content()
                && seen.case.question.rtype == type_number("NSEC3")
                && ours.len() > theirs.len()
                && ours.starts_with(&theirs)
        },
    },
    Class {
        name: "DS of a name whose zone and two above it are here",
        decides: "RFC 4035 3.1.4.1",
        who: &[Nsd],
        why: "the zone right above the cut answers; NSD takes one above that",
        applies: |seen| {
            seen.part.is_verdict() && seen.case.question.rtype == type_number("DS") && ds_from_above(seen)
        },
    },
    Class {
        name: "TC although there is room",
        decides: "RFC 2181 9, RFC 9471 3.1",
        who: &[Bind, Knot, Nsd],
        why: "tidemark's answer, the same, fits. BIND points into the data of a DNAME, but only to names of the same case, has its \
              records in another order each time, and wants room for an address's owner written out; Knot points to \
              fewer names; NSD sets TC where addresses are left out that may be",
        applies: |seen| {
            let limit = seen.case.question.limit();
            [Part::Truncated, Part::Rcode].contains(&seen.part)
                && seen.said.has(TC)
                && !seen.case.ours().has(TC)
                && seen.ours.rcode == seen.theirs.rcode
                && (seen.theirs.length > limit
                    || seen.make == Bind
                        && same_but_optional(seen)
                        && seen.said.length + written_out(seen.ours) > limit)
        },
    },
    Class {
        name: "no TC although it does not fit",
        decides: "RFC 1035 4.1.4, RFC 2181 9",
        who: &[Bind, Knot, Nsd],
        why: "tidemark's answer is longer, as BIND and NSD point to some names that it writes out",
        applies: |seen| {
            [Part::Truncated, Part::Rcode].contains(&seen.part)
                && !seen.said.has(TC)
                && seen.case.ours().has(TC)
                && seen.ours.rcode == seen.theirs.rcode
                && same_but_optional(seen)
        },
    },
    Class {
        name: "another code with TC",
        decides: "RFC 6604 3",
        who: &[Knot],
        why: "the code is that of the whole answer, as it is over TCP; Knot stops where there is no more room",
        applies: |seen| seen.part == Part::Rcode && seen.said.has(TC) && seen.ours.rcode == seen.theirs.rcode,
    },
    Class {
        name: "AD copied into a reply without answer",
        decides: "RFC 4035 3.1.6",
        who: &[Bind],
        why: "there is nothing that was found authentic",
        applies: |seen| {
            let differ = (seen.case.ours().flags ^ seen.said.flags) & !(AA | TC | CD);
            seen.part == Part::Flags
                && differ == AD
                && (seen.said.has(TC) || seen.said.sections[0].is_empty())
        },
    },
    Class {
        name: "a DNAME at a wildcard",
        decides: "RFC 6672 3.3, RFC 4592 4.4",
        who: &[Knot],
        why: "below the wildcard's own name the DNAME is that name's; Knot makes one for the name asked for, and has \
              SERVFAIL, or nothing in any section and no AA, where that does not work",
        applies: |seen| {
            let dname = |record: &&Record| record.rtype == type_number("DNAME");
            let theirs = || seen.theirs.sections[0].iter().filter(dname);
            let ours = seen.ours.sections[0].iter().filter(dname);
            let wild = ours.filter(|record| record.owner.starts_with(b"\x01*"));
            let made =
                |own: &Record| theirs().any(|other| other.owner != own.owner && other.data == own.data);
            let failed = seen.theirs.rcode == SERVFAIL || seen.theirs.is_bare();
            seen.part.is_verdict() && wild.into_iter().any(|own| failed || made(own))
        },
    },
    Class {
        name: "addresses of hosts named in the answer",
        decides: "RFC 1034 4.3.2 step 6, RFC 2181 5",
        who: &[Bind, Knot, Nsd],
        why: "optional: NSD gives none as configured, Knot for ANY too, BIND and Knot also where a wildcard makes them",
        applies: |seen| seen.part == Part::Additional && useful_addresses(seen),
    },
    Class {
        name: "NSEC of a delegation",
        decides: "RFC 4035 3.1.4.1",
        who: &[Bind],
        why: "at a cut only DS is answered, everything else is referred; BIND answers NSEC too",
        applies: |seen| {
            let nsec = |record: &Record| covered(record).unwrap_or(record.rtype) == type_number("NSEC");
            let (asked, last) = (seen.case.question.rtype, end(seen));
            let at_cut = |record: &Record| Name::from_wire(&record.owner) == last && nsec(record);
            let added =
                seen.theirs.sections[0].iter().filter(|record| !seen.ours.sections[0].contains(record));
            seen.part.is_verdict()
                && asked == type_number("NSEC")
                && cut(seen.ours) == Some(last.clone())
                && added.clone().count() > 0
                && added.into_iter().all(at_cut)
        },
    },
    Class {
        name: "RRSIG answered by one signature",
        decides: "RFC 8482 7",
        who: &[Knot],
        why: "a server may choose which to give; Knot gives one",
        applies: |seen| {
            let inside = seen.theirs.sections[0].iter().all(|record| seen.ours.sections[0].contains(record));
            seen.case.question.rtype == type_number("RRSIG")
                && inside
                && !seen.theirs.sections[0].is_empty()
                && [Part::Answer, Part::Truncated].contains(&seen.part)
        },
    },
    Class {
        name: "closest encloser without NSEC3",
        decides: "RFC 5155 7.2.1",
        who: &[Knot, Nsd],
        why: "under opt-out an empty non-terminal may have no NSEC3: the closest provable encloser is above it; \
              NSD takes the name itself, Knot gives up, with all sections empty and without AA",
        applies: |seen| {
            let bare = seen.make == Knot && seen.ours.rcode == seen.theirs.rcode && seen.theirs.is_bare();
            (PROOFS.contains(&seen.part) || bare && [Part::Authoritative, Part::Answer].contains(&seen.part))
                && opted_out(seen)
                && (bare || proofs_only(seen))
        },
    },
    Class {
        name: "a wildcard that is an empty non-terminal",
        decides: "RFC 4035 3.1.3.4",
        who: &[Bind, Knot, Nsd],
        why: "that it has no data is to be proved by the NSEC over it, and the name's absence by another: BIND and Knot leave the \
              first out, NSD sometimes the second",
        applies: |seen| PROOFS.contains(&seen.part) && proofs_only(seen) && empty_wildcard(seen),
    },
    Class {
        name: "a name with `*` in front",
        decides: "RFC 4592 2.1.3, RFC 4035 3.1.3.2",
        who: &[Knot],
        why: "asked for or come to it is a name like others, and what is not there to be proved; Knot does not, nor set AA",
        applies: |seen| {
            let star = passed(seen).iter().any(|name| name.labels.first().is_some_and(|label| label == b"*"));
            let shows = PROOFS.contains(&seen.part) || seen.part == Part::Authoritative;
            star && shows && fewer(seen)
        },
    },
    Class {
        name: "a proof with more or less in it",
        decides: "RFC 4035 3.1.3, RFC 5155 7.2",
        who: &[Nsd],
        why: "NSD is wrong about the wildcard below names with labels that sort before `*`, and does not always prove the closest \
              encloser, or does where it need not; BIND or Knot prove what tidemark proves",
        applies: |seen| {
            PROOFS.contains(&seen.part)
                && seen.ours.rcode == seen.theirs.rcode
                && proofs_only(seen)
                && unopposed(seen)
        },
    },
    Class {
        name: "NSEC of a name made from a wildcard",
        decides: "RFC 4035 3.1.3.3",
        who: &[Knot],
        why: "the wildcard is proved as for other types; Knot leaves that out where the answer is the NSEC itself",
        applies: |seen| {
            PROOFS.contains(&seen.part) && seen.case.question.rtype == type_number("NSEC") && fewer_nsec(seen)
        },
    },
    Class {
        name: "optional addresses in a referral",
        decides: "RFC 9471 3.2",
        who: &[Bind, Knot, Nsd],
        why: "addresses of servers outside the delegated zone may be left out",
        applies: |seen| seen.part == Part::Additional && optional_addresses(seen),
    },
    Class {
        name: "NS at a wildcard",
        decides: "RFC 4592 4.2",
        who: &[Nsd],
        why: "undefined there: Knot and tidemark refer to the wildcard's servers, NSD answers as from other data",
        applies: |seen| {
            seen.part.is_verdict()
                && cut(seen.ours)
                    .is_some_and(|at| at.labels[0] == b"*" && cut(seen.theirs).as_ref() != Some(&at))
        },
    },
    Class {
        name: "glue made from a wildcard below the cut",
        decides: "RFC 4592 2.1.1, RFC 1034 4.2.1",
        who: &[Knot, Nsd],
        why: "below a cut nothing is the zone's to make answers from, and glue is records that are there",
        applies: |seen| {
            seen.part == Part::Additional && cut(seen.theirs).is_some_and(|cut| wildcard_glue(seen, &cut))
        },
    },
    Class {
        name: "glue missing without TC",
        decides: "RFC 9471 3.1",
        who: &[Bind, Nsd],
        why: "addresses of servers inside the delegated zone must be there, or TC be set",
        applies: |seen| {
            [Part::Truncated, Part::Additional].contains(&seen.part)
                && !seen.said.has(TC)
                && cut(seen.said).is_some_and(|cut| lacks_glue(seen, &cut))
        },
    },
    Class {
        name: "a chain is not followed into another zone",
        decides: "RFC 1034 4.3.2 step 3a, RFC 6604 3",
        who: &[Bind, Knot],
        why: "a target is looked up in all zones of the server; BIND (without recursion) stops, and Knot looks in \
              the first zone only; what they do not prove there they do not prove otherwise",
        applies: |seen| {
            crossing(seen).is_some()
                && seen.part.is_content()
                && is_confined(seen.loaded, seen.case, (seen.make, seen.theirs), seen.part)
        },
    },
    Class {
        name: "a chain of more than five",
        decides: "RFC 1034 3.6.2",
        who: &[Knot],
        why: "chains should be followed; Knot follows five CNAMEs",
        applies: |seen| {
            let (ours, theirs) = (trail(seen.case, seen.ours), trail(seen.case, seen.theirs));
            seen.part.is_content()
                && theirs.len() >= 5
                && ours.len() > theirs.len()
                && ours.starts_with(&theirs)
        },
    },
    Class {
        name: "a chain without end",
        decides: "RFC 1034 3.6.2, RFC 2181 5",
        who: &[Bind, Knot],
        why: "no RFC names a response code for it: BIND has SERVFAIL, the others NOERROR; a record stands once, Knot repeats it",
        applies: |seen| {
            let same = || seen.theirs.sections[0].iter().all(|record| seen.ours.sections[0].contains(record));
            endless(seen)
                && ([Part::Rcode, Part::Truncated].contains(&seen.part) && seen.theirs.rcode == SERVFAIL
                    || seen.part == Part::Answer && same())
        },
    },
    Class {
        name: "a DNAME that the chain comes to twice",
        decides: "RFC 2181 5",
        who: &[Knot],
        why: "a record stands once in an answer; Knot repeats the DNAME",
        applies: |seen| {
            let (ours, theirs) = (&seen.ours.sections[0], &seen.theirs.sections[0]);
            let count = |record: &Record| theirs.iter().filter(|other| *other == record).count();
            let dname = type_number("DNAME");
            seen.part == Part::Answer
                && ours.iter().all(|record| {
                    count(record) == 1
                        || count(record) > 1 && covered(record).unwrap_or(record.rtype) == dname
                })
                && theirs.iter().all(|record| ours.contains(record))
        },
    },
    Class {
        name: "a chain of more than sixteen",
        decides: "RFC 1034 3.6.2",
        who: &[Nsd],
        why: "a limit has to be; NSD's is higher",
        applies: |seen| {
            let (ours, theirs) = (trail(seen.case, seen.ours), trail(seen.case, seen.theirs));
            seen.part.is_content()
                && ours.len() == LONGEST
                && theirs.len() >= LONGEST
                && theirs.starts_with(&ours)
        },
    },
    Class {
        name: "the names of another zone hide a wildcard",
        decides: "RFC 4592 3.3.1",
        who: &[Nsd],
        why: "the closest encloser is a name of the zone; NSD 4.6 takes names that only a zone above has, and says less",
        applies: |seen| {
            let known = |record: &Record| seen.ours.sections[0].contains(record);
            seen.part.is_verdict() && foreign_encloser(seen) && seen.theirs.sections[0].iter().all(known)
        },
    },
];

/// The longest record of a reply, without pointers.
fn written_out(reply: &Reply) -> usize {
    let length = |record: &Record| record.owner.len() + HEAD + record.data.len();
    reply.sections.iter().flatten().map(length).max().unwrap_or(0)
}

/// CNAME or DNAME, which both have one name for data.
fn is_alias(record: &Record) -> bool {
    ["CNAME", "DNAME"].map(type_number).contains(&record.rtype)
}

fn is_soa(record: &Record) -> bool {
    covered(record).unwrap_or(record.rtype) == SOA
}

/// The class of a difference, when it is known.
pub fn class(
    (zones, loaded): (&[Zone], &[Loaded]),
    case: &Case,
    make: Make,
    part: Part,
) -> Option<&'static Class> {
    let whole = |make| case.whole_of(make).or(case.of(make));
    let (ours, theirs) = (whole(Make::Tidemark)?, whole(make)?);
    let seen = Seen { zones, loaded, case, make, part, ours, theirs, said: case.of(make)? };
    CLASSES.iter().find(|class| class.who.contains(&make) && (class.applies)(&seen))
}
