//! What parses and can be served but hurts those who ask: names that lead nowhere, data that nobody can ever get.

use std::fmt;

use crate::wire::name::{Name, NameRef};
use crate::wire::rdata;
use crate::wire::rtype::Rtype;

use super::lookup::Found;
use super::owner::{Owner, Rrset};
use super::snapshot::Snapshot;

/// Findings of one zone are told up to this many; a mistake in a template repeats itself.
const MAX_LINTS: usize = 100;

/// The largest message, over TCP (RFC 1035 4.2.2).
const MAX_MESSAGE: usize = 65_535;

/// Something that hurts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    owner: Name,
    rtype: Rtype,
    /// What the record points to, or the name that the record is hidden by; else the owner.
    target: Name,
    /// The record's own data, where it is not the RRset as a whole that hurts.
    rdata: Option<Box<[u8]>>,
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
    /// Data at or below a cut that is no glue, so that it is never answered (RFC 2136 7.18).
    BelowCut,
    /// Data below a DNAME, where there must be none (RFC 6672 2.4).
    BelowDname,
    /// DS at the apex or where nothing is delegated (RFC 4035 2.4).
    StrayDs,
    /// NS or DNAME at a wildcard (RFC 4592 4.2 and 4.4).
    AtWildcard,
    /// An RRset that no message can hold (RFC 1035 4.2.2).
    TooLarge,
}

impl Lint {
    /// Whether a record with this owner, type and data is the one that hurts.
    pub fn concerns(&self, owner: &NameRef, rtype: Rtype, data: &[u8]) -> bool {
        let is_it = self.rdata.as_ref().is_none_or(|own| rdata::same(rtype, own, data));
        rtype == self.rtype && is_it && owner == &*self.owner
    }

    /// What would mend it.
    pub fn remedy(&self) -> String {
        let target = &self.target;
        match self.what {
            What::NoGlue => format!("glue: a record `{target} A ...` or `{target} AAAA ...`"),
            What::IsAlias => "the name that the CNAME leads to".to_owned(),
            What::Dangling => format!("a name that exists; is `{target}` spelled right, with its final dot?"),
            What::NoAddress => format!("a record `{target} A ...` or `{target} AAAA ...`"),
            What::BelowCut => {
                format!("the data in the zone that `{target}` is delegated to, or no delegation")
            }
            What::BelowDname => format!("the data in the zone that the DNAME of `{target}` leads to"),
            What::StrayDs => "DS records only beside the NS records of a delegation".to_owned(),
            What::AtWildcard => "the names themselves; resolvers do not agree on what this means".to_owned(),
            What::TooLarge => format!("fewer records: a message has at most {MAX_MESSAGE} bytes"),
        }
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lint { owner, rtype, target, what, .. } = self;
        match what {
            What::NoGlue => {
                write!(f, "`{owner}` is delegated to `{target}` below itself, which has no address")
            }
            What::IsAlias => write!(f, "{rtype} of `{owner}` points to `{target}`, which is a CNAME"),
            What::Dangling => write!(f, "{rtype} of `{owner}` points to `{target}`, which does not exist"),
            What::NoAddress => write!(f, "{rtype} of `{owner}` points to `{target}`, which has no address"),
            What::BelowCut => {
                write!(f, "{rtype} of `{owner}` is never answered, as `{target}` is delegated")
            }
            What::BelowDname => {
                write!(f, "{rtype} of `{owner}` is never answered, as `{target}` has a DNAME")
            }
            What::StrayDs => write!(f, "`{owner}` has a DS record, but is not delegated"),
            What::AtWildcard => write!(f, "`{owner}` has a {rtype} record at a wildcard"),
            What::TooLarge => write!(f, "the {rtype} records of `{owner}` are too many to be answered"),
        }
    }
}

