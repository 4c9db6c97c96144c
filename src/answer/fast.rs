//! The fast path: plain queries of zones, signed or not, and of ready answers of the cache, from received bytes to sent bytes
//! without allocation, lock or library message.
//!
//! Most queries are like this: one question with EDNS, DO and a cookie, whose answer is one RRset, a referral, or nothing, each
//! with its signatures and proofs. Everything else is left to [`super::respond`]. Both write with the same code, from
//! `View` and `End` down, into writers of their own.

use std::cell::OnceCell;

use crate::publish::directory::Directory;
use crate::publish::zone::{Current, Zone};
use crate::resolve::cache::{AskFlags, Entry, Sought};
use crate::time::Now;
use crate::wire::message::flags;
use crate::wire::plain::{Names, PlainQuery, PlainReply};
use crate::wire::rtype::{Rcode, Rtype};
use crate::wire::writer::{Full, Section, Sections};
use crate::zone::fault::stands_beside_cname;
use crate::zone::lookup::{Found, Near};
use crate::zone::snapshot::Snapshot;

use super::additional;
use super::context::{Client, Path, Served};
use super::edns::Wants;
use super::end::{Authority, End};
use super::view::{self, View};

/// The longest reply: whole blocks of padding (RFC 8467 4.1), above all that UDP may carry.
pub const REPLY: usize = 1_404;

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

/// Where the answer is to be found.
enum Answers<'q> {
    /// In a zone, and on the way to it.
    Zone(&'q Snapshot, Option<Near<'q>>),
    /// In the cache: there is no zone for it here.
    Cache(Sought<'q>),
}

/// A plain query on its way to an answer. What it needs of a large zone is fetched from memory while other queries of the same
/// group are worked on.
pub struct Fast<'q> {
    query: PlainQuery<'q>,
    source: Answers<'q>,
}

impl<'q> Fast<'q> {
    /// Reads a query, and begins to fetch; `None` when it is not plain.
    #[inline]
    pub fn read<'d, const N: usize>(
        served: &Served,
        directory: &'d Directory,
        versions: &'q Versions<'d, N>,
        query: &'q [u8],
    ) -> Option<Fast<'q>> {
        let query = PlainQuery::read(query)?;
        if !is_plain(query.rtype) {
            return None;
        }
        let Some(found) = directory.find_at(query.name, query.starts()) else {
            let cache = &served.recursion.as_ref()?.cache;
            let sought = Sought::new(query.name, query.rtype, AskFlags::of(query.flags(), query.dnssec_ok()));
            cache.fetch_ready(sought);
            return Some(Fast { query, source: Answers::Cache(sought) });
        };
        // The parent answers for DS at an apex (RFC 4035 3.1.4.1).
        if query.rtype == Rtype::DS && query.name.as_wire().len() == found.name().as_wire().len() {
            return None;
        }
        let zone = versions.of(found)?;
        let near = zone.near(query.name, query.starts());
        Some(Fast { query, source: Answers::Zone(zone, near) })
    }

    /// Goes on to fetch.
    #[inline]
    pub fn fetch(&mut self) {
        if let Answers::Zone(zone, Some(near)) = &mut self.source {
            near.fetch(zone);
        }
    }

    /// Where the answer comes from.
    #[inline]
    pub fn path(&self) -> Path {
        match self.source {
            Answers::Zone(..) => Path::of(self.query.rtype),
            Answers::Cache(_) => Path::Hit,
        }
    }

    /// Answers into `reply`, of at least [`REPLY`] bytes; returns the length of the message, or `None` when the answer is not
    /// plain.
    #[inline]
    pub fn answer<'r>(
        &'r self,
        served: &Served,
        now: Now,
        from: Client,
        reply: &mut [u8],
        names: &mut Names<'r>,
    ) -> Option<usize> {
        match self.source {
            Answers::Zone(zone, near) => frame(&self.query, served, now, from, reply, names, |reply| {
                let (found, written) = write(zone, near, &self.query, reply)?;
                // Who may use the cache may be answered for what is below a delegation.
                if found.is_referral && served.recursion.is_some() {
                    return None;
                }
                Some((found.rcode.0 | if found.is_referral { 0 } else { flags::AA }, written))
            }),
            Answers::Cache(sought) => from_cache(&self.query, sought, served, now, from, reply),
        }
    }
}

