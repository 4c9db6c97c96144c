//! The additional section: addresses of the hosts that an answer names (RFC 1034 4.3.2 step 6).

use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;
use crate::wire::writer::{Full, Section, Writer};
use crate::zone::owner::Rrset;

use super::view::View;

/// Names of one RRset whose addresses are added.
const MAX_HOSTS: usize = 16;

/// Adds what is known of the hosts that an RRset of `name` points to, as far as they are in the zone: for NS, MX and SRV
/// addresses, for SVCB and HTTPS their own type too (RFC 9460 4.1).
pub(super) fn of(
    view: View<'_>,
    name: &NameRef,
    set: Rrset<'_>,
    writer: &mut Writer<'_>,
) -> Result<(), Full> {
    let skip = match set.rtype {
        Rtype::NS => 0,
        Rtype::MX | Rtype::SVCB | Rtype::HTTPS => 2,
        Rtype::SRV => 6,
        _ => return Ok(()),
    };
    let hosts = || set.rdatas().take(MAX_HOSTS).filter_map(|data| NameRef::read(data.get(skip..)?).ok());
    for (at, host) in hosts().enumerate() {
        if hosts().take(at).any(|before| before == host) {
            continue;
        }
        addresses(view, host, writer)?;
        if matches!(set.rtype, Rtype::SVCB | Rtype::HTTPS) && host != name {
            known(view, host, set.rtype, writer)?;
        }
    }
    Ok(())
}

/// Adds the addresses of one host, glue too.
pub(super) fn addresses(view: View<'_>, host: &NameRef, writer: &mut Writer<'_>) -> Result<(), Full> {
    if !host.is_in(view.zone.apex()) {
        return Ok(());
    }
    let Some(owner) = view.zone.owner(host) else { return Ok(()) };
    for rtype in [Rtype::A, Rtype::AAAA] {
        if let Some(set) = owner.rrset(rtype) {
            view.write(writer, Section::Additional, host, owner, set)?;
        }
    }
    Ok(())
}

fn known(view: View<'_>, host: &NameRef, rtype: Rtype, writer: &mut Writer<'_>) -> Result<(), Full> {
    let Some(owner) = view.zone.owner(host).filter(|_| host.is_in(view.zone.apex())) else { return Ok(()) };
    match owner.rrset(rtype) {
        Some(set) => view.write(writer, Section::Additional, host, owner, set),
        None => Ok(()),
    }
}
