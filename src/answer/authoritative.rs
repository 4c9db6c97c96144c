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
use crate::wire::writer::{Full, Mark, Section, Sections, Writer};
use crate::zone::dname;
use crate::zone::fault::stands_beside_cname;
use crate::zone::lookup::Found;
use crate::zone::owner::{Owner, Rrset};

use super::context::Served;
use super::edns::{Ede, Options};
use super::elsewhere::{Elsewhere, Known, write_kept};
use super::end::{Authority, End};
use super::proof::Proofs;
use super::view::{self, View};

/// Aliases written for one question (BIND follows 11, Knot 5, NSD all).
const MAX_CHAIN: usize = 16;

/// Writes the answer of a zone, and what the cache knows where an alias or a delegation leads out of all zones here. Fails with
/// what has to be known first.
pub(super) fn from_zone(
    served: &Served,
    request: &Request<'_>,
    version: &Version,
    elsewhere: Option<&Elsewhere<'_>>,
    writer: &mut Writer<'_>,
    options: &mut Options,
) -> Result<Rcode, Box<Ask>> {
    writer.set_flags(flags::AA);
    let (mark, mut chain) = (writer.mark(), Chain::new(request, elsewhere));
    let view = View::new(&version.snapshot, chain.dnssec_ok);
    chain.first = Some(view);
    match step(view, &mut chain, request.name, request.rtype, writer) {
        // What most answers take: nothing lies behind that would have to be proved or followed.
        Step::End(end) if chain.last.is_none() => {
            let rcode = end.rcode;
            let written = chain.answer.and_then(|()| end.write(view, request.name, |_, _| Ok(()), writer));
            written.unwrap_or_else(|Full| cut(mark, writer));
            Ok(rcode)
        }
        begun => conclude(served, request, &mut chain, begun, mark, writer, options),
    }
}

/// Writes the answer of the cache that leads on into a zone here.
pub(super) fn from_entry(
    served: &Served,
    request: &Request<'_>,
    entry: Arc<Entry>,
    elsewhere: Option<&Elsewhere<'_>>,
    writer: &mut Writer<'_>,
    options: &mut Options,
) -> Result<Rcode, Box<Ask>> {
    let (mark, mut chain) = (writer.mark(), Chain::new(request, elsewhere));
    let begun = chain.take_entry(entry, writer);
    conclude(served, request, &mut chain, begun, mark, writer, options)
}

/// Writes what is left of an answer that is not from one zone alone. Apart from what most answers take, which is the shorter for it.
#[inline(never)]
fn conclude(
    served: &Served,
    request: &Request<'_>,
    chain: &mut Chain<'_>,
    begun: Step<'_>,
    mark: Mark,
    writer: &mut Writer<'_>,
    options: &mut Options,
) -> Result<Rcode, Box<Ask>> {
    let Solved { rcode, written } = match begun {
        Step::End(end) => chain.close(end.rcode, writer),
        Step::Alias => follow(served, request, chain, writer)?,
        Step::Missing(ask) => return Err(ask),
    };
    if written.is_err() {
        cut(mark, writer);
    }
    if chain.is_plain() {
        return Ok(rcode);
    }
    if let Some(entry) = chain.entries().find(|entry| entry.is_stale()) {
        options.explain(Ede::of_stale(entry.rcode()));
    }
    if written.is_ok() && rcode == Rcode::SERVFAIL && chain.entries().next().is_some() {
        // A chain without its end is of no use.
        writer.rewind(mark);
        writer.clear_flags(flags::AA);
        options.explain(Ede::NO_REACHABLE_AUTHORITY);
    }
    Ok(rcode)
}

/// Takes back what has no room (RFC 2181 9).
#[cold]
fn cut(mark: Mark, writer: &mut Writer<'_>) {
    writer.rewind(mark);
    writer.set_flags(flags::TC);
}

/// What became of an answer.
struct Solved {
    /// Known also where the sections do not fit.
    rcode: Rcode,
    written: Result<(), Full>,
}

