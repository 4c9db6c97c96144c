//! The records of a zone in canonical order (RFC 4034 6), the SOA first: what is printed and compared.

use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;

use super::snapshot::Snapshot;

/// One record of a zone.
#[derive(Clone, Copy, Debug)]
pub struct CanonicalRecord<'z> {
    /// Whose it is.
    pub owner: &'z NameRef,
    /// Its TTL in seconds.
    pub ttl: u32,
    /// Its type.
    pub rtype: Rtype,
    /// Its data, in wire form.
    pub rdata: &'z [u8],
}

/// All records of a zone in canonical order, but for the SOA, which comes first as it does in zone files and transfers.
pub fn records(zone: &Snapshot) -> impl Iterator<Item = CanonicalRecord<'_>> {
    let soa = zone.soa();
    let first = CanonicalRecord { owner: zone.apex(), ttl: soa.ttl, rtype: Rtype::SOA, rdata: soa.first() };
    let mut owners: Vec<_> = zone.owners().collect();
    owners.sort_by(|a, b| a.name().cmp(b.name()));
    let others = owners.into_iter().flat_map(|owner| {
        owner.rrsets().filter(|set| set.rtype != Rtype::SOA).flat_map(move |set| {
            let mut rdatas: Vec<&[u8]> = set.rdatas().collect();
            rdatas.sort_unstable();
            rdatas.into_iter().map(move |rdata| CanonicalRecord {
                owner: owner.name(),
                ttl: set.ttl,
                rtype: set.rtype,
                rdata,
            })
        })
    });
    std::iter::once(first).chain(others)
}
