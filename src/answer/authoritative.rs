//! Answers from zones: RFC 1034 4.3.2, in the order answer, authority, additional, then truncation.

use crate::wire::message::{Request, flags};
use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::{Rcode, Rtype};
use crate::wire::writer::{Full, Section, Writer};
use crate::zone::lookup::{Found, substitute};
use crate::zone::owner::{Owner, Rrset};
use crate::zone::served::Version;

use super::served::Served;

/// CNAMEs and DNAMEs followed for one question.
const MAX_CHAIN: usize = 16;
/// Names whose addresses are added to one answer.
const MAX_ADDITIONAL: usize = 16;

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
    let mut next = match step(version, request.name, request.rtype, 0, writer)? {
        Step::Done(rcode) => return Ok(rcode),
        Step::Follow(target) => target,
    };
    for hop in 1..=MAX_CHAIN {
        // The chain may lead into another zone that is served here; outside of those it ends (RFC 1034 4.3.2 step 3a).
        let Some(version) = served.store.find(&next).and_then(|zone| zone.version()) else { break };
        match step(&version, &next, request.rtype, hop, writer)? {
            Step::Done(rcode) => return Ok(rcode),
            Step::Follow(target) => next = target,
        }
    }
    // It leads elsewhere, or is so long that it is a loop or as good as one: what was found of it is the answer.
    Ok(Rcode::NOERROR)
}

enum Step {
    Done(Rcode),
    Follow(Name),
}

/// Answers for one name of the chain.
fn step(
    version: &Version,
    name: &NameRef,
    rtype: Rtype,
    hop: usize,
    writer: &mut Writer<'_>,
) -> Result<Step, Full> {
    let zone = &version.snapshot;
    match zone.lookup(name, rtype) {
        Found::Exact(owner) | Found::Wildcard(owner) => data(version, name, owner, rtype, writer),
        Found::Delegation(cut) => {
            if hop == 0 {
                writer.clear_flags(flags::AA);
            }
            referral(version, cut, writer)?;
            Ok(Step::Done(Rcode::NOERROR))
        }
        Found::Dname(owner) => {
            let Some(dname) = owner.rrset(Rtype::DNAME) else { return Ok(Step::Done(Rcode::SERVFAIL)) };
            write_set(writer, Section::Answer, owner.name(), dname)?;
            let target =
                NameRef::read(dname.first()).ok().and_then(|target| substitute(name, owner.name(), target));
            let Some(target) = target else { return Ok(Step::Done(Rcode::YXDOMAIN)) };
            // RFC 6672 3.1: the synthesised CNAME has the DNAME's TTL.
            writer.record(Section::Answer, name, Rtype::CNAME, dname.ttl, target.as_wire())?;
            if rtype == Rtype::CNAME { Ok(Step::Done(Rcode::NOERROR)) } else { Ok(Step::Follow(target)) }
        }
        Found::NoName => {
            negative(version, writer)?;
            Ok(Step::Done(Rcode::NXDOMAIN))
        }
    }
}

fn data(
    version: &Version,
    name: &NameRef,
    owner: Owner<'_>,
    rtype: Rtype,
    writer: &mut Writer<'_>,
) -> Result<Step, Full> {
    if rtype == Rtype::ANY {
        // RFC 8482 4.1: one RRset stands for all.
        return match owner.rrsets().next() {
            Some(set) => write_set(writer, Section::Answer, name, set).map(|()| Step::Done(Rcode::NOERROR)),
            None => negative(version, writer).map(|()| Step::Done(Rcode::NOERROR)),
        };
    }
    if let Some(set) = owner.rrset(rtype) {
        write_set(writer, Section::Answer, name, set)?;
        // Useful, but never worth a truncated answer.
        let _ = additional(version, set, writer);
        return Ok(Step::Done(Rcode::NOERROR));
    }
    if let Some(cname) = owner.rrset(Rtype::CNAME) {
        write_set(writer, Section::Answer, name, cname)?;
        if let Ok(target) = NameRef::read(cname.first()) {
            return Ok(Step::Follow(target.to_name()));
        }
    }
    negative(version, writer)?;
    Ok(Step::Done(Rcode::NOERROR))
}

/// The SOA in the authority section, with the TTL that the negative answer may be kept for (RFC 2308 3).
fn negative(version: &Version, writer: &mut Writer<'_>) -> Result<(), Full> {
    let zone = &version.snapshot;
    let soa = zone.soa();
    let ttl = soa.ttl.min(zone.timers().minimum);
    writer.record(Section::Authority, zone.apex(), Rtype::SOA, ttl, soa.first())
}

/// A referral: the cut's NS, and addresses of its servers.
fn referral(version: &Version, cut: Owner<'_>, writer: &mut Writer<'_>) -> Result<(), Full> {
    let Some(ns) = cut.rrset(Rtype::NS) else { return Ok(()) };
    write_set(writer, Section::Authority, cut.name(), ns)?;
    let targets = || ns.rdatas().filter_map(|data| NameRef::read(data).ok());
    // Glue for servers below the cut has to be there, or the answer is truncated (RFC 9471 3.1); other addresses may.
    targets().filter(|host| host.is_in(cut.name())).try_for_each(|host| addresses(version, host, writer))?;
    let _ = targets()
        .filter(|host| !host.is_in(cut.name()))
        .try_for_each(|host| addresses(version, host, writer));
    Ok(())
}

/// Adds the addresses of the hosts that an RRset names, as far as they are in the zone.
fn additional(version: &Version, set: Rrset<'_>, writer: &mut Writer<'_>) -> Result<(), Full> {
    let skip = match set.rtype {
        Rtype::NS => 0,
        Rtype::MX => 2,
        Rtype::SRV => 6,
        _ => return Ok(()),
    };
    for data in set.rdatas().take(MAX_ADDITIONAL) {
        if let Some(Ok(host)) = data.get(skip..).map(NameRef::read) {
            addresses(version, host, writer)?;
        }
    }
    Ok(())
}

fn addresses(version: &Version, host: &NameRef, writer: &mut Writer<'_>) -> Result<(), Full> {
    if !host.is_in(version.snapshot.apex()) {
        return Ok(());
    }
    let Some(owner) = version.snapshot.owner(host) else { return Ok(()) };
    for rtype in [Rtype::A, Rtype::AAAA] {
        if let Some(set) = owner.rrset(rtype) {
            write_set(writer, Section::Additional, host, set)?;
        }
    }
    Ok(())
}

/// Writes an RRset, whole or not at all.
fn write_set(writer: &mut Writer<'_>, section: Section, owner: &NameRef, set: Rrset<'_>) -> Result<(), Full> {
    writer.rrset(section, owner, set.rtype, set.ttl, set.rdatas())
}
