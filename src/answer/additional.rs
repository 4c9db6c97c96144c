//! The additional section: addresses of the hosts that an answer names (RFC 1034 4.3.2 step 6).

use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;
use crate::wire::writer::{Full, Section, Sections};
use crate::zone::lookup::Found;
use crate::zone::owner::{Owner, Rrset};

use super::view::{View, write};

/// Names of one RRset whose addresses are added.
const MAX_HOSTS: usize = 16;
const ADDRESSES: &[Rtype] = &[Rtype::A, Rtype::AAAA];

/// Adds what the zone has for the hosts that an RRset of `name` points to: addresses, for SVCB and HTTPS their own type too
/// (RFC 9460 4.1).
///
/// Glue is given for NS alone. NAPTR (RFC 3403 4.1 leaves it open) and targets that stand for the owner itself get nothing, as
/// with NSD and Knot.
pub(super) fn of<'z, W: Sections<'z>>(
    view: View<'z>,
    name: &NameRef,
    set: Rrset<'z>,
    writer: &mut W,
) -> Result<(), Full> {
    let Some(skip) = before_host(set.rtype) else { return Ok(()) };
    let hosts = || set.rdatas().take(MAX_HOSTS).filter_map(|data| NameRef::read(data.get(skip..)?).ok());
    for (at, host) in hosts().enumerate() {
        if hosts().take(at).any(|before| before == host) {
            continue;
        }
        let owner = if set.rtype == Rtype::NS { server(view, host) } else { known(view, host) };
        let Some(owner) = owner else { continue };
        add(view, host, owner, ADDRESSES, writer)?;
        if matches!(set.rtype, Rtype::SVCB | Rtype::HTTPS) && host != name {
            add(view, host, owner, &[set.rtype], writer)?;
        }
    }
    Ok(())
}

/// Whether RDATA of this type names a host whose addresses are added.
pub(super) fn names_hosts(rtype: Rtype) -> bool {
    before_host(rtype).is_some()
}

/// How many bytes of RDATA stand before the name of a host whose addresses are added; `None` for types that name none.
fn before_host(rtype: Rtype) -> Option<usize> {
    match rtype {
        Rtype::NS => Some(0),
        // RFC 1035 3.3.9, RFC 1183 sections 1 and 3.3, RFC 2230 section 3, RFC 9460 4.1.
        Rtype::MX | Rtype::AFSDB | Rtype::RT | Rtype::KX | Rtype::SVCB | Rtype::HTTPS => Some(2),
        // RFC 2782.
        Rtype::SRV => Some(6),
        _ => None,
    }
}

/// Adds the addresses of a name server below a cut, where no wildcard can speak.
pub(super) fn glue_of<'z, W: Sections<'z>>(
    view: View<'z>,
    host: &'z NameRef,
    writer: &mut W,
) -> Result<(), Full> {
    match view.zone.owner(host) {
        Some(owner) => add(view, host, owner, ADDRESSES, writer),
        None => Ok(()),
    }
}

/// Adds the addresses of a name server, glue or not.
pub(super) fn addresses<'z, W: Sections<'z>>(
    view: View<'z>,
    host: &'z NameRef,
    writer: &mut W,
) -> Result<(), Full> {
    match server(view, host) {
        Some(owner) => add(view, host, owner, ADDRESSES, writer),
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

fn add<'z, W: Sections<'z>>(
    view: View<'z>,
    host: &'z NameRef,
    owner: Owner<'z>,
    rtypes: &[Rtype],
    writer: &mut W,
) -> Result<(), Full> {
    for &rtype in rtypes {
        if let Some(set) = view.find(owner, rtype) {
            write(writer, Section::Additional, host, set)?;
        }
    }
    Ok(())
}
