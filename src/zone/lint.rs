//! What parses and can be served but hurts those who ask: names that lead nowhere.

use std::fmt;

use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::Rtype;

use super::lookup::Found;
use super::owner::Owner;
use super::snapshot::Snapshot;

/// Findings of one zone are told up to this many; a mistake in a template repeats itself.
const MAX_LINTS: usize = 100;

/// Something that hurts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    owner: Name,
    rtype: Rtype,
    target: Name,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// A name server below its own cut without an address (RFC 1034 4.2.1).
    NoGlue,
    /// A name server, mail exchanger or the like that is an alias (RFC 2181 10.3).
    IsAlias,
    /// A target in this zone that does not exist.
    Dangling,
    /// A target in this zone without an address.
    NoAddress,
}

impl Lint {
    /// Whether a record with this owner and type is the one that hurts.
    pub fn concerns(&self, owner: &NameRef, rtype: Rtype) -> bool {
        rtype == self.rtype && owner == &*self.owner
    }

    /// What would mend it.
    pub fn remedy(&self) -> String {
        let target = &self.target;
        match self.what {
            What::NoGlue => format!("glue: a record `{target} A ...` or `{target} AAAA ...`"),
            What::IsAlias => "the name that the CNAME leads to".to_owned(),
            What::Dangling => format!("a name that exists; is `{target}` spelled right, with its final dot?"),
            What::NoAddress => format!("a record `{target} A ...` or `{target} AAAA ...`"),
        }
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lint { owner, rtype, target, what } = self;
        match what {
            What::NoGlue => {
                write!(f, "`{owner}` is delegated to `{target}` below itself, which has no address")
            }
            What::IsAlias => write!(f, "{rtype} of `{owner}` points to `{target}`, which is a CNAME"),
            What::Dangling => write!(f, "{rtype} of `{owner}` points to `{target}`, which does not exist"),
            What::NoAddress => write!(f, "{rtype} of `{owner}` points to `{target}`, which has no address"),
        }
    }
}

/// Looks through a zone.
pub fn lint(zone: &Snapshot) -> Vec<Lint> {
    let mut lints = Vec::new();
    for owner in zone.owners() {
        // Nothing below a cut is this zone's to judge.
        if matches!(zone.lookup(owner.name(), Rtype::DS), Found::Delegation(_)) {
            continue;
        }
        for set in owner.rrsets() {
            let (skip, needs_address) = match set.rtype {
                Rtype::CNAME => (0, false),
                Rtype::NS => (0, true),
                Rtype::MX | Rtype::KX => (2, true),
                Rtype::SRV => (6, true),
                _ => continue,
            };
            for data in set.rdatas() {
                let Some(Ok(target)) = data.get(skip..).map(NameRef::read) else { continue };
                if let Some(what) = judge(zone, owner, set.rtype, target, needs_address) {
                    lints.push(Lint {
                        owner: owner.name().to_name(),
                        rtype: set.rtype,
                        target: target.to_name(),
                        what,
                    });
                }
            }
        }
    }
    lints.sort_by(|a, b| (&a.owner, a.rtype, &a.target).cmp(&(&b.owner, b.rtype, &b.target)));
    lints.truncate(MAX_LINTS);
    lints
}

fn judge(
    zone: &Snapshot,
    owner: Owner<'_>,
    rtype: Rtype,
    target: &NameRef,
    needs_address: bool,
) -> Option<What> {
    // The root as a target says "no service" (RFC 2782, RFC 7505).
    if target.is_root() || !target.is_in(zone.apex()) {
        return None;
    }
    let is_address = |owner: Owner<'_>| owner.rrset(Rtype::A).or(owner.rrset(Rtype::AAAA)).is_some();
    match zone.lookup(target, Rtype::A) {
        Found::NoName => Some(What::Dangling),
        Found::Delegation(cut) => {
            let glue = zone.owner(target).is_some_and(is_address);
            let own_cut = rtype == Rtype::NS && cut.name() == owner.name();
            (own_cut && !glue).then_some(What::NoGlue)
        }
        Found::Exact(found) | Found::Wildcard(found) if needs_address => {
            if found.rrset(Rtype::CNAME).is_some() {
                Some(What::IsAlias)
            } else {
                (!is_address(found)).then_some(What::NoAddress)
            }
        }
        Found::Exact(_) | Found::Wildcard(_) | Found::Dname(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::Builder;
    use super::*;

    #[test]
    fn targets_that_lead_nowhere() {
        let name = |text: &str| text.parse::<Name>().unwrap();
        let mut builder = Builder::new(name("example."));
        let mut add = |owner: &str, rtype, skip: usize, target: &str| {
            let data = [&vec![0; skip][..], name(target).as_wire()].concat();
            builder.add(&name(owner), rtype, 60, &data);
        };
        add("example.", Rtype::NS, 0, "ns.example.");
        add("example.", Rtype::NS, 0, "ns.elsewhere.");
        add("example.", Rtype::MX, 2, "alias.example.");
        add("alias.example.", Rtype::CNAME, 0, "nowhere.example.");
        add("sub.example.", Rtype::NS, 0, "ns.sub.example.");
        add("glued.example.", Rtype::NS, 0, "ns.glued.example.");
        add("_x._tcp.example.", Rtype::SRV, 6, ".");
        builder.add(&name("ns.example."), Rtype::A, 60, &[0; 4]);
        builder.add(&name("ns.glued.example."), Rtype::A, 60, &[0; 4]);
        builder.add(&name("example."), Rtype::SOA, 60, &[0; 22]);
        let told: Vec<String> = lint(&builder.finish().unwrap().0).iter().map(Lint::to_string).collect();
        assert_eq!(
            told,
            [
                "MX of `example.` points to `alias.example.`, which is a CNAME",
                "CNAME of `alias.example.` points to `nowhere.example.`, which does not exist",
                "`sub.example.` is delegated to `ns.sub.example.` below itself, which has no address",
            ]
        );
    }
}
