//! The zone that is edited: a numbered content with eight canaries, names that all hold its number, so that a mixture of two
//! contents shows; signed or not. And small zones beside it, of the same number, so that a journal has several commits to write
//! at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::wire::message::Record;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::zone::builder::Builder;
use crate::zone::serial::Serial;
use crate::zone::snapshot::Snapshot;

/// How many canaries there are.
pub const CANARIES: usize = 8;
/// Other names that may be in the zone.
pub const HOSTS: u16 = 400;

/// Zones that the primary serves beside that one.
pub const SIDES: usize = 2;

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
    /// Whether the file is signed.
    pub is_signed: bool,
}

/// The zone.
pub fn apex() -> Name {
    name(b"\x07example\x00")
}

/// A canary's name.
pub fn canary(index: usize) -> Name {
    name(&[2, b'c', b'0' + (index % CANARIES) as u8, 7, b'e', b'x', b'a', b'm', b'p', b'l', b'e', 0])
}

/// The name of a zone beside it.
pub fn side(index: usize) -> Name {
    name(&[5, b's', b'i', b'd', b'e', b'0' + (index % SIDES) as u8, 0])
}

impl Content {
    /// What a server makes of the file of a zone beside it, which is edited together with this one.
    pub fn side(&self, index: usize) -> Option<Snapshot> {
        let (apex, ns) = (side(index), below(&[b"ns"]));
        let mut builder = Builder::new(apex.clone());
        builder.push(&self.record(&apex, Rtype::SOA, &self.soa(&ns)));
        builder.push(&self.record(&apex, Rtype::NS, ns.as_wire()));
        builder.push(&self.record(&apex, Rtype::A, &self.number.to_be_bytes()));
        builder.finish().ok().map(|(snapshot, _)| snapshot)
    }

    fn soa(&self, ns: &Name) -> Vec<u8> {
        let mut soa = [ns.as_wire(), below(&[b"admin"]).as_wire(), &self.serial.0.to_be_bytes()].concat();
        self.timers.iter().for_each(|timer| soa.extend_from_slice(&timer.to_be_bytes()));
        soa
    }

