//! Finding a name in a zone: RFC 1034 4.3.2 steps 3a to 3c, with wildcards (RFC 4592), DNAME (RFC 6672) and empty
//! non-terminals, in one walk from the apex down.

use crate::wire::name::{Name, NameRef, hash_label, hash_root};
use crate::wire::rtype::Rtype;

use super::owner::Owner;
use super::snapshot::Snapshot;

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

impl Snapshot {
    /// Looks up `name`, which must be in the zone, for a question of type `rtype` (which matters at a cut: DS is
    /// answered by the parent, RFC 4035 3.1.4.1).
    pub fn lookup(&self, name: &NameRef, rtype: Rtype) -> Found<'_> {
        let starts = name.label_starts();
        let apex_labels = self.apex().label_count();
        let below = starts.len().saturating_sub(apex_labels);
        let mut hash = hash_root();
        for &start in starts[below..].iter().rev() {
            hash = hash_label(hash, first_label(name.suffix(start)));
        }
        let Some(mut encloser) = self.table.get(hash, self.apex()) else { return Found::NoName };
        let mut encloser_hash = hash;
        for (depth, &start) in starts[..below].iter().enumerate().rev() {
            if encloser.has_dname() {
                return Found::Dname(encloser.owner());
            }
            if !encloser.has_children() {
                return Found::NoName;
            }
            let suffix = name.suffix(start);
            hash = hash_label(encloser_hash, first_label(suffix));
            let Some(next) = self.table.get(hash, suffix) else {
                return self.wildcard(encloser_hash, encloser.owner().name(), rtype);
            };
            if next.has_ns() && !(depth == 0 && rtype == Rtype::DS) {
                return Found::Delegation(next.owner());
            }
            (encloser, encloser_hash) = (next, hash);
        }
        Found::Exact(encloser.owner())
    }

    /// The wildcard right below the closest encloser, the source of synthesis (RFC 4592 3.3.1).
    pub(super) fn wildcard(&self, encloser_hash: u64, encloser: &NameRef, rtype: Rtype) -> Found<'_> {
        // An encloser too long to have a child has no wildcard.
        let Ok(name) = encloser.child(b"*") else { return Found::NoName };
        match self.table.get(hash_label(encloser_hash, b"*"), &name) {
            // A wildcard that owns NS is not followed as a cut by every server (RFC 4592 4.2): it is synthesised as a referral.
            Some(entry) if entry.has_ns() && rtype != Rtype::DS => Found::Delegation(entry.owner()),
            Some(entry) => Found::Wildcard(entry.owner()),
            None => Found::NoName,
        }
    }
}

/// The name that `name`, which is below `owner`, has after its DNAME (RFC 6672 2.2); `None` when it grows too long.
pub fn substitute(name: &NameRef, owner: &NameRef, target: &NameRef) -> Option<Name> {
    let kept = name.as_wire().len() - owner.as_wire().len();
    Name::from_wire(&[&name.as_wire()[..kept], target.as_wire()].concat()).ok()
}

fn first_label(name: &NameRef) -> &[u8] {
    name.labels().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::Builder;
    use super::*;

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
        let moved = substitute(&name("A.b.moved.example."), &name("moved.example."), &name("new."));
        assert_eq!(moved, Some(name("a.b.new.")));
    }
}
