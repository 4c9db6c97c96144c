//! Answers from zones: RFC 1034 4.3.2, in the order answer, authority, additional, then truncation.
//!
//! A chain of CNAMEs and DNAMEs is followed name by name, which writes the answer section; the last name decides the code and
//! the authority section, where proofs that earlier names of the chain need come behind its own. It is followed to its end even
//! where there is no room for it: the code of a truncated answer is that of the whole one (RFC 6604 3).

use std::sync::Arc;

use crate::publish::directory::Directory;
use crate::publish::zone::{Version, Zone};
use crate::wire::message::{Request, flags};
use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::{Rcode, Rtype};
use crate::wire::writer::{Full, Section, Sections, Writer};
use crate::zone::dname;
use crate::zone::fault::stands_beside_cname;
use crate::zone::lookup::Found;
use crate::zone::owner::{Owner, Rrset};

use super::context::Served;
use super::end::{Authority, End};
use super::proof::Proofs;
use super::view::{self, View};

/// Aliases written for one question (BIND follows 11, Knot 5, NSD all).
const MAX_CHAIN: usize = 16;

/// The zone that answers for a name: the nearest above it, or at it unless DS is asked for at the zone's own apex. That belongs
/// to the parent, which may be served here too (RFC 4035 3.1.4.1).
pub(super) fn zone_for<'d>(directory: &'d Directory, name: &NameRef, rtype: Rtype) -> Option<&'d Arc<Zone>> {
    let zone = directory.find(name)?;
    let above = name.parent().filter(|_| rtype == Rtype::DS && *name == **zone.name());
    Some(above.and_then(|name| directory.find(name)).unwrap_or(zone))
}

/// Writes the answer of one zone version; returns the response code.
pub(super) fn write(
    served: &Served,
    version: &Version,
    request: &Request<'_>,
    writer: &mut Writer<'_>,
) -> Rcode {
    writer.set_flags(flags::AA);
    let start = writer.mark();
    let (rcode, written) = solve(served, version, request, writer);
    if written.is_err() {
        writer.rewind(start);
        writer.set_flags(flags::TC);
    }
    rcode
}

/// Writes the sections; returns the response code, known also where they do not fit.
fn solve(
    served: &Served,
    version: &Version,
    request: &Request<'_>,
    writer: &mut Writer<'_>,
) -> (Rcode, Result<(), Full>) {
    let dnssec_ok = request.opt.is_some_and(|opt| opt.dnssec_ok);
    let view = View::new(&version.snapshot, dnssec_ok);
    let mut chain = Chain { first: view, hops: Vec::new(), answer: Ok(()), dnssec_ok };
    let mut alias = match step(view, &mut chain, request.name, request.rtype, writer) {
        Step::End(end) => return finish(view, &chain, request.name, end, writer),
        Step::Alias(alias) => alias,
    };
    let mut version = None;
    loop {
        let name = alias.target.clone();
        let known = &*name == request.name || chain.hops.iter().any(|hop| hop.target == name);
        chain.hops.push(Hop { version: version.take(), ..alias });
        // A loop, or so long that it is as good as one: what was found of it is the answer.
        if known || chain.hops.len() == MAX_CHAIN {
            break;
        }
        // The chain may lead into another zone that is served here; outside of those it ends (RFC 1034 4.3.2 step 3a).
        let next = zone_for(&served.store.directory(), &name, request.rtype).and_then(|zone| zone.version());
        let Some(next) = next else { break };
        let view = View::new(&next.snapshot, dnssec_ok);
        alias = match step(view, &mut chain, &name, request.rtype, writer) {
            Step::End(end) => return finish(view, &chain, &name, end, writer),
            Step::Alias(alias) => alias,
        };
        version = Some(next);
    }
    let nothing = End { rcode: Rcode::NOERROR, authority: Authority::Nothing, additional: None };
    finish(view, &chain, request.name, nothing, writer)
}

