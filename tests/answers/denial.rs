//! Whether NSEC (RFC 4035 3.1.3, 5.4) and NSEC3 (RFC 5155 7.2, 8) records prove what is not there, and no more than that.

use std::collections::BTreeSet;

use super::loaded::{self, Loaded};
use super::name::Name;
use super::reply::{CNAME, Record, covered, type_number};

/// Opt-out (RFC 5155 3.1.2.1).
const OPT_OUT: u8 = 1;
/// What stands beside a CNAME (RFC 4035 2.5).
pub const BESIDE_CNAME: &[&str] = &["RRSIG", "NSEC"];

/// Something that is not there.
#[derive(Clone, Debug)]
pub enum Claim {
    /// The name is there, the type is not.
    NoData(Name, u16),
    NoName(Name),
    /// A wildcard speaks for the name, which is not there.
    Expanded(Name),
    /// The same, and the wildcard does not have the type.
    WildcardNoData(Name, Name, u16),
}

impl Claim {
    /// What BIND and Knot prove of it, which both leave out the wildcard where that is an empty non-terminal; Knot, besides,
    /// proves nothing of a name with `*` in front.
    pub fn less(&self, knot: bool, zone: &Loaded) -> Option<Claim> {
        match self {
            Claim::NoName(name) | Claim::Expanded(name) | Claim::WildcardNoData(name, ..)
                if knot && name.labels.first().is_some_and(|label| label == b"*") =>
            {
                None
            }
            Claim::WildcardNoData(name, wildcard, _) if zone.at(wildcard).next().is_none() => {
                Some(Claim::Expanded(name.clone()))
            }
            _ => Some(self.clone()),
        }
    }
}

/// NSEC, NSEC3, or a signature for one.
pub fn is_proof(record: &Record) -> bool {
    ["NSEC", "NSEC3"].map(type_number).contains(&covered(record).unwrap_or(record.rtype))
}

/// What is wrong with the proofs in an authority section.
pub fn faults(zones: &[Loaded], proofs: &[Record], claims: &[(&Loaded, Claim)]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    let denials: Vec<Denial> = proofs
        .iter()
        .filter(|record| covered(record).is_none())
        .filter_map(|record| Denial::read(zones, record))
        .collect();
    for (zone, claim) in claims {
        let mut proof = Proof { zone, denials: &denials, used: &mut used };
        if !proof.holds(claim) {
            faults.push(format!("a proof that does not hold: {claim:?}"));
        }
    }
    let signed = |record: &Record| {
        proofs.iter().any(|other| covered(other) == Some(record.rtype) && other.owner == record.owner)
    };
    for record in proofs {
        let idle = !used.contains(&record.owner);
        if idle || covered(record).is_none() && !signed(record) {
            faults.push(format!("a proof without use or signature: {}", record.text()));
        }
    }
    faults
}

/// An NSEC or NSEC3 record.
struct Denial<'r> {
    zone: &'r Loaded,
    owner: Name,
    /// As in the zone's chain.
    next: String,
    types: &'r [u8],
    opt_out: bool,
}

impl<'r> Denial<'r> {
    /// Reads a record that a zone has; `None` for others.
    fn read(zones: &'r [Loaded], record: &'r Record) -> Option<Denial<'r>> {
        let owner = Name::from_wire(&record.owner);
        let data = &record.data;
        let (next, types, opt_out) = if record.rtype == type_number("NSEC3") {
            let at = 5 + usize::from(data[4]);
            let (hash, types) = data[at + 1..].split_at(usize::from(data[at]));
            let hash = loaded::base32hex(hash);
            (String::from_utf8(hash).unwrap(), types, data[1] & OPT_OUT != 0)
        } else {
            let next = Name::from_wire(data);
            (next.text(), &data[next.len()..], false)
        };
        let zone = zones.iter().find(|zone| zone.chain.get(&owner) == Some(&next))?;
        Some(Denial { zone, owner, next, types, opt_out })
    }

    /// RFC 4034 4.1.2.
    fn has(&self, rtype: u16) -> bool {
        let mut blocks = self.types;
        while let [window, length, rest @ ..] = blocks {
            let (bits, behind) = rest.split_at(usize::from(*length));
            if u16::from(*window) == rtype >> 8 {
                let byte = bits.get(usize::from(rtype & 0xff) / 8);
                return byte.is_some_and(|byte| byte >> (7 - rtype % 8) & 1 == 1);
            }
            blocks = behind;
        }
        false
    }

    /// Whether the type is denied to the name that owns this: not by a CNAME, unless the type may stand beside one (RFC 6840 4.3),
    /// and at a cut not by the zone above, but for DS (RFC 6840 4.1).
    fn denies(&self, rtype: u16) -> bool {
        let cut = self.has(type_number("NS")) && !self.has(type_number("SOA"));
        let alias = self.has(CNAME) && !BESIDE_CNAME.iter().any(|beside| type_number(beside) == rtype);
        !self.has(rtype) && !alias && (!cut || rtype == type_number("DS"))
    }

    /// Whether a name lies between the owner and the next: by canonical order (RFC 4034 6.1), or by hash.
    fn covers(&self, name: &Name) -> bool {
        let (next, it) = match self.zone.hashed(name) {
            Some(hashed) => (self.zone.apex.child(self.next.as_bytes()), hashed),
            None => (loaded::name(&self.next), name.clone()),
        };
        let (owner, next, it) = (order(&self.owner), order(&next), order(&it));
        if owner < next { owner < it && it < next } else { owner < it || it < next }
    }
}

