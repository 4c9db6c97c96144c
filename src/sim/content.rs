//! The zone that is edited: a numbered content with eight canaries, names that all hold its number, so that a mixture of two
//! contents shows.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::zone::builder::Builder;
use crate::zone::serial::Serial;
use crate::zone::snapshot::Snapshot;

/// How many canaries there are.
pub const CANARIES: usize = 8;
/// Other names that may be in the zone.
pub const HOSTS: u16 = 400;

/// The zone file at the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// What the canaries hold.
    pub number: u32,
    /// SERIAL in the file.
    pub serial: Serial,
    /// REFRESH, RETRY, EXPIRE, MINIMUM, in seconds.
    pub timers: [u32; 4],
    /// The TTL of all records, in seconds.
    pub ttl: u32,
    /// The other names, below `HOSTS`.
    pub hosts: BTreeSet<u16>,
}

/// The zone.
pub fn apex() -> Name {
    name(b"\x07example\x00")
}

/// A canary's name.
pub fn canary(index: usize) -> Name {
    name(&[2, b'c', b'0' + (index % CANARIES) as u8, 7, b'e', b'x', b'a', b'm', b'p', b'l', b'e', 0])
}

impl Content {
    /// What a server makes of the file; `None` when it is no zone, which no content here is.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let apex = apex();
        let mut builder = Builder::new(apex.clone());
        let mut soa = b"\x02ns\x07example\x00\x05admin\x07example\x00".to_vec();
        soa.extend_from_slice(&self.serial.0.to_be_bytes());
        self.timers.iter().for_each(|timer| soa.extend_from_slice(&timer.to_be_bytes()));
        builder.add(&apex, Rtype::SOA, self.ttl, &soa);
        builder.add(&apex, Rtype::NS, self.ttl, b"\x02ns\x07example\x00");
        builder.add(&apex.child(b"ns").ok()?, Rtype::A, self.ttl, &[192, 0, 2, 1]);
        for index in 0..CANARIES {
            let [a, b, c, d] = self.number.to_be_bytes();
            builder.add(&canary(index), Rtype::A, self.ttl, &[a, b, c, d]);
            builder.add(&canary(index), Rtype::TXT, self.ttl, &[4, a, b, c, d]);
            builder.add(
                &canary(index),
                Rtype::AAAA,
                self.ttl,
                &[32, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d],
            );
        }
        for host in &self.hosts {
            let owner = apex.child(b"deep").ok()?.child(format!("h{host}").as_bytes()).ok()?;
            let text = format!("\x20host {host:>5} of the pretend worlds");
            let length = text.len().min(33);
            builder.add(&owner, Rtype::TXT, self.ttl, &text.as_bytes()[..length]);
            builder.add(&owner, Rtype::A, self.ttl, &Ipv4Addr::from(u32::from(*host)).octets());
        }
        builder.finish().ok().map(|(snapshot, _)| snapshot)
    }
}

/// A name that is right because it is written here.
fn name(wire: &[u8]) -> Name {
    Name::from_wire(wire).unwrap_or_else(|_| Name::root())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_content_is_a_zone() {
        let hosts = (0..HOSTS).collect();
        let content = Content { number: 7, serial: Serial(9), timers: [1, 2, 3, 4], ttl: 5, hosts };
        let snapshot = content.snapshot().unwrap();
        assert_eq!(snapshot.serial(), Serial(9));
        assert_eq!(snapshot.records(), 27 + 2 * u64::from(HOSTS));
        assert_eq!(canary(3).to_string(), "c3.example.");
    }
}
