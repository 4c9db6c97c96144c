//! Referrals (RFC 1034 4.3.2 step 3b): the cut's NS, its DS or the proof that there is none, and glue.

use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;
use crate::wire::writer::{Full, Section, Writer};
use crate::zone::owner::Owner;

use super::additional::addresses;
use super::proof::Proofs;
use super::view::View;

/// The authority section of a referral: NS and, where DNSSEC is asked for, DS or its absence (RFC 4035 3.1.4).
pub(super) fn authority(
    view: View<'_>,
    cut: Owner<'_>,
    proofs: &mut Proofs,
    writer: &mut Writer<'_>,
) -> Result<(), Full> {
    let Some(ns) = cut.rrset(Rtype::NS) else { return Ok(()) };
    view.write(writer, Section::Authority, cut.name(), cut, ns)?;
    if view.proofs.is_none() {
        return Ok(());
    }
    match cut.rrset(Rtype::DS) {
        Some(ds) => view.write(writer, Section::Authority, cut.name(), cut, ds),
        None => proofs.no_data(view, cut.name(), writer),
    }
}

/// The addresses of the cut's servers, as far as the zone has them.
pub(super) fn glue(view: View<'_>, cut: Owner<'_>, writer: &mut Writer<'_>) -> Result<(), Full> {
    let Some(ns) = cut.rrset(Rtype::NS) else { return Ok(()) };
    let targets = || ns.rdatas().filter_map(|data| NameRef::read(data).ok());
    // Glue for servers below the cut has to be there, or the answer is truncated (RFC 9471 3.1); other addresses may.
    targets().filter(|host| host.is_in(cut.name())).try_for_each(|host| addresses(view, host, writer))?;
    let _ =
        targets().filter(|host| !host.is_in(cut.name())).try_for_each(|host| addresses(view, host, writer));
    Ok(())
}