fn order(name: &Name) -> Vec<&[u8]> {
    name.labels.iter().rev().map(|label| &label[..]).collect()
}

/// One claim against the records of an answer.
struct Proof<'p> {
    zone: &'p Loaded,
    denials: &'p [Denial<'p>],
    /// The owners of what was needed.
    used: &'p mut BTreeSet<Vec<u8>>,
}

impl<'p> Proof<'p> {
    fn holds(&mut self, claim: &Claim) -> bool {
        if self.zone.hashing.is_some() { self.nsec3(claim) } else { self.nsec(claim) }
    }

    fn nsec(&mut self, claim: &Claim) -> bool {
        match claim {
            Claim::NoData(name, rtype) => self.lacks(name, *rtype),
            Claim::NoName(name) => {
                let wildcard = self.zone.encloser(name).child(b"*");
                self.covered(name).is_some() && self.covered(&wildcard).is_some()
            }
            Claim::Expanded(name) => self.covered(name).is_some(),
            Claim::WildcardNoData(name, wildcard, rtype) => {
                self.covered(name).is_some() && self.lacks(wildcard, *rtype)
            }
        }
    }

    /// The NSEC of the name, or that around an empty non-terminal: the next name is below it.
    fn lacks(&mut self, name: &Name, rtype: u16) -> bool {
        match self.matching(name) {
            Some(own) => own.denies(rtype),
            None => self.covered(name).is_some_and(|around| loaded::name(&around.next).is_below(name)),
        }
    }

    fn nsec3(&mut self, claim: &Claim) -> bool {
        match claim {
            Claim::NoData(name, rtype) => match self.matching(name) {
                Some(own) => own.denies(*rtype),
                None => self.closest(name).is_some_and(|(_, next)| next.opt_out),
            },
            Claim::NoName(name) => {
                let Some((encloser, next)) = self.closest(name) else { return false };
                let wildcard = encloser.child(b"*");
                // Where the closest encloser is opted out, the wildcard below the one that can be proved may be there, and nothing
                // proves that it does not speak for the name.
                let above = next.opt_out && encloser != self.zone.encloser(name);
                self.covered(&wildcard).is_some() || above && self.matching(&wildcard).is_some()
            }
            Claim::Expanded(name) => {
                let encloser = self.zone.encloser(name);
                let next = name.up().find(|above| above.parent().as_ref() == Some(&encloser));
                next.is_some_and(|next| self.covered(&next).is_some())
            }
            Claim::WildcardNoData(name, wildcard, rtype) => {
                self.closest(name).is_some()
                    && match self.matching(wildcard) {
                        Some(own) => own.denies(*rtype),
                        // Opted out, like an empty non-terminal.
                        None => self.covered(wildcard).is_some_and(|around| around.opt_out),
                    }
            }
        }
    }

    /// The proof of the closest encloser (RFC 5155 8.3), as far down as the zone has NSEC3: the encloser and what covers the
    /// next closer name.
    fn closest(&mut self, name: &Name) -> Option<(Name, &'p Denial<'p>)> {
        let zone = self.zone;
        let has = |name: &Name| zone.hashed(name).is_some_and(|hashed| zone.chain.contains_key(&hashed));
        let next = name.up().find(|above| above.parent().is_some_and(|parent| has(&parent)))?;
        let encloser = next.parent()?;
        self.matching(&encloser)?;
        Some((encloser, self.covered(&next)?))
    }

    fn matching(&mut self, name: &Name) -> Option<&'p Denial<'p>> {
        let owner = self.zone.hashed(name).unwrap_or_else(|| name.clone());
        self.pick(|denial| denial.owner == owner)
    }

    fn covered(&mut self, name: &Name) -> Option<&'p Denial<'p>> {
        self.pick(|denial| denial.covers(name))
    }

    fn pick(&mut self, fits: impl Fn(&Denial) -> bool) -> Option<&'p Denial<'p>> {
        let found = self.denials.iter().find(|denial| denial.zone.apex == self.zone.apex && fits(denial))?;
        self.used.insert(found.owner.wire());
        Some(found)
    }
}
