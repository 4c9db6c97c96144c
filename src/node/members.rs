//! The zones of a node with their machines: found by name with one look, and gone through by name in canonical order.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use crate::wire::canonical::SortKey;
use crate::wire::name::{Name, NameRef};

use super::member::Member;

/// All members. A change of a zone looks for its member a dozen times, and a tree would compare names at each level, each in memory
/// of its own: the order is kept beside, for pages alone.
#[derive(Default)]
pub(super) struct Members {
    found: HashMap<Name, Box<Member>>,
    order: BTreeSet<SortKey>,
}

impl Members {
    pub(super) fn get(&self, zone: &NameRef) -> Option<&Member> {
        self.found.get(zone).map(|member| &**member)
    }

    pub(super) fn get_mut(&mut self, zone: &NameRef) -> Option<&mut Member> {
        self.found.get_mut(zone).map(|member| &mut **member)
    }

    pub(super) fn contains(&self, zone: &NameRef) -> bool {
        self.found.contains_key(zone)
    }

    pub(super) fn insert(&mut self, member: Member) {
        let zone = member.config.name.clone();
        self.order.insert(SortKey::of(&zone));
        self.found.insert(zone, Box::new(member));
    }

    pub(super) fn remove(&mut self, zone: &NameRef) -> Option<Member> {
        let member = self.found.remove(zone)?;
        self.order.remove(&SortKey::of(zone));
        Some(*member)
    }

    /// All members, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.found.values().map(|member| &**member)
    }

    /// The members behind a name, in canonical order (RFC 4034 6.1).
    pub(super) fn behind(&self, zone: Option<&NameRef>) -> impl Iterator<Item = &Member> {
        let from = zone.map_or(Bound::Unbounded, |zone| Bound::Excluded(SortKey::of(zone)));
        self.order.range((from, Bound::Unbounded)).filter_map(|key| self.get(&key.to_name()))
    }
}
