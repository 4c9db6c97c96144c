//! Finding a name in a zone: RFC 1034 4.3.2 steps 3a to 3c, with wildcards (RFC 4592), DNAME (RFC 6672) and empty
//! non-terminals, in one walk from the apex down.

use crate::wire::hash::hash_label;

use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;

use super::owner::Owner;
use super::snapshot::Snapshot;
use super::table::{Entry, Table};

/// What a zone has for a name.
#[derive(Clone, Copy, Debug)]
pub enum Found<'z> {
    /// The name exists. It may have the type asked for, a CNAME, other types, or (an empty non-terminal) none.
    Exact(Owner<'z>),
    /// The name does not exist, and this wildcard speaks for it.
    Wildcard(Owner<'z>),
    /// The name is at or below a zone cut: these are the cut's records.
    Delegation(Owner<'z>),
    /// The name is below a name with a DNAME.
    Dname(Owner<'z>),
    /// Neither the name nor a wildcard for it exists.
    NoName,
}

/// The way to the name one label below the apex at or above the one sought, gone in steps between which memory comes.
#[derive(Clone, Copy, Debug)]
pub struct Near<'z> {
    hash: u64,
    /// The first entry with this hash, if there is one, when it was looked for.
    first: Option<Option<&'z Entry>>,
}

impl<'z> Near<'z> {
    /// Looks for the name in `zone`, the one this was made by, and has its records brought near.
    #[inline]
    pub fn fetch(&mut self, zone: &'z Snapshot) {
        self.first = Some(zone.table.fetch_block(self.hash));
    }

    /// The entry of the name.
    #[inline]
    fn entry(self, table: &'z Table, name: &NameRef) -> Option<&'z Entry> {
        match self.first {
            Some(None) => None,
            Some(Some(entry)) if entry.owner().name() == name => Some(entry),
            _ => table.get(self.hash, name),
        }
    }
}

impl Snapshot {
    /// Looks up `name`, which must be in the zone, for a question of type `rtype` (which matters at a cut: DS is
    /// answered by the parent, RFC 4035 3.1.4.1).
    pub fn lookup(&self, name: &NameRef, rtype: Rtype) -> Found<'_> {
        self.lookup_at(name, &name.label_starts(), rtype, None)
    }

    /// Like [`Snapshot::lookup`] for a name whose labels are known to begin at `starts`; `near` is what was found on the way to it.
    pub fn lookup_at<'z>(
        &'z self,
        name: &NameRef,
        starts: &[u8],
        rtype: Rtype,
        near: Option<Near<'z>>,
    ) -> Found<'z> {
        let below = starts.len().saturating_sub(self.apex_labels());
        let (mut encloser, mut encloser_hash, mut near) = (&self.at_apex, self.apex_hash(), near);
        for (depth, &start) in starts[..below].iter().enumerate().rev() {
            if encloser.has_dname() {
                return Found::Dname(encloser.owner());
            }
            if !encloser.has_children() {
                return Found::NoName;
            }
            let suffix = name.suffix(start);
            let (hash, next) = match near.take() {
                Some(near) => (near.hash, near.entry(&self.table, suffix)),
                None => {
                    let hash = hash_label(encloser_hash, suffix.first_label());
                    (hash, self.table.get(hash, suffix))
                }
            };
            let Some(next) = next else {
                return self.wildcard(encloser_hash, encloser.owner().name(), rtype);
            };
            if next.has_ns() && !(depth == 0 && rtype == Rtype::DS) {
                return Found::Delegation(next.owner());
            }
            (encloser, encloser_hash) = (next, hash);
        }
        Found::Exact(encloser.owner())
    }

    /// Has what the table holds around the name one label below the apex at or above `name` brought near: most searches end
    /// there. `None` for the apex itself.
    pub fn near(&self, name: &NameRef, starts: &[u8]) -> Option<Near<'_>> {
        let start = *starts.get(starts.len().checked_sub(self.apex_labels() + 1)?)?;
        let hash = hash_label(self.apex_hash(), name.suffix(start).first_label());
        self.table.fetch_leaf(hash);
        Some(Near { hash, first: None })
    }

    /// The wildcard right below the closest encloser, the source of synthesis (RFC 4592 3.3.1).
    pub(super) fn wildcard(&self, encloser_hash: u64, encloser: &NameRef, rtype: Rtype) -> Found<'_> {
        let is_source = |name: &NameRef| name.is_wildcard() && name.parent() == Some(encloser);
        let source = if encloser.as_wire().len() == self.apex().as_wire().len() {
            self.apex_wildcard.as_ref()
        } else {
            self.table.find(hash_label(encloser_hash, b"*"), is_source)
        };
        match source {
            // A wildcard that owns NS is not followed as a cut by every server (RFC 4592 4.2): it is synthesised as a referral.
            Some(entry) if entry.has_ns() && rtype != Rtype::DS => Found::Delegation(entry.owner()),
            Some(entry) => Found::Wildcard(entry.owner()),
            None => Found::NoName,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::builder::Builder;
    use super::*;
    use crate::wire::name::Name;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    /// RFC 4592 2.2.1, with a DNAME added.
    fn rfc_4592() -> Snapshot {
        let mut builder = Builder::new(name("example."));
        let mut add = |owner: &str, rtype, data: &[u8]| builder.add(&name(owner), rtype, 3600, data);
        add("example.", Rtype::SOA, &[0; 22]);
        add("example.", Rtype::NS, b"\x02ns\x00");
        add("*.example.", Rtype::TXT, b"\x01w");
        add("*.example.", Rtype::MX, b"\x00\x0a\x00");
        add("sub.*.example.", Rtype::TXT, b"\x01s");
        add("host1.example.", Rtype::A, &[192, 0, 2, 1]);
        add("_ssh._tcp.host1.example.", Rtype::SRV, b"\0\0\0\0\0\0\0");
        add("_ssh._tcp.host2.example.", Rtype::SRV, b"\0\0\0\0\0\0\0");
        add("subdel.example.", Rtype::NS, b"\x02ns\x00");
        add("ns.subdel.example.", Rtype::A, &[192, 0, 2, 2]);
        add("moved.example.", Rtype::DNAME, b"\x00");
        builder.finish().unwrap().0
    }

    #[test]
    fn examples_of_rfc_4592() {
        let zone = rfc_4592();
        let find = |text: &str, rtype| zone.lookup(&name(text), rtype);
        assert!(matches!(find("host3.example.", Rtype::MX), Found::Wildcard(_)));
        assert!(matches!(find("foo.bar.example.", Rtype::TXT), Found::Wildcard(_)));
        assert!(matches!(find("host1.example.", Rtype::MX), Found::Exact(_)));
        assert!(matches!(find("sub.*.example.", Rtype::MX), Found::Exact(_)));
        assert!(matches!(find("_telnet._tcp.host1.example.", Rtype::SRV), Found::NoName));
        assert!(matches!(find("host.subdel.example.", Rtype::A), Found::Delegation(_)));
        assert!(matches!(find("ghost.*.example.", Rtype::MX), Found::NoName));
        let empty = find("_tcp.host2.example.", Rtype::A);
        assert!(matches!(empty, Found::Exact(owner) if owner.rrsets().next().is_none()));
    }

    #[test]
    fn cuts_and_dnames() {
        let zone = rfc_4592();
        assert!(matches!(zone.lookup(&name("SUBDEL.example."), Rtype::A), Found::Delegation(_)));
        assert!(matches!(zone.lookup(&name("subdel.example."), Rtype::DS), Found::Exact(_)));
        assert!(matches!(zone.lookup(&name("ns.subdel.example."), Rtype::DS), Found::Delegation(_)));
        assert!(matches!(zone.lookup(&name("moved.example."), Rtype::A), Found::Exact(_)));
        assert!(matches!(zone.lookup(&name("a.moved.example."), Rtype::A), Found::Dname(_)));
        assert!(matches!(zone.lookup(&name("example."), Rtype::NS), Found::Exact(_)));
    }
}
