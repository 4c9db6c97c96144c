//! Answers from zones: RFC 1034 4.3.2, in the order answer, authority, additional, then truncation.
//!
//! A chain of CNAMEs and DNAMEs is followed name by name, which writes the answer section; the last name decides the code and
//! the authority section, where proofs that earlier names of the chain need come behind its own.

use std::sync::Arc;

use crate::wire::message::{Request, flags};
use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::{Rcode, Rtype};
use crate::wire::writer::{Full, Section, Writer};
use crate::zone::lookup::{Found, substitute};
use crate::zone::owner::{Owner, Rrset};
use crate::zone::served::{Version, Zone};
use crate::zone::snapshot::stands_beside_cname;

use super::proof::Proofs;
use super::served::Served;
use super::view::View;
use super::{additional, referral};

/// Aliases written for one question (BIND follows 11, Knot 5, NSD all).
const MAX_CHAIN: usize = 16;

/// The zone that answers for a name: the nearest above it, or at it unless DS is asked for at the zone's own apex. That belongs
/// to the parent, which may be served here too (RFC 4035 3.1.4.1).
pub(super) fn zone_for(served: &Served, name: &NameRef, rtype: Rtype) -> Option<Arc<Zone>> {
    let zone = served.store.find(name)?;
    let above = name.parent().filter(|_| rtype == Rtype::DS && name == zone.name());
    Some(above.and_then(|name| served.store.find(name)).unwrap_or(zone))
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
    match solve(served, version, request, writer) {
        Ok(rcode) => rcode,
        Err(Full) => {
            writer.rewind(start);
            writer.set_flags(flags::TC);
            Rcode::NOERROR
        }
    }
}

fn solve(
    served: &Served,
    version: &Version,
    request: &Request<'_>,
    writer: &mut Writer<'_>,
) -> Result<Rcode, Full> {
    let dnssec_ok = request.opt.is_some_and(|opt| opt.dnssec_ok);
    let view = View::new(&version.snapshot, dnssec_ok);
    let mut chain = Chain { first: view, hops: Vec::new(), dnssec_ok };
    let mut alias = match step(view, &chain, request.name, request.rtype, writer)? {
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
        let next = zone_for(served, &name, request.rtype).and_then(|zone| zone.version());
        let Some(next) = next else { break };
        let view = View::new(&next.snapshot, dnssec_ok);
        alias = match step(view, &chain, &name, request.rtype, writer)? {
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

/// What remains to be written behind the answer section.
struct End<'z> {
    rcode: Rcode,
    authority: Authority<'z>,
    /// The RRset whose hosts go into the additional section.
    additional: Option<Rrset<'z>>,
}

enum Authority<'z> {
    Nothing,
    /// The proof that a wildcard may speak for the name.
    Synthesised,
    /// No data of the type, at the name or at the wildcard that speaks for it.
    NoData(Option<Owner<'z>>),
    NoName,
    Referral(Owner<'z>),
}

/// The names passed on the way to the last one.
struct Chain<'z> {
    first: View<'z>,
    hops: Vec<Hop>,
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
    chain: &Chain<'_>,
    name: &NameRef,
    rtype: Rtype,
    writer: &mut Writer<'_>,
) -> Result<Step<'z>, Full> {
    let found = view.zone.lookup(name, rtype);
    let found = match view.zone.signed() {
        Some(_) => view.zone.without_hashed(found, name, rtype),
        None => found,
    };
    match found {
        Found::Exact(owner) => data(view, name, owner, false, rtype, writer),
        Found::Wildcard(owner) => data(view, name, owner, true, rtype, writer),
        Found::Delegation(cut) => {
            if chain.hops.is_empty() {
                writer.clear_flags(flags::AA);
            }
            Ok(end(Rcode::NOERROR, Authority::Referral(cut)))
        }
        Found::Dname(owner) => {
            let Some(dname) = owner.rrset(Rtype::DNAME) else {
                return Ok(end(Rcode::SERVFAIL, Authority::Nothing));
            };
            // A chain may pass through one DNAME twice; it is the same record.
            if !chain.hops.iter().any(|hop| hop.dname.as_deref() == Some(owner.name())) {
                view.write(writer, Section::Answer, owner.name(), owner, dname)?;
            }
            let target =
                NameRef::read(dname.first()).ok().and_then(|target| substitute(name, owner.name(), target));
            let Some(target) = target else { return Ok(end(Rcode::YXDOMAIN, Authority::Nothing)) };
            // RFC 6672 3.1: the synthesised CNAME has the DNAME's TTL; it is not signed (5.3.1).
            writer.record(Section::Answer, name, Rtype::CNAME, dname.ttl, target.as_wire())?;
            if rtype == Rtype::CNAME {
                return Ok(end(Rcode::NOERROR, Authority::Nothing));
            }
            let dname = Some(owner.name().to_name());
            Ok(Step::Alias(Hop { target, synthesised: None, dname, version: None }))
        }
        Found::NoName => Ok(end(Rcode::NXDOMAIN, Authority::NoName)),
    }
}

/// Answers with what a name has, or the wildcard that speaks for it.
fn data<'z>(
    view: View<'z>,
    name: &NameRef,
    owner: Owner<'z>,
    is_wildcard: bool,
    rtype: Rtype,
    writer: &mut Writer<'_>,
) -> Result<Step<'z>, Full> {
    let authority = if is_wildcard { Authority::Synthesised } else { Authority::Nothing };
    match rtype {
        Rtype::ANY | Rtype::RRSIG | Rtype::NSEC3 => {
            if several(view, name, owner, rtype, writer)? {
                return Ok(end(Rcode::NOERROR, authority));
            }
        }
        _ => {
            if let Some(set) = owner.rrset(rtype) {
                view.write(writer, Section::Answer, name, owner, set)?;
                return Ok(Step::End(End { rcode: Rcode::NOERROR, authority, additional: Some(set) }));
            }
        }
    }
    // An alias has the types that may stand beside it itself, or not at all (RFC 4034 3 and 4); BIND and Knot hold it so too.
    let alias = owner.rrset(Rtype::CNAME).filter(|_| !stands_beside_cname(rtype));
    if let Some(cname) = alias {
        view.write(writer, Section::Answer, name, owner, cname)?;
        if let Ok(target) = NameRef::read(cname.first()) {
            let synthesised = (is_wildcard && view.proofs.is_some()).then(|| name.to_name());
            return Ok(Step::Alias(Hop {
                target: target.to_name(),
                synthesised,
                dname: None,
                version: None,
            }));
        }
    }
    Ok(end(Rcode::NOERROR, Authority::NoData(is_wildcard.then_some(owner))))
}