/// What a name leads to.
enum Step<'z> {
    End(End<'z>),
    Alias(Hop),
}

impl<'z> Step<'z> {
    fn end(rcode: Rcode, authority: Authority<'z>) -> Step<'z> {
        Step::End(End { rcode, authority, additional: None })
    }
}

/// The names passed on the way to the last one.
struct Chain<'z> {
    first: View<'z>,
    hops: Vec<Hop>,
    /// Whether the answer section had room for everything so far.
    answer: Result<(), Full>,
    dnssec_ok: bool,
}

/// A CNAME, or a DNAME with the CNAME made of it.
struct Hop {
    target: Name,
    /// Where a wildcard was the CNAME's owner: the name it was made for.
    synthesised: Option<Name>,
    /// The DNAME's owner.
    dname: Option<Name>,
    /// Where it was found, unless in the first zone.
    version: Option<Arc<Version>>,
}

impl Chain<'_> {
    /// Notes whether something had its place in the answer section.
    fn note(&mut self, written: Result<(), Full>) {
        self.answer = self.answer.and(written);
    }

    /// Whether the DNAME at `owner` is in the answer already: a chain may come to it twice, and it is the same record, which
    /// stands once (RFC 2181 5).
    fn has_dname(&self, owner: &NameRef) -> bool {
        self.hops.iter().any(|hop| hop.dname.as_deref() == Some(owner))
    }

    /// Writes the proofs for wildcards passed on the way.
    fn prove(&self, proofs: &mut Proofs, writer: &mut Writer<'_>) -> Result<(), Full> {
        for hop in &self.hops {
            let Some(name) = &hop.synthesised else { continue };
            let view = match &hop.version {
                Some(version) => View::new(&version.snapshot, self.dnssec_ok),
                None => self.first,
            };
            proofs.synthesised(view, name, writer)?;
        }
        Ok(())
    }
}

/// Writes what belongs into the answer section for one name of the chain.
fn step<'z>(
    view: View<'z>,
    chain: &mut Chain<'_>,
    name: &NameRef,
    rtype: Rtype,
    writer: &mut Writer<'_>,
) -> Step<'z> {
    let found = view.zone.lookup(name, rtype);
    let found = match view.zone.signed() {
        Some(_) => view.zone.without_hashed(found, name, rtype),
        None => found,
    };
    match found {
        Found::Exact(owner) => data(view, chain, name, owner, false, rtype, writer),
        Found::Wildcard(owner) => data(view, chain, name, owner, true, rtype, writer),
        Found::Delegation(cut) => {
            if chain.hops.is_empty() {
                writer.clear_flags(flags::AA);
            }
            Step::end(Rcode::NOERROR, Authority::Referral(cut))
        }
        Found::Dname(owner) => {
            let Some(found) = view.find(owner, Rtype::DNAME) else {
                return Step::end(Rcode::SERVFAIL, Authority::Nothing);
            };
            if !chain.has_dname(owner.name()) {
                chain.note(view::write(writer, Section::Answer, owner.name(), found));
            }
            let dname = found.set;
            let target = NameRef::read(dname.first())
                .ok()
                .and_then(|target| dname::substitute(name, owner.name(), target));
            let Some(target) = target else { return Step::end(Rcode::YXDOMAIN, Authority::Nothing) };
            // RFC 6672 3.1: the synthesised CNAME has the DNAME's TTL; it is not signed (5.3.1).
            chain.note(writer.record(Section::Answer, name, Rtype::CNAME, dname.ttl, target.as_wire()));
            if rtype == Rtype::CNAME {
                return Step::end(Rcode::NOERROR, Authority::Nothing);
            }
            let dname = Some(owner.name().to_name());
            Step::Alias(Hop { target, synthesised: None, dname, version: None })
        }
        Found::NoName => Step::end(Rcode::NXDOMAIN, Authority::NoName),
    }
}

