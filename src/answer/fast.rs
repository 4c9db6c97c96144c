//! The straight path: plain queries of unsigned zones, from received bytes to sent bytes without allocation, lock or library
//! message.
//!
//! Most queries are like this: one question, an answer that is one RRset, a referral, or nothing. Everything else is left to
//! [`super::respond::answer`], whose replies to the same queries say the same.

use std::cell::OnceCell;

use crate::publish::directory::Directory;
use crate::publish::zone::{Current, Zone};
use crate::wire::message::flags;
use crate::wire::name::NameRef;
use crate::wire::plain::{Place, PlainQuery, PlainReply};
use crate::wire::rdata;
use crate::wire::rtype::{Rcode, Rtype};
use crate::wire::via::Via;
use crate::wire::writer::Section;
use crate::zone::lookup::Found;
use crate::zone::owner::{Owner, Rrset};
use crate::zone::snapshot::Snapshot;

/// The bytes that a reply may need.
pub const REPLY: usize = 1_232;
/// Servers of a delegation; one with more is not plain.
const MAX_SERVERS: usize = 13;

/// The versions that a group of at most `N` queries is answered from, each taken once however many of them ask for its zone.
pub struct Versions<'d, const N: usize>([OnceCell<(&'d Zone, Current)>; N]);

impl<const N: usize> Default for Versions<'_, N> {
    fn default() -> Self {
        Versions([const { OnceCell::new() }; N])
    }
}

impl<'d, const N: usize> Versions<'d, N> {
    /// What a zone serves.
    #[inline]
    fn of(&self, zone: &'d Zone) -> Option<&Snapshot> {
        let mut held = self.0.iter().map(|cell| cell.get_or_init(|| (zone, zone.current())));
        let (_, current) = held.find(|(other, _)| std::ptr::eq(*other, zone))?;
        Some(&current.as_ref()?.snapshot)
    }
}

/// A plain query on its way to an answer. What it needs of a large zone is fetched from memory while other queries of the same
/// batch are worked on.
pub struct Straight<'q> {
    query: PlainQuery<'q>,
    zone: &'q Snapshot,
    /// The hash of the name below the apex that the answer is likely to be found at.
    hash: Option<u64>,
}

impl<'q> Straight<'q> {
    /// Reads a query, and begins to fetch; `None` when it is not plain.
    #[inline]
    pub fn read<'d, const N: usize>(
        directory: &'d Directory,
        versions: &'q Versions<'d, N>,
        query: &'q [u8],
    ) -> Option<Straight<'q>> {
        let query = PlainQuery::read(query)?;
        if !is_plain(query.rtype) {
            return None;
        }
        let zone = versions.of(directory.find_at(query.name, query.starts())?)?;
        if zone.signed().is_some() {
            return None;
        }
        let hash = zone.hash_below_apex(query.name, query.starts());
        if let Some(hash) = hash {
            zone.fetch_leaf(hash);
        }
        Some(Straight { query, zone, hash })
    }

    /// Goes on to fetch.
    #[inline]
    pub fn fetch(&self) {
        if let Some(hash) = self.hash {
            self.zone.fetch_block(hash);
        }
    }

    /// Answers into `reply`, of at least [`REPLY`] bytes; returns the length of the message, or `None` when the answer is not
    /// plain. `recursion` says whether this node is a cache besides, `via` is what the query came by.
    pub fn answer(&self, recursion: bool, via: Via, reply: &mut [u8]) -> Option<usize> {
        let query = &self.query;
        let limit = if via.is_stream() { REPLY } else { query.limit() };
        let mut reply = PlainReply::new(query, limit, reply)?;
        let mut bits = flags::QR | flags::AA | query.flags() & flags::RD;
        if recursion {
            bits |= flags::RA;
        }
        bits = write(self.zone, query, bits, &mut reply)?;
        Some(reply.finish(bits))
    }
}

/// Writes the sections; returns the flags of the header.
fn write<'z>(
    zone: &'z Snapshot,
    query: &PlainQuery<'_>,
    mut bits: u16,
    reply: &mut PlainReply<'z>,
) -> Option<u16> {
    match zone.lookup_at(query.name, query.starts(), query.rtype) {
        Found::Exact(owner) | Found::Wildcard(owner) => match owner.rrset(query.rtype) {
            Some(set) => data(set, reply)?,
            None if owner.rrset(Rtype::CNAME).is_some() => return None,
            None => negative(zone, reply)?,
        },
        Found::Delegation(cut) => {
            referral(zone, cut, reply)?;
            bits &= !flags::AA;
        }
        Found::NoName => {
            negative(zone, reply)?;
            bits |= Rcode::NXDOMAIN.0;
        }
        Found::Dname(_) => return None,
    }
    Some(bits)
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
    let mut servers = [Server::Elsewhere; MAX_SERVERS];
    let (mut has_below, mut has_beside) = (false, false);
    for (server, data) in servers.iter_mut().zip(ns.rdatas()) {
        let host = NameRef::read(data).ok()?;
        let place = reply.record_of_names(Section::Authority, owner, Rtype::NS, ns.ttl, [host], &[])?;
        if host.is_in(cut_name) {
            (*server, has_below) = (Server::Below(place), true);
        } else if host.is_in(apex) {
            (*server, has_beside) = (Server::Beside(place), true);
        }
    }
    if has_below {
        for (server, data) in servers.iter().zip(ns.rdatas()) {
            if let &Server::Below(place) = server
                && let Some(host) = zone.owner(NameRef::read(data).ok()?)
            {
                addresses(host, place, reply)?;
            }
        }
    }
    if has_beside {
        for (server, data) in servers.iter().zip(ns.rdatas()) {
            let &Server::Beside(place) = server else { continue };
            let name = NameRef::read(data).ok()?;
            match zone.owner(name) {
                Some(host) => addresses(host, place, reply)?,
                // A wildcard may speak for a host beside the cut; that is not plain.
                None if matches!(zone.lookup(name, Rtype::A), Found::Wildcard(_)) => return None,
                None => {}
            }
        }
    }
    Some(())
}

/// A server of a delegation, with the place of its name in the message.
#[derive(Clone, Copy)]
enum Server {
    /// It is below the cut: its addresses are glue.
    Below(Place),
    /// It is elsewhere in the zone.
    Beside(Place),
    Elsewhere,
}

fn addresses<'z>(host: Owner<'z>, place: Place, reply: &mut PlainReply<'z>) -> Option<()> {
    for set in [Rtype::A, Rtype::AAAA].into_iter().filter_map(|rtype| host.rrset(rtype)) {
        for data in set.rdatas() {
            reply.record(Section::Additional, place, set.rtype, set.ttl, data)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests;
