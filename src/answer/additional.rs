//! The additional section: addresses of the hosts that an answer names (RFC 1034 4.3.2 step 6).

use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;
use crate::wire::writer::{Full, Section, Writer};
use crate::zone::lookup::Found;
use crate::zone::owner::{Owner, Rrset};

use super::view::View;

/// Names of one RRset whose addresses are added.
const MAX_HOSTS: usize = 16;

/// Adds what the zone has for the hosts that an RRset of `name` points to: addresses, for SVCB and HTTPS their own type too
/// (RFC 9460 4.1).
///
/// Glue is given for NS alone. NAPTR (RFC 3403 4.1 leaves it open) and targets that stand for the owner itself get nothing, as
/// with NSD and Knot.
pub(super) fn of(
    view: View<'_>,
    name: &NameRef,
    set: Rrset<'_>,
    writer: &mut Writer<'_>,
) -> Result<(), Full> {
    let skip = match set.rtype {
        Rtype::NS => 0,
        // RFC 1035 3.3.9, RFC 1183 sections 1 and 3.3, RFC 2230 section 3, RFC 9460 4.1.
        Rtype::MX | Rtype::AFSDB | Rtype::RT | Rtype::KX | Rtype::SVCB | Rtype::HTTPS => 2,
        // RFC 2782.
        Rtype::SRV => 6,
        _ => return Ok(()),
    };
    let hosts = || set.rdatas().take(MAX_HOSTS).filter_map(|data| NameRef::read(data.get(skip..)?).ok());
    for (at, host) in hosts().enumerate() {
        if hosts().take(at).any(|before| before == host) {
            continue;
        }
        let owner = if set.rtype == Rtype::NS { server(view, host) } else { known(view, host) };
        let Some(owner) = owner else { continue };
        add(view, host, owner, &[Rtype::A, Rtype::AAAA], writer)?;
        if matches!(set.rtype, Rtype::SVCB | Rtype::HTTPS) && host != name {
            add(view, host, owner, &[set.rtype], writer)?;
        }
    }
    Ok(())
}

/// Adds the addresses of a name server, glue or not.
pub(super) fn addresses(view: View<'_>, host: &NameRef, writer: &mut Writer<'_>) -> Result<(), Full> {
    match server(view, host) {
        Some(owner) => add(view, host, owner, &[Rtype::A, Rtype::AAAA], writer),
        None => Ok(()),
    }
}

/// What the zone has for a name server, below a cut too.
fn server<'z>(view: View<'z>, host: &NameRef) -> Option<Owner<'z>> {
    if !host.is_in(view.zone.apex()) {
        return None;
    }
    view.zone.owner(host).or_else(|| known(view, host))
}

/// What the zone answers with for a host, be it by a wildcard.
fn known<'z>(view: View<'z>, host: &NameRef) -> Option<Owner<'z>> {
    if !host.is_in(view.zone.apex()) {
        return None;
    }
    match view.zone.lookup(host, Rtype::A) {
        Found::Exact(owner) | Found::Wildcard(owner) => Some(owner),
        Found::Delegation(_) | Found::Dname(_) | Found::NoName => None,
    }
}

fn add<'z>(
    view: View<'z>,
    host: &NameRef,
    owner: Owner<'z>,
    rtypes: &[Rtype],
    writer: &mut Writer<'_>,
) -> Result<(), Full> {
    for &rtype in rtypes {
        if let Some(set) = owner.rrset(rtype) {
            view.write(writer, Section::Additional, host, owner, set)?;
        }
    }
    Ok(())
}
