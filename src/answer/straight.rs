//! The straight path: plain queries of unsigned zones, from received bytes to sent bytes without allocation, lock or library
//! message.
//!
//! Most queries are like this: one question, an answer that is one RRset, a referral, or nothing. Everything else is left to
//! [`super::respond::answer`], whose replies to the same queries say the same.

use crate::wire::message::flags;
use crate::wire::name::NameRef;
use crate::wire::plain::{Place, PlainQuery, PlainReply};
use crate::wire::rdata;
use crate::wire::rtype::{Rcode, Rtype};
use crate::wire::writer::Section;
use crate::zone::directory::Directory;
use crate::zone::lookup::Found;
use crate::zone::owner::{Owner, Rrset};
use crate::zone::snapshot::Snapshot;

/// The bytes that a reply may need.
pub const REPLY: usize = 1_232;
/// Servers of a delegation; one with more is not plain.
const MAX_SERVERS: usize = 13;

/// Answers a query into `reply`, of at least [`REPLY`] bytes; returns the length of the message, or `None` when the query or its
/// answer is not plain. `recursion` says whether this node is a cache besides, `stream` whether the query came over TCP.
pub fn answer(
    directory: &Directory,
    recursion: bool,
    stream: bool,
    query: &[u8],
    reply: &mut [u8],
) -> Option<usize> {
    let query = PlainQuery::read(query)?;
    if !is_plain(query.rtype) {
        return None;
    }
    let zone = directory.find_at(query.name, query.starts())?;
    let version = zone.current();
    let zone = &version.as_ref()?.snapshot;
    if zone.signed().is_some() {
        return None;
    }
    let limit = if stream { REPLY } else { query.limit() };
    let mut reply = PlainReply::new(&query, limit, reply)?;
    let mut bits = flags::QR | flags::AA | query.flags() & flags::RD;
    if recursion {
        bits |= flags::RA;
    }
    match zone.lookup_at(query.name, query.starts(), query.rtype) {
        Found::Exact(owner) | Found::Wildcard(owner) => match owner.rrset(query.rtype) {
            Some(set) => data(set, &mut reply)?,
            None if owner.rrset(Rtype::CNAME).is_some() => return None,
            None => negative(zone, &mut reply)?,
        },
        Found::Delegation(cut) => {
            referral(zone, cut, &mut reply)?;
            bits &= !flags::AA;
        }
        Found::NoName => {
            negative(zone, &mut reply)?;
            bits |= Rcode::NXDOMAIN.0;
        }
        Found::Dname(_) => return None,
    }
    Some(reply.finish(bits))
}

/// Whether the answer to a question of this type is the RRset of that type and nothing besides.
fn is_plain(rtype: Rtype) -> bool {
    match rtype {
        Rtype::A | Rtype::AAAA | Rtype::TXT | Rtype::PTR => true,
        // The parent answers for DS (RFC 4035 3.1.4.1), and signatures are many RRsets in one.
        Rtype::DS | Rtype::RRSIG | Rtype::NSEC | Rtype::NSEC3 => false,
        // Types with names have more to say of these in the additional section.
        _ => !rtype.is_meta() && !rdata::has_names(rtype),
    }
}

fn data<'z>(set: Rrset<'z>, reply: &mut PlainReply<'z>) -> Option<()> {
    for data in set.rdatas() {
        if set.rtype == Rtype::PTR {
            let name = NameRef::read(data).ok()?;
            reply.record_of_names(Section::Answer, Place::QUESTION, set.rtype, set.ttl, [name], &[])?;
        } else {
            reply.record(Section::Answer, Place::QUESTION, set.rtype, set.ttl, data)?;
        }
    }
    Some(())
}

/// The SOA, with the TTL that the negative answer may be kept for (RFC 2308 section 3).
fn negative<'z>(zone: &'z Snapshot, reply: &mut PlainReply<'z>) -> Option<()> {
    let soa = zone.soa();
    let primary = NameRef::read(soa.first()).ok()?;
    let rest = &soa.first()[primary.as_wire().len()..];
    let mailbox = NameRef::read(rest).ok()?;
    let numbers = rest[mailbox.as_wire().len()..].first_chunk::<20>()?;
    let minimum = u32::from_be_bytes(*numbers.last_chunk()?);
    let ttl = soa.ttl.min(minimum);
    let apex = reply.suffix(zone.apex());
    reply.record_of_names(Section::Authority, apex, Rtype::SOA, ttl, [primary, mailbox], numbers)?;
    Some(())
}

/// The cut's NS, then the addresses of servers below the cut, then those of others as far as the zone has them (RFC 9471 3).
fn referral<'z>(zone: &'z Snapshot, cut: Owner<'z>, reply: &mut PlainReply<'z>) -> Option<()> {
    let ns = cut.rrset(Rtype::NS)?;
    // The servers of a wildcard's delegation belong to another name than the one that owns them.
    if cut.name().is_wildcard() || usize::from(ns.count) > MAX_SERVERS {
        return None;
    }
    let (apex, cut_name) = (zone.apex(), cut.name());
    let owner = reply.suffix(cut_name);
    // Where the servers' names stand: those below the cut, and others in the zone.
    let (mut below, mut beside) = ([None; MAX_SERVERS], [None; MAX_SERVERS]);
    let (mut has_below, mut has_beside) = (false, false);
    for (number, data) in ns.rdatas().enumerate() {
        let host = NameRef::read(data).ok()?;
        let place = reply.record_of_names(Section::Authority, owner, Rtype::NS, ns.ttl, [host], &[])?;
        if host.is_in(cut_name) {
            (below[number], has_below) = (Some(place), true);
        } else if host.is_in(apex) {
            (beside[number], has_beside) = (Some(place), true);
        }
    }
    for (_, places) in [(has_below, below), (has_beside, beside)].into_iter().filter(|(has, _)| *has) {
        for (data, place) in ns.rdatas().zip(places) {
            if let Some(place) = place {
                addresses(zone, NameRef::read(data).ok()?, place, reply)?;
            }
        }
    }
    Some(())
}

fn addresses<'z>(zone: &'z Snapshot, host: &NameRef, place: Place, reply: &mut PlainReply<'z>) -> Option<()> {
    let Some(owner) = zone.owner(host) else { return Some(()) };
    for set in [Rtype::A, Rtype::AAAA].into_iter().filter_map(|rtype| owner.rrset(rtype)) {
        for data in set.rdatas() {
            reply.record(Section::Additional, place, set.rtype, set.ttl, data)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests;