/// Answers for the types that do not simply name one RRset; `false` when there is nothing to answer with.
fn several(
    view: View<'_>,
    name: &NameRef,
    owner: Owner<'_>,
    rtype: Rtype,
    writer: &mut Writer<'_>,
) -> Result<bool, Full> {
    // In a signed zone an NSEC3 record belongs to no name that could be asked for (RFC 5155 7.2.8).
    let is_signed = view.zone.signed().is_some();
    let hidden =
        |set: &Rrset<'_>| is_signed && (set.rtype == Rtype::NSEC3 || set.covers() == Some(Rtype::NSEC3));
    let sets = || owner.rrsets().filter(|set| !hidden(set));
    let mut found = false;
    match rtype {
        Rtype::ANY => {
            // RFC 8482 4.1: one RRset stands for all.
            let set = sets().find(|set| set.rtype != Rtype::RRSIG).or_else(|| sets().next());
            if let Some(set) = set {
                view.write(writer, Section::Answer, name, owner, set)?;
                found = true;
            }
        }
        _ => {
            for set in sets().filter(|set| set.rtype == rtype) {
                view.write(writer, Section::Answer, name, owner, set)?;
                found = true;
            }
        }
    }
    Ok(found)
}

fn end<'z>(rcode: Rcode, authority: Authority<'z>) -> Step<'z> {
    Step::End(End { rcode, authority, additional: None })
}

/// Writes authority and additional section for the last `name` of the chain.
fn finish(
    view: View<'_>,
    chain: &Chain<'_>,
    name: &NameRef,
    end: End<'_>,
    writer: &mut Writer<'_>,
) -> Result<Rcode, Full> {
    let mut proofs = Proofs::default();
    match end.authority {
        Authority::Nothing => {}
        Authority::Synthesised => proofs.synthesised(view, name, writer)?,
        Authority::NoData(wildcard) => {
            view.write_soa(writer)?;
            match wildcard {
                Some(wildcard) => proofs.wildcard_no_data(view, name, wildcard, writer)?,
                None => proofs.no_data(view, name, writer)?,
            }
        }
        Authority::NoName => {
            view.write_soa(writer)?;
            proofs.no_name(view, name, writer)?;
        }
        Authority::Referral(cut) => referral::authority(view, cut, &mut proofs, writer)?,
    }
    chain.prove(&mut proofs, writer)?;
    if let Authority::Referral(cut) = end.authority {
        referral::glue(view, cut, writer)?;
    }
    if let Some(set) = end.additional {
        // Useful, but never worth a truncated answer.
        let _ = additional::of(view, name, set, writer);
    }
    Ok(end.rcode)
}
