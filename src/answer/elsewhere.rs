//! What no zone here has: the cache of this node, for a client that may use it and wants the whole answer (RD).

use std::sync::Arc;

use crate::resolve::cache::{Ask, AskFlags, Entry};
use crate::time::Mono;
use crate::wire::message::{Request, flags};
use crate::wire::name::NameRef;
use crate::wire::rtype::{CLASS_IN, Rtype};

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
        let is_kept = || self.recursion.special_use.answer(name, rtype).is_some();
        if !self.reaches(name) || is_kept() {
            return Known::Nothing;
        }
        match known(self.recursion, self.now, self.fetched, name, rtype, self.flags) {
            Some(entry) => Known::Entry(entry),
            None => Known::Unknown(Box::new(Ask { name: name.to_name(), rtype, flags: self.flags })),
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
