//! Names that do not exist in a zone: where they would hang, and names that only proofs have.

use crate::wire::hash::hash_name;

use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;

use super::lookup::Found;
use super::nsec3::LABEL;
use super::snapshot::Snapshot;
use super::table::Entry;

impl Snapshot {
    /// The nearest name that exists above `name`, which does not, and the name right below that on the way to `name` (RFC 5155
    /// 1.3: closest encloser, next closer name).
    pub fn closest_encloser<'n>(&self, name: &'n NameRef) -> (&'n NameRef, &'n NameRef) {
        let mut next = name;
        loop {
            let Some(above) = next.parent().filter(|_| *next != **self.apex()) else { return (next, next) };
            // The apex exists always.
            if above.as_wire().len() == self.apex().as_wire().len() {
                return (above, next);
            }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::builder::Builder;
    use super::super::diff::between;
    use super::super::serial::Serial;
    use super::*;
    use crate::wire::name::Name;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn owner(number: u8) -> Name {
        name(&format!("{}.{}.example.", number % 4, number / 4))
    }

    fn hashed(number: u8) -> Name {
        let digit = char::from(b"0123456789abcdefghijklmnopqrstuv"[usize::from(number % 32)]);
        name(&format!("{}.example.", digit.to_string().repeat(32)))
    }

    /// A zone with these names and these NSEC3 records; `kind` says how it is signed: not, NSEC, NSEC3, NSEC3 with other
    /// parameters.
    fn zone(serial: u8, kind: u8, names: &[u8], hashes: &[u8]) -> Snapshot {
        let apex = name("example.");
        let mut builder = Builder::new(apex.clone());
        let mut soa = vec![0; 22];
        soa[5] = serial;
        builder.add(&apex, Rtype::SOA, 60, &soa);
        builder.add(&apex, Rtype::NS, 60, b"\x02ns\x00");
        if kind > 0 {
            builder.add(&apex, Rtype::RRSIG, 60, &[0, 6, 1]);
        }
        if kind > 1 {
            builder.add(&apex, Rtype::NSEC3PARAM, 60, &[1, 0, 0, kind - 2, 0]);
        }
        for &number in names {
            builder.add(&owner(number), Rtype::NSEC, 60, &[0, number]);
        }
        for &number in hashes {
            builder.add(&hashed(number), Rtype::NSEC3, 60, &[1, 0, 0, number % 2, 0, 1, number]);
        }
        builder.finish().unwrap().0
    }

    type Links = Vec<Option<(Name, bool)>>;

    fn links(zone: &Snapshot) -> Option<(Rtype, Links)> {
        let signed = zone.signed()?;
        let link = |name: &NameRef| {
            signed.link(name, zone.apex()).map(|link| (link.owner.name().to_name(), link.matches))
        };
        Some((signed.chain(), (0..20).map(|number| link(&owner(number))).collect()))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        /// What deltas make of a zone is what a load would make.
        #[test]
        fn an_index_follows_its_zone(
            old in (0u8..4, proptest::collection::vec(0u8..20, 0..12), proptest::collection::vec(0u8..32, 0..12)),
            new in (0u8..4, proptest::collection::vec(0u8..20, 0..12), proptest::collection::vec(0u8..32, 0..12)),
        ) {
            let (old, new) = (zone(1, old.0, &old.1, &old.2), zone(2, new.0, &new.1, &new.2));
            let applied = old.apply(&between(&old, &new).unwrap()).unwrap();
            prop_assert_eq!(links(&applied), links(&new));
            let renumbered = new.with_serial(Serial(9));
            prop_assert_eq!(links(&renumbered), links(&new));
        }
    }

    #[test]
    fn unsigned_zones_have_no_index() {
        assert!(zone(1, 0, &[1, 2], &[3]).signed().is_none());
        assert_eq!(
            zone(1, 1, &[], &[]).signed().unwrap().link(&name("a.example."), &name("example.")).map(|_| ()),
            None
        );
    }

    #[test]
    fn the_block_of_the_newest_version_is_served() {
        let (old, new) = (zone(1, 1, &[5], &[]), zone(2, 1, &[5], &[]));
        let mut delta = between(&old, &new).unwrap();
        delta.added.push(&owner(5), Rtype::A, 60, &[1; 4]);
        let applied = old.apply(&delta).unwrap();
        let link = applied.signed().unwrap().link(&owner(5), applied.apex()).unwrap();
        assert!(link.matches && link.owner.rrset(Rtype::A).is_some());
    }

    #[test]
    fn closest_enclosers() {
        let zone = zone(1, 2, &[5], &[8]);
        let find = |text: &str| {
            let name = name(text);
            let (encloser, next) = zone.closest_encloser(&name);
            (encloser.to_string(), next.to_string())
        };
        let pair = |encloser: &str, next: &str| (encloser.to_owned(), next.to_owned());
        assert_eq!(find("x.y.1.example."), pair("1.example.", "y.1.example."));
        assert_eq!(find("x.1.1.example."), pair("1.1.example.", "x.1.1.example."));
        assert_eq!(find("q.example."), pair("example.", "q.example."));
        let hashed = hashed(8);
        assert_eq!(find(&format!("x.{hashed}")), pair("example.", &hashed.to_string()));
    }
}