/// Follows an alias to the end of the chain.
fn follow(
    served: &Served,
    request: &Request<'_>,
    chain: &mut Chain<'_>,
    writer: &mut Writer<'_>,
) -> Result<Solved, Box<Ask>> {
    let (rtype, dnssec_ok) = (request.rtype, chain.dnssec_ok);
    // A chain that leads around, or is so long that it is as good as one that does, ends: what was found of it is the answer.
    while let Some(name) = chain.target(request.name) {
        // It may lead into another zone that is served here; outside of those it ends (RFC 1034 4.3.2 step 3a), unless the client
        // may have the cache go on with it.
        let zone = served.store.directory().authority(&name, rtype).map(|zone| zone.version());
        match zone {
            Some(Some(version)) => {
                let view = View::new(&version.snapshot, dnssec_ok);
                match step(view, chain, &name, rtype, writer) {
                    Step::End(end) => return Ok(finish(view, chain, &name, end, writer)),
                    Step::Alias => chain.found_in(version),
                    Step::Missing(ask) => return Err(ask),
                }
            }
            // A zone that is not known yet.
            Some(None) => break,
            None => match chain.look(&name, rtype, writer) {
                Some(Step::End(end)) => return Ok(chain.close(end.rcode, writer)),
                Some(Step::Alias) => {}
                Some(Step::Missing(ask)) => return Err(ask),
                None => break,
            },
        }
    }
    Ok(chain.close(Rcode::NOERROR, writer))
}

/// What a name leads to.
enum Step<'z> {
    End(End<'z>),
    /// To another name: the chain has a hop more.
    Alias,
    /// To something that has to be known first.
    Missing(Box<Ask>),
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
    /// What the cache has for the last name, if the chain ends there.
    last: Option<Arc<Entry>>,
    elsewhere: Option<&'z Elsewhere<'z>>,
    /// Whether the answer section had room for everything so far.
    answer: Result<(), Full>,
    dnssec_ok: bool,
}

/// From one name to the next.
struct Hop {
    target: Name,
    alias: Alias,
    /// Where it was found, unless in the first zone or the cache.
    version: Option<Arc<Version>>,
}

/// What leads to another name.
enum Alias {
    Cname,
    /// A wildcard's CNAME, for this name.
    Synthesised(Name),
    /// The CNAME made of the DNAME at this owner.
    Dname(Name),
    /// What the cache knows.
    Cached(Arc<Entry>),
}

impl Hop {
    /// What the cache knows, where that leads on.
    fn entry(&self) -> Option<&Arc<Entry>> {
        match &self.alias {
            Alias::Cached(entry) => Some(entry),
            _ => None,
        }
    }
}

impl<'z> Chain<'z> {
    fn new(request: &Request<'_>, elsewhere: Option<&'z Elsewhere<'z>>) -> Chain<'z> {
        let dnssec_ok = request.opt.is_some_and(|opt| opt.dnssec_ok);
        Chain { first: None, hops: Vec::new(), last: None, elsewhere, answer: Ok(()), dnssec_ok }
    }

    /// Where the chain leads, unless that is around, or too far.
    fn target(&self, asked: &NameRef) -> Option<Name> {
        let (last, before) = self.hops.split_last()?;
        let is_known = *last.target == *asked || before.iter().any(|hop| hop.target == last.target);
        (!is_known && before.len() < MAX_CHAIN - 1).then(|| last.target.clone())
    }

    /// Notes in which zone the last alias is, unless it is the first one.
    fn found_in(&mut self, version: Arc<Version>) {
        if let Some(hop) = self.hops.last_mut() {
            hop.version = Some(version);
        }
    }

    /// Adds an alias.
    fn pass<'e>(&mut self, target: Name, alias: Alias) -> Step<'e> {
        self.hops.push(Hop { target, alias, version: None });
        Step::Alias
    }

    /// Whether all of it is written with the answer section: nothing is from the cache, and nothing has to be proved.
    fn is_plain(&self) -> bool {
        let is_plain = |hop: &Hop| matches!(hop.alias, Alias::Cname | Alias::Dname(_));
        self.last.is_none() && self.hops.iter().all(is_plain)
    }

    /// What came from the cache, the last first.
    fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.last.iter().chain(self.hops.iter().rev().filter_map(Hop::entry))
    }