    /// What a server makes of the file; `None` when it is no zone, which no content here is.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let mut builder = Builder::new(apex());
        self.records().iter().for_each(|record| builder.push(record));
        builder.finish().ok().map(|(snapshot, _)| snapshot)
    }

    /// All records of the file.
    pub fn records(&self) -> Vec<Record> {
        let mut records = self.names_asked_for();
        for host in &self.hosts {
            let owner = below(&[format!("h{host}").as_bytes(), b"deep"]);
            let text = format!("\x20host {host:>5} of the pretend worlds");
            let length = text.len().min(33);
            records.push(self.record(&owner, Rtype::TXT, &text.as_bytes()[..length]));
            records.push(self.record(&owner, Rtype::A, &Ipv4Addr::from(u32::from(*host)).octets()));
        }
        if self.is_signed { self.sign(records) } else { records }
    }

    /// The names that clients ask for: canaries, a wildcard, a cut with glue, and an RRset that fits no datagram.
    fn names_asked_for(&self) -> Vec<Record> {
        let [a, b, c, d] = self.number.to_be_bytes();
        let (apex, ns, cut, large) = (apex(), below(&[b"ns"]), below(&[b"sub"]), below(&[b"big"]));
        let server_of_cut = below(&[b"ns", b"sub"]);
        let mut records = vec![
            self.record(&apex, Rtype::SOA, &self.soa(&ns)),
            self.record(&apex, Rtype::NS, ns.as_wire()),
            self.record(&ns, Rtype::A, &[192, 0, 2, 1]),
            self.record(&below(&[b"*", b"wild"]), Rtype::A, &[a, b, c, d]),
            self.record(&cut, Rtype::NS, server_of_cut.as_wire()),
            self.record(&server_of_cut, Rtype::A, &[192, 0, 2, 2]),
            self.record(&large, Rtype::TXT, &[4, a, b, c, d]),
        ];
        if self.is_signed {
            records.push(self.record(&cut, Rtype::DS, &[0, 7, 13, 2, 1, 2, 3, 4]));
        }
        for index in 0..CANARIES {
            let canary = canary(index);
            records.push(self.record(&canary, Rtype::A, &[a, b, c, d]));
            records.push(self.record(&canary, Rtype::TXT, &[4, a, b, c, d]));
            records.push(self.record(
                &canary,
                Rtype::AAAA,
                &[32, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d],
            ));
            // These never change, so that an edit is no larger for them.
            let filler = [&[250][..], &[b'0' + index as u8; 250]].concat();
            records.push(self.record(&large, Rtype::TXT, &filler));
        }
        records
    }

    /// The records with a chain of NSEC records (RFC 4034 section 4) and with signatures, which nobody here verifies.
    fn sign(&self, records: Vec<Record>) -> Vec<Record> {
        let cut = below(&[b"sub"]);
        let mut owners: BTreeMap<Vec<Vec<u8>>, (Name, BTreeSet<u16>)> = BTreeMap::new();
        for record in records.iter().filter(|record| record.owner == cut || !record.owner.is_in(&cut)) {
            let (_, types) = owners
                .entry(canonical(&record.owner))
                .or_insert_with(|| (record.owner.clone(), BTreeSet::new()));
            types.insert(record.rtype.0);
        }
        let mut signed = records;
        let next = owners.values().cycle().skip(1).map(|(name, _)| name.clone());
        for ((owner, types), next) in owners.values().zip(next) {
            let mut types = types.clone();
            types.extend([Rtype::RRSIG.0, Rtype::NSEC.0]);
            let mut bits = [0; 6];
            types.iter().for_each(|rtype| bits[usize::from(rtype / 8)] |= 0x80 >> (rtype % 8));
            let nsec = [next.as_wire(), &[0, bits.len() as u8], &bits].concat();
            signed.push(self.record(owner, Rtype::NSEC, &nsec));
            // The NS RRset of a cut is the child's to sign (RFC 4035 2.2).
            for rtype in types.into_iter().filter(|rtype| *owner != cut || *rtype != Rtype::NS.0) {
                if rtype != Rtype::RRSIG.0 {
                    signed.push(self.record(owner, Rtype::RRSIG, &self.signature(owner, rtype)));
                }
            }
        }
        signed
    }

    fn signature(&self, owner: &Name, rtype: u16) -> Vec<u8> {
        let labels = canonical(owner).iter().filter(|label| **label != b"*").count() as u8;
        let ttl = self.ttl.to_be_bytes();
        let head = [&rtype.to_be_bytes()[..], &[13, labels], &ttl, &[0x7f; 4], &[0; 4], &[0, 7]].concat();
        [&head, apex().as_wire(), &[0x5a; 8]].concat()
    }

    fn record(&self, owner: &Name, rtype: Rtype, rdata: &[u8]) -> Record {
        Record { owner: owner.clone(), rtype, ttl: self.ttl, rdata: rdata.into() }
    }
}

/// A name below the apex.
pub fn below(labels: &[&[u8]]) -> Name {
    labels.iter().rev().fold(apex(), |name, label| name.child(label).unwrap_or(name))
}

/// The labels from the root down, which compare as names do (RFC 4034 6.1); all names here are in lower case.
fn canonical(name: &Name) -> Vec<Vec<u8>> {
    let mut labels = Vec::new();
    let mut rest = name.as_wire();
    while let Some((&length, behind)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, behind) = behind.split_at(usize::from(length));
        labels.push(label.to_vec());
        rest = behind;
    }
    labels.reverse();
    labels
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
        let timers = [1, 2, 3, 4];
        let mut content = Content { number: 7, serial: Serial(9), timers, ttl: 5, hosts, is_signed: false };
        let snapshot = content.snapshot().unwrap();
        assert_eq!(snapshot.serial(), Serial(9));
        let unsigned = 39 + 2 * u64::from(HOSTS);
        assert_eq!(snapshot.records(), unsigned);
        assert!(snapshot.signed().is_none());
        content.is_signed = true;
        let snapshot = content.snapshot().unwrap();
        // With DS; an NSEC and its signature for each name but the one below the cut, and a signature for each RRset there but
        // the cut's NS.
        let (names, sets) = (13 + u64::from(HOSTS), 30 + 2 * u64::from(HOSTS));
        assert_eq!(snapshot.records(), unsigned + 1 + 2 * names + sets);
        assert!(snapshot.signed().is_some());
        assert_eq!(canary(3).to_string(), "c3.example.");
    }
}
