//! Zones for tests: hosts with one address each.

use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

use super::builder::Builder;

/// A zone of this serial with `h0`, `h7` and so on, each with its address.
pub fn hosts(zone: &str, serial: u32, hosts: impl IntoIterator<Item = (u32, [u8; 4])>) -> Builder {
    let apex: Name = zone.parse().unwrap();
    let mut builder = Builder::new(apex.clone());
    let mut soa = vec![0; 2];
    soa.extend([serial, 7200, 900, 86_400, 300].iter().flat_map(|number: &u32| number.to_be_bytes()));
    builder.add(&apex, Rtype::SOA, 60, &soa);
    builder.add(&apex, Rtype::NS, 60, b"\x02ns\x00");
    for (host, address) in hosts {
        builder.add(&format!("h{host}.{zone}").parse::<Name>().unwrap(), Rtype::A, 60, &address);
    }
    builder
}
