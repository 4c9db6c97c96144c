//! What a signed zone has besides its names: the chain of NSEC or NSEC3 records in order, from which absence is proved.
//!
//! A zone is signed when its SOA is (as Knot and NSD have it). Unsigned zones have nothing of this.

use std::sync::Arc;

use crate::wire::name::{NameRef, hash_name};
use crate::wire::rtype::Rtype;

use super::lookup::Found;
use super::nsec3::{LABEL, Params};
use super::order::Order;
use super::owner::{Block, Owner};
use super::snapshot::Snapshot;
use super::table::{Entry, Table};

/// The records by which a signed zone proves what it does not have; `clone` is cheap and shares.
#[derive(Clone, Debug)]
pub struct Signed {
    chain: Chain,
    order: Order,
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
}

impl Signed {
    /// The index of a zone whose names are in `table`; `None` when it is unsigned.
    pub(super) fn build(apex: Owner<'_>, table: &Table) -> Option<Signed> {
        let chain = Chain::of(apex)?;
        let blocks = table.iter().map(|entry| &entry.block).filter(|block| chain.holds(block));
        let order = Order::build(apex.name(), blocks.map(Block::clone));
        Some(Signed { chain, order })
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
        match &self.chain {
            Chain::Nsec => self.nearest(name),
            Chain::Nsec3(params) => self.nearest(params.owner(name, apex)?.name()),
        }
    }

    fn nearest(&self, name: &NameRef) -> Option<Link<'_>> {
        let owner = self.order.at_or_before(name)?;
        Some(Link { owner, matches: owner.name() == name })
    }
}

impl Snapshot {
    /// The nearest name that exists above `name`, which does not, and the name right below that on the way to `name` (RFC 5155
    /// 1.3: closest encloser, next closer name).
    pub fn closest_encloser<'n>(&self, name: &'n NameRef) -> (&'n NameRef, &'n NameRef) {
        let mut next = name;
        loop {
            let Some(above) = next.parent().filter(|_| next != self.apex()) else { return (next, next) };
            let entry = self.table.get(hash_name(above), above);
            if entry.is_some_and(|entry| !is_hashed(entry)) {
                return (above, next);
            }
            next = above;
        }
    }

    /// What was found for `name` in a signed zone, when names that only an NSEC3 record has do not exist (RFC 5155 7.2.8).
    pub fn without_hashed<'z>(&'z self, found: Found<'z>, name: &NameRef, rtype: Rtype) -> Found<'z> {
        let (wire, apex) = (name.as_wire(), self.apex().as_wire());
        let below = wire.len().checked_sub(apex.len() + 1 + LABEL);
        let Some(below) = below.filter(|&below| usize::from(wire[below]) == LABEL) else { return found };
        if !matches!(found, Found::Exact(_) | Found::NoName) {
            return found;
        }
        let starts = name.label_starts();
        let Some(&start) = starts.iter().find(|&&start| usize::from(start) == below) else { return found };
        let hashed = name.suffix(start);
        match self.table.get(hash_name(hashed), hashed) {
            Some(entry) if is_hashed(entry) => self.wildcard(hash_name(self.apex()), self.apex(), rtype),
            _ => found,
        }
    }
}

/// Whether the name is there for its NSEC3 record alone.
fn is_hashed(entry: &Entry) -> bool {
    let mut sets = entry.owner().rrsets().peekable();
    sets.peek().is_some()
        && !entry.has_children()
        && sets.all(|set| set.rtype == Rtype::NSEC3 || set.covers() == Some(Rtype::NSEC3))
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
