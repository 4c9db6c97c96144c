//! Referrals (RFC 1034 4.3.2 step 3b): the cut's NS, its DS or the proof that there is none, and glue.

use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;
use crate::wire::writer::{Full, Section, Sections};
use crate::zone::owner::Owner;

use super::additional::{addresses, glue_of};
use super::proof::Proofs;
use super::view::{View, write};

/// The authority section of a referral: NS and, where DNSSEC is asked for, DS or its absence (RFC 4035 3.1.4).
pub(super) fn authority<'z, W: Sections<'z>>(
    view: View<'z>,
    cut: Owner<'z>,
    proofs: &mut Proofs,
    writer: &mut W,
) -> Result<(), Full> {
    let Some(ns) = view.find(cut, Rtype::NS) else { return Ok(()) };
    write(writer, Section::Authority, cut.name(), ns)?;
    if view.proofs.is_none() {
        return Ok(());
    }
    match view.find(cut, Rtype::DS) {
        Some(ds) => write(writer, Section::Authority, cut.name(), ds),
        None => proofs.no_data(view, cut, writer),
    }
}

/// The addresses of the cut's servers, as far as the zone has them.
pub(super) fn glue<'z, W: Sections<'z>>(view: View<'z>, cut: Owner<'z>, writer: &mut W) -> Result<(), Full> {
    let Some(ns) = cut.rrset(Rtype::NS) else { return Ok(()) };
    let (cut, apex) = (cut.name(), view.zone.apex());
    let targets = || ns.rdatas().filter_map(|data| NameRef::read(data).ok());
    // Glue for servers below the cut has to be there, or the answer is truncated (RFC 9471 3.1); other addresses may.
    let mut has_others = false;
    for host in targets() {
        if host.is_in(cut) {
            glue_of(view, host, writer)?;
        } else {
            has_others |= host.is_in(apex);
        }
    }
    if has_others {
        let _ = targets().filter(|host| !host.is_in(cut)).try_for_each(|host| addresses(view, host, writer));
    }
    Ok(())
}