/// Answers with what the cache has ready, to those who may ask it.
fn from_cache(
    query: &PlainQuery<'_>,
    sought: Sought<'_>,
    served: &Served,
    now: Now,
    from: Client,
    reply: &mut [u8],
) -> Option<usize> {
    let recursion = served.recursion.as_ref().filter(|recursion| recursion.allows(from))?;
    let is_whole =
        |entry: &Entry| !entry.is_stale() && entry.rest().is_none() && entry.rcode() != Rcode::SERVFAIL;
    let answer = |entry: &Entry| {
        // Others need an extended error, more room for the code, or what a zone here has.
        let rcode = Some(entry.rcode()).filter(|rcode| rcode.0 <= flags::RCODE && is_whole(entry))?;
        frame(query, served, now, from, reply, &mut Names::default(), |reply| {
            let written = entry.records(now.mono).try_for_each(|(section, owner, rtype, ttl, rdata)| {
                reply.rrset(section, owner, rtype, ttl, std::iter::once(rdata))
            });
            // CD comes back from caches (RFC 4035 3.2.2).
            Some((rcode.0 | query.flags() & flags::CD, written))
        })
    };
    recursion.cache.find_ready(now.mono, sought, answer)?
}

/// Writes a reply around its sections, which `body` writes; that returns what bits of the header say of them, and whether they
/// have room.
#[inline]
fn frame<'r>(
    query: &'r PlainQuery<'r>,
    served: &Served,
    now: Now,
    from: Client,
    reply: &mut [u8],
    names: &mut Names<'r>,
    body: impl FnOnce(&mut PlainReply<'r, '_>) -> Option<(u16, Result<(), Full>)>,
) -> Option<usize> {
    let wants = match &query.opt {
        Some(opt) if !opt.options.is_empty() => Some(Wants::read(opt, from.via)),
        _ => None,
    };
    let options = match &wants {
        Some(wants) if !wants.is_plain() => return None,
        Some(wants) => wants.length(served),
        None => 0,
    };
    let limit = if from.via.is_stream() { REPLY } else { query.limit() };
    let mut reply = PlainReply::new(query, limit, options, reply, names)?;
    let start = reply.mark();
    let (found, written) = body(&mut reply)?;
    let mut bits = found | flags::QR | query.flags() & flags::RD;
    if served.recursion.is_some() {
        bits |= flags::RA;
    }
    if written.is_err() {
        // A stream has more room than is kept here.
        if from.via.is_stream() {
            return None;
        }
        reply.rewind(start);
        bits |= flags::TC;
    }
    let length = reply.length();
    Some(reply.finish(bits, |room| wants.map_or(0, |wants| wants.write(served, now, from, length, room))))
}

/// What the header says of an answer.
struct Gist {
    rcode: Rcode,
    is_referral: bool,
}

/// Writes the sections; returns what the header says of them, and whether they have room. `None` when the answer is not plain.
#[inline]
fn write<'r>(
    zone: &'r Snapshot,
    near: Option<Near<'r>>,
    query: &PlainQuery<'r>,
    reply: &mut PlainReply<'r, '_>,
) -> Option<(Gist, Result<(), Full>)> {
    let view = View::new(zone, query.dnssec_ok());
    let found = zone.lookup_at(query.name, query.starts(), query.rtype, near);
    let found = match zone.signed() {
        Some(_) => zone.without_hashed(found, query.name, query.rtype),
        None => found,
    };
    let (rcode, authority) = match found {
        Found::Exact(owner) | Found::Wildcard(owner) => {
            let is_wildcard = matches!(found, Found::Wildcard(_));
            match view.find(owner, query.rtype) {
                Some(found) => {
                    let set = found.set;
                    let mut written = view::write(reply, Section::Answer, query.name, found);
                    if written.is_ok() && (is_wildcard || additional::names_hosts(set.rtype)) {
                        let authority = if is_wildcard { Authority::Synthesised } else { Authority::Nothing };
                        let end = End { rcode: Rcode::NOERROR, authority, additional: Some(set) };
                        written = end.write(view, query.name, |_, _| Ok(()), reply);
                    }
                    return Some((Gist { rcode: Rcode::NOERROR, is_referral: false }, written));
                }
                None if owner.rrset(Rtype::CNAME).is_some() && !stands_beside_cname(query.rtype) => {
                    return None;
                }
                None => (Rcode::NOERROR, Authority::no_data(owner, is_wildcard)),
            }
        }
        Found::Delegation(cut) => (Rcode::NOERROR, Authority::Referral(cut)),
        Found::NoName => (Rcode::NXDOMAIN, Authority::NoName),
        Found::Dname(_) => return None,
    };
    let is_referral = matches!(authority, Authority::Referral(_));
    let end = End { rcode, authority, additional: None };
    let written = end.write(view, query.name, |_, _| Ok(()), reply);
    Some((Gist { rcode, is_referral }, written))
}

/// Whether the answer to a question of this type is the RRset of that type and what belongs to it.
#[inline]
fn is_plain(rtype: Rtype) -> bool {
    // Signatures are many RRsets in one, and in a signed zone NSEC3 records belong to no name (RFC 5155 7.2.8).
    !rtype.is_meta() && rtype != Rtype::RRSIG && rtype != Rtype::NSEC3 && rtype != Rtype::DNAME
}

#[cfg(test)]
mod tests;