/// Looks through a zone.
pub fn lint(zone: &Snapshot) -> Vec<Lint> {
    let mut lints = Vec::new();
    for owner in zone.owners() {
        let mut tell = |rtype, target: &NameRef, rdata: Option<&[u8]>, what| {
            let (owner, target) = (owner.name().to_name(), target.to_name());
            lints.push(Lint { owner, rtype, target, rdata: rdata.map(Box::from), what });
        };
        match zone.lookup(owner.name(), Rtype::DS) {
            // Nothing below a cut is this zone's to judge, but what is no glue is there in vain.
            Found::Delegation(cut) => {
                for set in owner.rrsets().filter(|set| !may_be_glue(set.rtype)) {
                    tell(set.rtype, cut.name(), None, What::BelowCut);
                }
                continue;
            }
            Found::Dname(above) => {
                for set in owner.rrsets() {
                    tell(set.rtype, above.name(), None, What::BelowDname);
                }
                continue;
            }
            _ => {}
        }
        let delegated = owner.rrset(Rtype::NS).is_some() && *owner.name() != **zone.apex();
        for set in owner.rrsets() {
            if size(owner, set) > MAX_MESSAGE {
                tell(set.rtype, owner.name(), None, What::TooLarge);
            }
            match set.rtype {
                Rtype::NS | Rtype::DNAME if owner.name().is_wildcard() => {
                    tell(set.rtype, owner.name(), None, What::AtWildcard);
                }
                Rtype::DS if !delegated => tell(set.rtype, owner.name(), None, What::StrayDs),
                rtype if delegated && !stands_at_cut(rtype) => {
                    tell(rtype, owner.name(), None, What::BelowCut);
                }
                _ => {}
            }
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
                    tell(set.rtype, target, Some(data), what);
                }
            }
        }
    }
    lints.sort_by(|a, b| (&a.owner, a.rtype, &a.target).cmp(&(&b.owner, b.rtype, &b.target)));
    lints.truncate(MAX_LINTS);
    lints
}

/// Addresses below a cut, and signatures and proofs that a signer left there.
fn may_be_glue(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::A | Rtype::AAAA | Rtype::RRSIG | Rtype::NSEC)
}

/// What the parent of a zone has at the zone's name (RFC 4035 2.5), and glue for a server of that name.
fn stands_at_cut(rtype: Rtype) -> bool {
    may_be_glue(rtype) || matches!(rtype, Rtype::NS | Rtype::DS)
}

/// The bytes of a message with nothing but the question and this RRset, names compressed as far as they ever can be.
fn size(owner: Owner<'_>, set: Rrset<'_>) -> usize {
    const HEAD: usize = 12;
    const POINTER_AND_NUMBERS: usize = 2 + 10;
    let question = owner.name().as_wire().len() + 4;
    HEAD + question + set.rdatas().map(|data| POINTER_AND_NUMBERS + data.len()).sum::<usize>()
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
    use super::super::builder::Builder;
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
        add("sub.example.", Rtype::DNAME, 0, "x.");
        add("mail.sub.example.", Rtype::MX, 2, "x.");
        add("dname.example.", Rtype::DNAME, 0, "x.");
        add("a.dname.example.", Rtype::PTR, 0, "x.");
        add("*.w.example.", Rtype::NS, 0, "x.");
        builder.add(&name("ns.example."), Rtype::DS, 60, &[0; 24]);
        for number in 0..4 {
            builder.add(&name("large.example."), Rtype::NULL, 60, &[number; 16_384]);
        }
        builder.add(&name("ns.example."), Rtype::A, 60, &[0; 4]);
        builder.add(&name("ns.glued.example."), Rtype::A, 60, &[0; 4]);
        builder.add(&name("example."), Rtype::SOA, 60, &[0; 22]);
        let told: Vec<String> = lint(&builder.finish().unwrap().0).iter().map(Lint::to_string).collect();
        assert_eq!(
            told,
            [
                "MX of `example.` points to `alias.example.`, which is a CNAME",
                "CNAME of `alias.example.` points to `nowhere.example.`, which does not exist",
                "PTR of `a.dname.example.` is never answered, as `dname.example.` has a DNAME",
                "the NULL records of `large.example.` are too many to be answered",
                "`ns.example.` has a DS record, but is not delegated",
                "`sub.example.` is delegated to `ns.sub.example.` below itself, which has no address",
                "DNAME of `sub.example.` is never answered, as `sub.example.` is delegated",
                "MX of `mail.sub.example.` is never answered, as `sub.example.` is delegated",
                "`*.w.example.` has a NS record at a wildcard",
            ]
        );
    }
}
