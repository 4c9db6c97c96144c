//! Answers from zones: RFC 1034 4.3.2, in the order answer, authority, additional, then truncation.
//!
//! A chain of CNAMEs and DNAMEs is followed name by name, through zones served here and, for a client that may have that, what the cache
//! knows ([`super::elsewhere`]). This writes the answer section; the last name decides the code and
//! the authority section, where proofs that earlier names of the chain need come behind its own. It is followed to its end even
//! where there is no room for it: the code of a truncated answer is that of the whole one (RFC 6604 3).

use std::sync::Arc;

use crate::publish::zone::Version;
use crate::resolve::cache::{Ask, Entry};
use crate::wire::message::{Request, flags};
use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::{Rcode, Rtype};
use crate::wire::writer::{Full, Section, Sections, Writer};
use crate::zone::dname;
use crate::zone::fault::stands_beside_cname;
use crate::zone::lookup::Found;
use crate::zone::owner::{Owner, Rrset};

use super::context::Served;
use super::edns::{Ede, Options};
use super::elsewhere::{Elsewhere, Known};
use super::end::{Authority, End};
use super::proof::Proofs;
use super::view::{self, View};

/// Aliases written for one question (BIND follows 11, Knot 5, NSD all).
const MAX_CHAIN: usize = 16;

/// Where an answer begins.
pub(super) enum Start<'a> {
    /// With a zone that answers for the name asked for.
    Zone(&'a Version),
    /// With what the cache knows of it, which leads on into a zone here.
    Entry(Arc<Entry>),
}

/// Writes an answer, with what the cache knows where no zone here does.
pub(super) fn answer(
    served: &Served,
    request: &Request<'_>,
    start: Start<'_>,
    elsewhere: Option<&Elsewhere<'_>>,
    writer: &mut Writer<'_>,
    options: &mut Options,
) -> Result<Rcode, Ask> {
    if let Start::Zone(_) = start {
        writer.set_flags(flags::AA);
    }
    let mark = writer.mark();
    let Solved { rcode, written, entries } = solve(served, request, start, elsewhere, writer)?;
    if let Some(entry) = entries.iter().find(|entry| entry.is_stale()) {
        options.explain(Ede::of_stale(entry.rcode()));
    }
    if written.is_err() {
        writer.rewind(mark);
        writer.set_flags(flags::TC);
    } else if rcode == Rcode::SERVFAIL && !entries.is_empty() {
        // A chain without its end is of no use.
        writer.rewind(mark);
        writer.clear_flags(flags::AA);
        options.explain(Ede::NO_REACHABLE_AUTHORITY);
    }
    Ok(rcode)
}

/// What became of an answer.
struct Solved {
    /// Known also where the sections do not fit.
    rcode: Rcode,
    written: Result<(), Full>,
    /// What it has from the cache.
    entries: Vec<Arc<Entry>>,
}

/// Writes the sections.
fn solve(
    served: &Served,
    request: &Request<'_>,
    start: Start<'_>,
    elsewhere: Option<&Elsewhere<'_>>,
    writer: &mut Writer<'_>,
) -> Result<Solved, Ask> {
    let (rtype, dnssec_ok) = (request.rtype, request.opt.is_some_and(|opt| opt.dnssec_ok));
    let first = match &start {
        Start::Zone(version) => Some(View::new(&version.snapshot, dnssec_ok)),
        Start::Entry(_) => None,
    };
    let mut chain =
        Chain { first, hops: Vec::new(), entries: Vec::new(), answer: Ok(()), dnssec_ok, elsewhere };
    let begun = match (first, start) {
        (Some(view), _) => step(view, &mut chain, request.name, rtype, writer)?,
        (None, Start::Entry(entry)) => chain.take_entry(entry, writer),
        (None, Start::Zone(_)) => Step::end(Rcode::SERVFAIL, Authority::Nothing),
    };
    match begun {
        Step::End(end) => Ok(finish(first, chain, request.name, end, writer)),
        Step::Alias(alias) => follow(served, request, chain, alias, writer),
    }
}

