//! Zones for tests: hosts with one address each.

use crate::wire::message::Record;
use crate::wire::rtype::Rtype;

use super::builder::Builder;

/// A zone of this serial with `h0`, `h7` and so on, each with its address.
pub fn hosts(zone: &str, serial: u32, hosts: impl IntoIterator<Item = (u32, [u8; 4])>) -> Builder {
    let mut builder = Builder::new(zone.parse().unwrap());
    records(zone, serial, hosts).iter().for_each(|record| builder.push(record));
    builder
}

/// The records of the same, the SOA first.
pub fn records(zone: &str, serial: u32, hosts: impl IntoIterator<Item = (u32, [u8; 4])>) -> Vec<Record> {
    let record = |owner: &str, rtype, rdata: &[u8]| Record {
        owner: owner.parse().unwrap(),
        rtype,
        ttl: 60,
        rdata: rdata.into(),
    };
    let mut soa = vec![0; 2];
    soa.extend([serial, 7200, 900, 86_400, 300].iter().flat_map(|number: &u32| number.to_be_bytes()));
    let mut records = vec![record(zone, Rtype::SOA, &soa), record(zone, Rtype::NS, b"\x02ns\x00")];
    let host = |(host, address): (u32, [u8; 4])| record(&format!("h{host}.{zone}"), Rtype::A, &address);
    records.extend(hosts.into_iter().map(host));
    records
}
