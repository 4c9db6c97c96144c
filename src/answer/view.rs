//! One zone version as it answers one question: with DNSSEC records or without.

use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;
use crate::wire::writer::{Full, Section, Sections};
use crate::zone::negative;
use crate::zone::owner::{Owner, Rrset, SignedRrset};
use crate::zone::signed::Signed;
use crate::zone::snapshot::Snapshot;

/// What is answered from.
#[derive(Clone, Copy)]
pub(super) struct View<'z> {
    /// The zone.
    pub(super) zone: &'z Snapshot,
    /// What proves absence, when the zone is signed and the question asks for that (DO, RFC 3225).
    pub(super) proofs: Option<&'z Signed>,
}

impl<'z> View<'z> {
    #[inline]
    pub(super) fn new(zone: &'z Snapshot, dnssec_ok: bool) -> View<'z> {
        View { zone, proofs: zone.signed().filter(|_| dnssec_ok) }
    }

    /// What `owner` has of a type, with its signatures where they are wanted.
    #[inline]
    pub(super) fn find(self, owner: Owner<'z>, rtype: Rtype) -> Option<SignedRrset<'z>> {
        match self.proofs {
            Some(_) => owner.signed_rrset(rtype),
            None => owner.rrset(rtype).map(|set| SignedRrset { set, signatures: None }),
        }
    }

    /// `set` of `owner` with its signatures where they are wanted.
    pub(super) fn sign(self, owner: Owner<'z>, set: Rrset<'z>) -> SignedRrset<'z> {
        SignedRrset { set, signatures: self.proofs.and_then(|_| owner.signatures(set.rtype)) }
    }

    /// Writes the SOA with the TTL that a negative answer may be kept for (RFC 2308 section 3). Its signatures get that TTL too, as
    /// they have the TTL of what they cover (RFC 4034 section 3).
    pub(super) fn write_soa<W: Sections<'z>>(self, writer: &mut W) -> Result<(), Full> {
        let rendered = self.proofs.map_or_else(|| self.zone.negative_soa(), Signed::soa);
        if let Some(rendered) = rendered
            && let Some(written) = writer.rendered(Section::Authority, rendered)
        {
            return written;
        }
        let apex = self.zone.apex();
        let owner = self.zone.at_apex();
        let Some(soa) = owner.rrset(Rtype::SOA) else { return Ok(()) };
        let ttl = negative::ttl(soa.ttl, soa.first());
        write_set(writer, Section::Authority, apex, soa.with_ttl(ttl))?;
        if self.proofs.is_some()
            && let Some(signatures) = owner.signatures(Rtype::SOA)
        {
            write_set(writer, Section::Authority, apex, signatures.with_ttl(ttl))?;
        }
        Ok(())
    }
}

/// Writes an RRset under `name`, for a wildcard another one than its owner's, with its signatures (RFC 4035 3.1.1): all of that or
/// nothing.
#[inline]
pub(super) fn write<'z, W: Sections<'z>>(
    writer: &mut W,
    section: Section,
    name: &'z NameRef,
    SignedRrset { set, signatures }: SignedRrset<'z>,
) -> Result<(), Full> {
    let Some(signatures) = signatures else { return write_set(writer, section, name, set) };
    let mark = writer.mark();
    write_set(writer, section, name, set)?;
    let written = write_set(writer, section, name, signatures);
    if written.is_err() {
        writer.rewind(mark);
    }
    written
}

/// Writes an RRset, whole or not at all.
#[inline]
fn write_set<'z, W: Sections<'z>>(
    writer: &mut W,
    section: Section,
    owner: &'z NameRef,
    set: Rrset<'z>,
) -> Result<(), Full> {
    writer.rrset(section, owner, set.rtype, set.ttl, set.rdatas())
}