/// Answers with what a name has, or the wildcard that speaks for it.
fn data<'z>(
    view: View<'z>,
    chain: &mut Chain<'_>,
    name: &NameRef,
    owner: Owner<'z>,
    is_wildcard: bool,
    rtype: Rtype,
    writer: &mut Writer<'_>,
) -> Step<'z> {
    let authority = if is_wildcard { Authority::Synthesised } else { Authority::Nothing };
    match rtype {
        Rtype::ANY | Rtype::RRSIG | Rtype::NSEC3 => {
            if several(view, chain, name, owner, rtype, writer) {
                return Step::end(Rcode::NOERROR, authority);
            }
        }
        _ => {
            if let Some(found) = view.find(owner, rtype) {
                if rtype != Rtype::DNAME || !chain.has_dname(name) {
                    chain.note(view::write(writer, Section::Answer, name, found));
                }
                return Step::End(End { rcode: Rcode::NOERROR, authority, additional: Some(found.set) });
            }
        }
    }
    // An alias has the types that may stand beside it itself, or not at all (RFC 4034 3 and 4); BIND and Knot hold it so too.
    let alias = view.find(owner, Rtype::CNAME).filter(|_| !stands_beside_cname(rtype));
    if let Some(cname) = alias {
        chain.note(view::write(writer, Section::Answer, name, cname));
        if let Ok(target) = NameRef::read(cname.set.first()) {
            let synthesised = (is_wildcard && view.proofs.is_some()).then(|| name.to_name());
            return Step::Alias(Hop { target: target.to_name(), synthesised, dname: None, version: None });
        }
    }
    Step::end(Rcode::NOERROR, Authority::no_data(owner, is_wildcard))
}

/// Answers for the types that do not simply name one RRset; `false` when there is nothing to answer with.
fn several(
    view: View<'_>,
    chain: &mut Chain<'_>,
    name: &NameRef,
    owner: Owner<'_>,
    rtype: Rtype,
    writer: &mut Writer<'_>,
) -> bool {
    // In a signed zone an NSEC3 record belongs to no name that could be asked for (RFC 5155 7.2.8).
    let is_signed = view.zone.signed().is_some();
    let hidden =
        |set: &Rrset<'_>| is_signed && (set.rtype == Rtype::NSEC3 || set.covers() == Some(Rtype::NSEC3));
    let sets = || owner.rrsets().filter(|set| !hidden(set));
    // What stands in the answer already, as it came with the DNAME.
    let has_dname = chain.has_dname(name);
    let is_given = |set: &Rrset<'_>| {
        has_dname
            && (set.rtype == Rtype::DNAME || view.proofs.is_some() && set.covers() == Some(Rtype::DNAME))
    };
    let mut found = false;
    let mut write = |set: Rrset<'_>| {
        found = true;
        if !is_given(&set) {
            chain.note(view::write(writer, Section::Answer, name, view.sign(owner, set)));
        }
    };
    match rtype {
        // RFC 8482 4.1: one RRset stands for all.
        Rtype::ANY => sets().min_by_key(|set| of_dnssec(set.rtype)).into_iter().for_each(write),
        _ => sets().filter(|set| set.rtype == rtype).for_each(&mut write),
    }
    found
}

/// The order in which RRsets may stand for all of a name: what the owner of the zone has written comes before what signing adds.
fn of_dnssec(rtype: Rtype) -> u8 {
    match rtype {
        Rtype::RRSIG => 2,
        Rtype::NSEC | Rtype::NSEC3 => 1,
        _ => 0,
    }
}

/// Writes authority and additional section for the last `name` of the chain; returns the response code, and whether the whole
/// answer has room.
fn finish(
    view: View<'_>,
    chain: &Chain<'_>,
    name: &NameRef,
    end: End<'_>,
    writer: &mut Writer<'_>,
) -> (Rcode, Result<(), Full>) {
    let more = |proofs: &mut Proofs, writer: &mut Writer<'_>| chain.prove(proofs, writer);
    (end.rcode, chain.answer.and_then(|()| end.write(view, name, more, writer)))
}