    /// Notes whether something had its place in the answer section.
    fn note(&mut self, written: Result<(), Full>) {
        self.answer = self.answer.and(written);
    }

    /// Whether the DNAME at `owner` is in the answer already: a chain may come to it twice, and it is the same record, which
    /// stands once (RFC 2181 5).
    fn has_dname(&self, owner: &NameRef) -> bool {
        self.hops.iter().any(|hop| matches!(&hop.alias, Alias::Dname(dname) if **dname == *owner))
    }

    /// Writes what the cache knows of a name, if the client may have that.
    fn look<'e>(&mut self, name: &NameRef, rtype: Rtype, writer: &mut Writer<'_>) -> Option<Step<'e>> {
        match self.elsewhere?.find(name, rtype) {
            Known::Nothing => None,
            Known::Entry(entry) => Some(self.take_entry(entry, writer)),
            Known::Kept(kept) => {
                // The chain ends here: nothing more comes into the answer section.
                let (rcode, written) = write_kept(&kept, name, rtype, writer);
                self.note(written);
                Some(Step::end(rcode, Authority::Nothing))
            }
            Known::Unknown(ask) => Some(Step::Missing(ask)),
        }
    }

    /// Writes what belongs into the answer section of what the cache knows.
    fn take_entry<'e>(&mut self, entry: Arc<Entry>, writer: &mut Writer<'_>) -> Step<'e> {
        let written = self.copy(&entry, Section::Answer, writer);
        self.note(written);
        match entry.rest() {
            None => {
                let rcode = entry.rcode();
                self.last = Some(entry);
                Step::end(rcode, Authority::Nothing)
            }
            Some(target) => self.pass(target.clone(), Alias::Cached(Arc::clone(&entry))),
        }
    }

    /// Writes one section of what the cache knows.
    fn copy(&self, entry: &Entry, wanted: Section, writer: &mut Writer<'_>) -> Result<(), Full> {
        let now = self.elsewhere.map_or_else(|| entry.stored(), |elsewhere| elsewhere.now());
        let mut records = entry.records(now).filter(|(section, ..)| *section == wanted);
        records.try_for_each(|(section, owner, rtype, ttl, rdata)| {
            writer.record(section, owner, rtype, ttl, rdata)
        })
    }

    /// Writes the authority section of a chain that ends in no zone here.
    fn close(&self, rcode: Rcode, writer: &mut Writer<'_>) -> Solved {
        let mut proofs = Proofs::default();
        Solved { rcode, written: self.answer.and_then(|()| self.prove(&mut proofs, writer)) }
    }

    /// Writes what the cache knows besides answers, and the proofs for wildcards passed on the way.
    fn prove(&self, proofs: &mut Proofs, writer: &mut Writer<'_>) -> Result<(), Full> {
        self.entries().try_for_each(|entry| self.copy(entry, Section::Authority, writer))?;
        for hop in &self.hops {
            let Alias::Synthesised(name) = &hop.alias else { continue };
            let other = hop.version.as_ref().map(|version| View::new(&version.snapshot, self.dnssec_ok));
            let Some(view) = other.or(self.first) else { continue };
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
            let known = chain.look(name, rtype, writer);
            known.unwrap_or_else(|| Step::end(Rcode::NOERROR, Authority::Referral(cut)))
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
            chain.pass(target, Alias::Dname(owner.name().to_name()))
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
            let alias = match is_wildcard && view.proofs.is_some() {
                true => Alias::Synthesised(name.to_name()),
                false => Alias::Cname,
            };
            return chain.pass(target.to_name(), alias);
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

/// Writes authority and additional section for the last `name` of the chain, which is in the zone of `view`.
fn finish(
    view: View<'_>,
    chain: &Chain<'_>,
    name: &NameRef,
    end: End<'_>,
    writer: &mut Writer<'_>,
) -> Solved {
    let rcode = end.rcode;
    let more = |proofs: &mut Proofs, writer: &mut Writer<'_>| match chain.is_plain() {
        true => Ok(()),
        false => chain.prove(proofs, writer),
    };
    Solved { rcode, written: chain.answer.and_then(|()| end.write(view, name, more, writer)) }
}
