//! What a signed zone has besides its names: the chain of NSEC or NSEC3 records in order, from which absence is proved.
//!
//! A zone is signed when its SOA is (as Knot and NSD have it). Unsigned zones have nothing of this.

use std::sync::Arc;

use crate::wire::name::NameRef;
use crate::wire::rendered::Rendered;
use crate::wire::rtype::Rtype;

use super::negative;
use super::nsec3::Params;
use super::order::Order;
use super::owner::{Block, Owner, SignedRrset};
use super::table::{Entry, Table};

/// The records by which a signed zone proves what it does not have; `clone` is cheap and shares.
#[derive(Clone, Debug)]
pub struct Signed {
    chain: Chain,
    order: Order,
    /// What most proofs need: the record that speaks for the apex, and the one for the wildcard right below it.
    apex: Option<Kept>,
    wildcard: Option<Kept>,
    /// The SOA of negative answers and its signatures.
    soa: Option<Arc<Rendered>>,
}

/// A [`Link`] of this version, found before it is asked for.
#[derive(Clone, Debug)]
struct Kept {
    block: Block,
    matches: bool,
    proof: Option<Arc<Rendered>>,
}

impl Kept {
    fn link(&self) -> Link<'_> {
        Link { owner: Owner::new(&self.block), matches: self.matches, proof: self.proof.as_deref() }
    }
}

/// Which records prove absence.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Chain {
    /// NSEC (RFC 4034 section 4).
    Nsec,
    /// NSEC3 with the parameters of the apex's NSEC3PARAM. It counts before NSEC: NSEC3PARAM is there exactly while its chain
    /// is whole (RFC 5155 10.4 and 10.5).
    Nsec3(Arc<Params>),
}

/// The record of the chain that speaks for a name.
#[derive(Clone, Copy, Debug)]
pub struct Link<'z> {
    /// The owner of the NSEC or NSEC3 RRset.
    pub owner: Owner<'z>,
    /// Whether it stands at the name (or its hash) itself; else the name lies in the gap behind it.
    pub matches: bool,
    /// The RRset with its signatures, where it was rendered before.
    pub proof: Option<&'z Rendered>,
}

impl Signed {
    /// The index of a zone whose names are in `table`; `None` when it is unsigned.
    pub(super) fn build(apex: Owner<'_>, table: &Table) -> Option<Signed> {
        let chain = Chain::of(apex)?;
        let blocks = table.iter().map(|entry| &entry.block).filter(|block| chain.holds(block));
        let order = Order::build(apex.name(), blocks.map(Block::clone));
        let mut signed = Signed { chain, order, apex: None, wildcard: None, soa: None };
        signed.settle(apex);
        Some(signed)
    }

    /// Looks up what most proofs need; to be called when all changes are taken in.
    pub(super) fn settle(&mut self, owner: Owner<'_>) {
        let apex = owner.name();
        // For as long as a negative answer may be kept (RFC 2308 3); signatures have the TTL of what they cover (RFC 4034 3).
        let soa = owner.rrset(Rtype::SOA).map(|soa| negative::ttl(soa.ttl, soa.first()));
        self.soa = rendered(apex, owner, Rtype::SOA, soa).map(Arc::new);
        self.apex = self.keep(apex, apex);
        self.wildcard = apex.child(b"*").ok().and_then(|wildcard| self.keep(&wildcard, apex));
    }

    fn keep(&self, name: &NameRef, apex: &NameRef) -> Option<Kept> {
        let (block, matches) = match &self.chain {
            Chain::Nsec => self.nearest(name),
            Chain::Nsec3(params) => self.nearest(params.owner(name, apex)?.name()),
        }?;
        let proof = rendered(apex, Owner::new(block), self.chain(), None).map(Arc::new);
        Some(Kept { block: Block::clone(block), matches, proof })
    }

