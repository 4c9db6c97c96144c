//! What keeps records from being a zone.

use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::Rtype;

use super::owner::{Owner, TOO_MANY};
use super::table::MAX_LEAF;

/// Why records do not make a zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No SOA at the apex.
    #[error("zone `{0}` has no SOA record at its apex")]
    NoSoa(Name),
    /// Several SOA records at the apex.
    #[error("zone `{0}` has more than one SOA record")]
    SecondSoa(Name),
    /// A SOA elsewhere.
    #[error("SOA record at `{0}`, which is not the apex")]
    StraySoa(Name),
    /// No NS at the apex.
    #[error("zone `{0}` has no NS record at its apex")]
    NoNs(Name),
    /// A server of the zone below a DNAME (RFC 6672 2.4): its address is never answered.
    #[error("the name server `{0}` of the zone is below a DNAME, so that its address is never answered")]
    NsBelowDname(Name, Name),
    /// A name outside the zone.
    #[error("`{0}` is outside the zone")]
    OutOfZone(Name),
    /// CNAME with other data (RFC 1034 3.6.2, RFC 2181 10.1).
    #[error("`{0}` has a CNAME beside other data")]
    CnameAndOther(Name),
    /// Two of a type that stands alone.
    #[error("`{0}` has more than one {1} record")]
    NotSingle(Name, Rtype),
    /// An RRset larger than anything that could be answered with.
    #[error("`{0}` has {TOO_MANY} or more {1} records, which no answer could hold")]
    TooMany(Name, Rtype),
    /// A type that is no zone data.
    #[error("`{0}` has a record of type {1}, which cannot be zone data")]
    MetaType(Name, Rtype),
    /// More names above names than there is memory for.
    #[error(
        "the names have so many labels that what is above them, as far as `{0}`, needs more than {1} MiB"
    )]
    TooDeep(Name, u64),
    /// Names with one hash, which would be searched one by one.
    #[error(
        "`{0}` is one of more than {MAX_LEAF} names that have one hash, which does not come about by chance"
    )]
    Crowded(Name),
}

impl Fault {
    /// Whether a record with this owner and type is (one of those) at fault.
    pub fn concerns(&self, owner: &NameRef, rtype: Rtype) -> bool {
        match self {
            Fault::NoSoa(_) | Fault::NoNs(_) => false,
            Fault::NsBelowDname(_, above) => rtype == Rtype::DNAME && owner == &**above,
            Fault::SecondSoa(name) | Fault::StraySoa(name) => rtype == Rtype::SOA && owner == &**name,
            Fault::OutOfZone(name) | Fault::Crowded(name) => owner == &**name,
            Fault::TooDeep(name, _) => owner.is_in(name),
            Fault::CnameAndOther(name) => owner == &**name && !stands_beside_cname(rtype),
            Fault::NotSingle(name, one) | Fault::TooMany(name, one) | Fault::MetaType(name, one) => {
                rtype == *one && owner == &**name
            }
        }
    }

    /// What was expected instead.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Fault::NoSoa(apex) => format!("a record `{apex} SOA ...`; is the zone's name right?"),
            Fault::NoNs(apex) => format!("at least one record `{apex} NS ...`"),
            Fault::SecondSoa(_) => "one SOA record".to_owned(),
            Fault::NsBelowDname(..) => "name servers that are not below it".to_owned(),
            Fault::StraySoa(_) => "the SOA at the apex only; a child zone has a file of its own".to_owned(),
            Fault::OutOfZone(_) => "a name in the zone; is a final dot too many or missing?".to_owned(),
            Fault::CnameAndOther(_) => "the CNAME alone, or the other records without it".to_owned(),
            Fault::NotSingle(..) => "one of them".to_owned(),
            Fault::TooMany(..) => "a few thousand at most, the rest under other names".to_owned(),
            Fault::TooDeep(..) => "names with fewer labels, or a zone split in several".to_owned(),
            Fault::Crowded(_) => "names that were not made up to have it".to_owned(),
            Fault::MetaType(..) => return None,
        })
    }
}

impl Owner<'_> {
    /// What this owner breaks by itself.
    pub(super) fn fault(self, apex: &NameRef) -> Option<Fault> {
        let name = self.name();
        if self.has(Rtype::SOA) && name != apex {
            return Some(Fault::StraySoa(name.to_name()));
        }
        if self.count(Rtype::SOA) > 1 {
            return Some(Fault::SecondSoa(name.to_name()));
        }
        if let Some(rtype) = [Rtype::CNAME, Rtype::DNAME].into_iter().find(|&rtype| self.count(rtype) > 1) {
            return Some(Fault::NotSingle(name.to_name(), rtype));
        }
        if let Some(set) = self.rrsets().find(|set| set.count == TOO_MANY) {
            return Some(Fault::TooMany(name.to_name(), set.rtype));
        }
        let others = |rtype: Rtype| rtype != Rtype::CNAME && !stands_beside_cname(rtype);
        (self.has(Rtype::CNAME) && self.types().any(others)).then(|| Fault::CnameAndOther(name.to_name()))
    }
}

/// Whether the type may stand beside a CNAME (RFC 4034 3 and 4, RFC 2535 2.3.5).
pub fn stands_beside_cname(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::RRSIG | Rtype::NSEC | Rtype::KEY)
}
