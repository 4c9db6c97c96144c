//! A zone as a zone file: one record a line, in canonical order (RFC 4034 6.1), the SOA first.

use crate::zone::rdata::write;
use crate::zone::snapshot::Snapshot;

/// Calls `each` with every record's line, without its end, up to the first failure.
pub fn lines<E>(zone: &Snapshot, mut each: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    let mut owners: Vec<_> = zone.owners().collect();
    owners.sort_by(|a, b| a.name().cmp(b.name()));
    let mut line = String::new();
    let soa = zone.soa_record();
    write::record(&soa.owner, soa.ttl, soa.rtype, &soa.rdata, &mut line);
    each(line.trim_end())?;
    for owner in owners {
        for set in owner.rrsets().filter(|set| set.rtype != soa.rtype) {
            let mut rdatas: Vec<&[u8]> = set.rdatas().collect();
            rdatas.sort_unstable();
            for rdata in rdatas {
                line.clear();
                write::record(owner.name(), set.ttl, set.rtype, rdata, &mut line);
                each(line.trim_end())?;
            }
        }
    }
    Ok(())
}