/// Follows an alias to the end of the chain. Apart from what most answers take, which is the shorter for it.
#[inline(never)]
fn follow(
    served: &Served,
    request: &Request<'_>,
    mut chain: Chain<'_>,
    mut alias: Hop,
    writer: &mut Writer<'_>,
) -> Result<Solved, Ask> {
    let (first, rtype, dnssec_ok) = (chain.first, request.rtype, chain.dnssec_ok);
    let mut version = None;
    loop {
        let name = alias.target.clone();
        let known = &*name == request.name || chain.hops.iter().any(|hop| hop.target == name);
        chain.hops.push(Hop { version: version.take(), ..alias });
        // A loop, or so long that it is as good as one: what was found of it is the answer.
        if known || chain.hops.len() == MAX_CHAIN {
            break;
        }
        // The chain may lead into another zone that is served here; outside of those it ends (RFC 1034 4.3.2 step 3a), unless the
        // client may have the cache go on with it.
        let zone = served.store.directory().authority(&name, rtype).cloned();
        let next = match zone {
            None => {
                let Some(known) = chain.look(&name, rtype)? else { break };
                alias = match chain.take_entry(known, writer) {
                    Step::End(end) => return Ok(finish(None, chain, &name, end, writer)),
                    Step::Alias(alias) => alias,
                };
                continue;
            }
            Some(zone) => zone.version(),
        };
        let Some(next) = next else { break };
        let view = View::new(&next.snapshot, dnssec_ok);
        alias = match step(view, &mut chain, &name, rtype, writer)? {
            Step::End(end) => return Ok(finish(Some(view), chain, &name, end, writer)),
            Step::Alias(alias) => alias,
        };
        version = Some(next);
    }
    let nothing = End { rcode: Rcode::NOERROR, authority: Authority::Nothing, additional: None };
    Ok(finish(first, chain, request.name, nothing, writer))
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
    /// What the first zone has, if the chain begins with one.
    first: Option<View<'z>>,
    hops: Vec<Hop>,
    /// What came from the cache.
    entries: Vec<Arc<Entry>>,
    elsewhere: Option<&'z Elsewhere<'z>>,
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

    /// What the cache knows of a name, if the client may have that.
    fn look(&self, name: &NameRef, rtype: Rtype) -> Result<Option<Arc<Entry>>, Ask> {
        match self.elsewhere.map(|elsewhere| elsewhere.find(name, rtype)) {
            None | Some(Known::Nothing) => Ok(None),
            Some(Known::Entry(entry)) => Ok(Some(entry)),
            Some(Known::Unknown(ask)) => Err(ask),
        }
    }

    /// Writes what belongs into the answer section of what the cache knows.
    fn take_entry<'e>(&mut self, entry: Arc<Entry>, writer: &mut Writer<'_>) -> Step<'e> {
        let written = self.copy(&entry, Section::Answer, writer);
        self.note(written);
        let step = match entry.rest() {
            None => Step::end(entry.rcode(), Authority::Nothing),
            Some(target) => {
                let target = target.clone();
                Step::Alias(Hop { target, synthesised: None, dname: None, version: None })
            }
        };
        self.entries.push(entry);
        step
    }

    /// Writes one section of what the cache knows.
    fn copy(&self, entry: &Entry, wanted: Section, writer: &mut Writer<'_>) -> Result<(), Full> {
        let now = self.elsewhere.map_or_else(|| entry.stored(), |elsewhere| elsewhere.now());
        let mut records = entry.records(now).filter(|(section, ..)| *section == wanted);
        records.try_for_each(|(section, owner, rtype, ttl, rdata)| {
            writer.record(section, owner, rtype, ttl, rdata)
        })
    }

    /// Writes what the cache knows besides answers, and the proofs for wildcards passed on the way.
    fn prove(&self, proofs: &mut Proofs, writer: &mut Writer<'_>) -> Result<(), Full> {
        for entry in self.entries.iter().rev() {
            self.copy(entry, Section::Authority, writer)?;
        }
        for hop in &self.hops {
            let Some(name) = &hop.synthesised else { continue };
            let view = match &hop.version {
                Some(version) => View::new(&version.snapshot, self.dnssec_ok),
                None => match self.first {
                    Some(view) => view,
                    None => continue,
                },
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
) -> Result<Step<'z>, Ask> {
    let found = view.zone.lookup(name, rtype);
    let found = match view.zone.signed() {
        Some(_) => view.zone.without_hashed(found, name, rtype),
        None => found,
    };
    Ok(match found {
        Found::Exact(owner) => data(view, chain, name, owner, false, rtype, writer),
        Found::Wildcard(owner) => data(view, chain, name, owner, true, rtype, writer),
        Found::Delegation(cut) => {
            if chain.hops.is_empty() {
                writer.clear_flags(flags::AA);
            }
            if let Some(entry) = chain.look(name, rtype)? {
                return Ok(chain.take_entry(entry, writer));
            }
            Step::end(Rcode::NOERROR, Authority::Referral(cut))
        }
        Found::Dname(owner) => {
            let Some(found) = view.find(owner, Rtype::DNAME) else {
                return Ok(Step::end(Rcode::SERVFAIL, Authority::Nothing));
            };
            if !chain.has_dname(owner.name()) {
                chain.note(view::write(writer, Section::Answer, owner.name(), found));
            }
            let dname = found.set;
            let target = NameRef::read(dname.first())
                .ok()
                .and_then(|target| dname::substitute(name, owner.name(), target));
            let Some(target) = target else { return Ok(Step::end(Rcode::YXDOMAIN, Authority::Nothing)) };
            // RFC 6672 3.1: the synthesised CNAME has the DNAME's TTL; it is not signed (5.3.1).
            chain.note(writer.record(Section::Answer, name, Rtype::CNAME, dname.ttl, target.as_wire()));
            if rtype == Rtype::CNAME {
                return Ok(Step::end(Rcode::NOERROR, Authority::Nothing));
            }
            let dname = Some(owner.name().to_name());
            Step::Alias(Hop { target, synthesised: None, dname, version: None })
        }
        Found::NoName => Step::end(Rcode::NXDOMAIN, Authority::NoName),
    })
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

/// Writes authority and additional section for the last `name` of the chain, which is in the zone of `view`, if in any here.
fn finish(
    view: Option<View<'_>>,
    chain: Chain<'_>,
    name: &NameRef,
    end: End<'_>,
    writer: &mut Writer<'_>,
) -> Solved {
    let (rcode, mut proofs) = (end.rcode, Proofs::default());
    let more = |proofs: &mut Proofs, writer: &mut Writer<'_>| chain.prove(proofs, writer);
    let written = chain.answer.and_then(|()| match view {
        Some(view) => end.write(view, name, more, writer),
        None => more(&mut proofs, writer),
    });
    Solved { rcode, written, entries: chain.entries }
}