    /// Whether the apex still says what this index was made for.
    pub(super) fn is_for(&self, apex: Owner<'_>) -> bool {
        Chain::of(apex).as_ref() == Some(&self.chain)
    }

    /// Takes in that the names in `changed` now have what `table` holds.
    pub(super) fn update(&mut self, name: &NameRef, entry: Option<&Entry>) {
        match entry.map(|entry| &entry.block).filter(|block| self.chain.holds(block)) {
            Some(block) => self.order.put(block),
            None => self.order.remove(name),
        }
    }

    /// The SOA of negative answers with its signatures, rendered; `None` where they cannot be.
    pub fn soa(&self) -> Option<&Rendered> {
        self.soa.as_deref()
    }

    /// The type of the records of the chain: NSEC or NSEC3.
    pub fn chain(&self) -> Rtype {
        match self.chain {
            Chain::Nsec => Rtype::NSEC,
            Chain::Nsec3(_) => Rtype::NSEC3,
        }
    }

    /// The record that stands at `name` (a name of the zone `apex`) or covers it; `None` when the zone has no chain.
    ///
    /// A chain with holes may give a record that does neither: it is the best there is, and those who check will tell.
    pub fn link(&self, name: &NameRef, apex: &NameRef) -> Option<Link<'_>> {
        // Names of the zone that are as long as the apex are the apex.
        let kept = match name.as_wire().len().checked_sub(apex.as_wire().len()) {
            Some(0) => &self.apex,
            Some(2) if name.is_wildcard() => &self.wildcard,
            _ => &None,
        };
        if let Some(kept) = kept {
            return Some(kept.link());
        }
        let (block, matches) = match &self.chain {
            Chain::Nsec => self.nearest(name)?,
            Chain::Nsec3(params) => self.nearest(params.owner(name, apex)?.name())?,
        };
        Some(Link { owner: Owner::new(block), matches, proof: None })
    }

    /// The record for the wildcard right below the apex, as [`Signed::link`] has it.
    #[inline]
    pub fn link_of_apex_wildcard(&self) -> Option<Link<'_>> {
        self.wildcard.as_ref().map(Kept::link)
    }

    /// The record of the chain that an owner has itself, as all have in a zone with NSEC.
    #[inline]
    pub fn own<'z>(&self, owner: Owner<'z>) -> Option<SignedRrset<'z>> {
        match self.chain {
            Chain::Nsec => owner.signed_rrset(Rtype::NSEC),
            Chain::Nsec3(_) => None,
        }
    }

    fn nearest(&self, name: &NameRef) -> Option<(&Block, bool)> {
        let block = self.order.at_or_before(name)?;
        Some((block, Owner::new(block).name() == name))
    }
}

/// The RRset of a type with its signatures, rendered, with another TTL if one is given; `None` without such an RRset.
fn rendered(apex: &NameRef, owner: Owner<'_>, rtype: Rtype, ttl: Option<u32>) -> Option<Rendered> {
    let SignedRrset { set, signatures } = owner.signed_rrset(rtype)?;
    let sets = [Some(set), signatures].into_iter().flatten();
    negative::render(apex, owner.name(), sets.map(|set| set.with_ttl(ttl.unwrap_or(set.ttl))))
}

impl Chain {
    /// The chain that an apex announces; `None` when it is not signed.
    fn of(apex: Owner<'_>) -> Option<Chain> {
        apex.signatures(Rtype::SOA)?;
        Some(Params::of(apex).map_or(Chain::Nsec, |params| Chain::Nsec3(Arc::new(params))))
    }

    /// Whether this owner has a record of the chain.
    fn holds(&self, block: &Block) -> bool {
        let owner = Owner::new(block);
        match self {
            Chain::Nsec => owner.rrset(Rtype::NSEC).is_some(),
            Chain::Nsec3(params) => owner.rrset(Rtype::NSEC3).is_some_and(|set| params.made(owner, set)),
        }
    }
}
