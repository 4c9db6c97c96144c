//! What no zone here has: the cache of this node, for a client that may use it and wants the whole answer (RD).

use std::sync::Arc;

use crate::resolve::cache::{Ask, AskFlags, Entry};
use crate::resolve::special_use::{self, Kept};
use crate::time::Mono;
use crate::wire::message::{Request, flags};
use crate::wire::name::NameRef;
use crate::wire::rtype::{CLASS_IN, Rcode, Rtype};
use crate::wire::writer::{Full, Section, Writer};

use super::context::{Client, Recursion, Served};

/// The cache, as one request sees it.
pub(super) struct Elsewhere<'a> {
    recursion: &'a Recursion,
    now: Mono,
    flags: AskFlags,
    fetched: &'a [Fetched],
}

/// What the resolver found for a question that a request needs: an answer for this request, however soon its TTL ends.
pub type Fetched = (Ask, Arc<Entry>);

/// What is known of a name elsewhere.
pub(super) enum Known {
    /// Its answer.
    Entry(Arc<Entry>),
    /// The answer that every cache has for it.
    Kept(Kept),
    /// Nothing yet.
    Unknown(Box<Ask>),
    /// Nothing, and nobody is to be asked.
    Nothing,
}

impl<'a> Elsewhere<'a> {
    /// `None` for a client to which only zones here are answered from.
    pub(super) fn open_to(
        served: &'a Served,
        now: Mono,
        request: &Request<'_>,
        from: Client,
        fetched: &'a [Fetched],
    ) -> Option<Elsewhere<'a>> {
        let recursion = served.recursion.as_ref()?;
        let wants = request.class == CLASS_IN && request.header.flags & flags::RD != 0;
        let flags = AskFlags::of(request.header.flags, request.opt.is_some_and(|opt| opt.dnssec_ok));
        (wants && recursion.allows(from)).then_some(Elsewhere { recursion, now, flags, fetched })
    }

    /// By which clock records age.
    pub(super) fn now(&self) -> Mono {
        self.now
    }

    /// Whether there is anybody to ask about a name.
    pub(super) fn reaches(&self, name: &NameRef) -> bool {
        self.recursion.reach.covers(name)
    }

    /// The answer for a name that an alias or a delegation leads to.
    pub(super) fn find(&self, name: &NameRef, rtype: Rtype) -> Known {
        if let Some(kept) = self.recursion.special_use.answer(name, rtype) {
            return Known::Kept(kept);
        }
        if !self.reaches(name) {
            return Known::Nothing;
        }
        match known(self.recursion, self.now, self.fetched, name, rtype, self.flags) {
            Some(entry) => Known::Entry(entry),
            None => Known::Unknown(Box::new(Ask { name: name.to_name(), rtype, flags: self.flags })),
        }
    }
}

/// Writes what is said of a special-use name; its response code, and whether there was room.
pub(super) fn write_kept(
    kept: &Kept,
    name: &NameRef,
    rtype: Rtype,
    writer: &mut Writer<'_>,
) -> (Rcode, Result<(), Full>) {
    let mut write =
        |section, owner, rtype, data| writer.record(section, owner, rtype, special_use::TTL, data);
    match kept {
        Kept::Data(data) => (Rcode::NOERROR, write(Section::Answer, name, rtype, data)),
        Kept::NoData(negative) => {
            (Rcode::NOERROR, write(Section::Authority, negative.zone, Rtype::SOA, negative.soa))
        }
        Kept::NoName(negative) => {
            (Rcode::NXDOMAIN, write(Section::Authority, negative.zone, Rtype::SOA, negative.soa))
        }
    }
}

/// What may be answered to a question: what was fetched for this request, however soon its TTL ends, or what the cache has.
pub(super) fn known(
    recursion: &Recursion,
    now: Mono,
    fetched: &[Fetched],
    name: &NameRef,
    rtype: Rtype,
    flags: AskFlags,
) -> Option<Arc<Entry>> {
    let is_it = |(ask, _): &&Fetched| *ask.name == *name && (ask.rtype, ask.flags) == (rtype, flags);
    let fetched = fetched.iter().find(is_it).map(|(_, entry)| Arc::clone(entry));
    fetched.or_else(|| recursion.cache.get(now, name, rtype, flags).filter(|entry| entry.is_fresh(now)))
}
