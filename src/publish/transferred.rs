//! What a transfer brought, as its messages are: the whole content of a zone, or differences between versions of it.

use crate::wire::message::{Record, RecordRef};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::zone::delta::Delta;
use crate::zone::empty_nonterminal::ROOM;
use crate::zone::fault::Fault;
use crate::zone::reading::Reading;
use crate::zone::snapshot::Snapshot;

use super::messages::{Messages, Outside, Unreadable};

/// So many bytes of messages take as long to read as a record.
const BYTES: u64 = 64;
/// A step from one version to the next takes as long as so many records, or longer: an owner with many records is made anew by each step.
const STEP: u64 = 100;

/// Messages of a transfer whose sequence of SOAs was found right.
#[derive(Debug)]
pub struct Transferred {
    /// The SOA that it began and ended with: that of the zone's new version.
    pub soa: Record,
    /// How many records there are besides that one, of the zone and others.
    pub records: u64,
    /// From how many versions to the next it leads; 0 where it is the whole content.
    pub steps: u64,
    /// All of its messages.
    pub messages: Messages,
    /// How many bytes of records may be in these, without compression.
    pub most: u64,
}

/// What keeps records from being a zone.
#[derive(Debug, PartialEq, Eq)]
pub enum NoZone {
    /// They cannot be read.
    Unreadable(Unreadable),
    /// What is wrong with them.
    Faults(Vec<Fault>),
}

impl Transferred {
    /// The zone's name.
    pub fn apex(&self) -> &Name {
        &self.soa.owner
    }

    /// How many records have to be looked at to make a version of it, about.
    pub(super) fn weight(&self) -> u64 {
        // Reading takes time for what is not the zone's, too; and a step for what it does not change.
        self.records.max(self.messages.bytes() / BYTES) + self.steps * STEP
    }

    /// Puts the zone together of the records between two equal SOAs (RFC 5936 section 2.2), with the version before if there is one; the
    /// second part of `Ok` is what was left out of it.
    pub fn content(self, before: Option<Snapshot>) -> Result<(Snapshot, Option<Outside>), NoZone> {
        let mut reading = Reading::new(self.apex(), before);
        let Record { owner: apex, rtype, ttl, rdata } = &self.soa;
        reading.add(apex, *rtype, *ttl, rdata);
        let add = |record: RecordRef<'_>| {
            if record.rtype != Rtype::SOA || *record.owner != **apex {
                reading.add(record.owner, record.rtype, record.ttl, record.rdata);
            }
        };
        let outside = self.messages.read(apex, self.most, add).map_err(NoZone::Unreadable)?;
        reading.finish_within(ROOM).map(|(snapshot, _)| (snapshot, outside)).map_err(NoZone::Faults)
    }

    /// The steps from one version to the next, oldest first (RFC 1995 section 4): between the SOAs of the new version, each old SOA
    /// begins what is removed, each new one what is added. The second part of `Ok` is what was left out of them.
    pub fn deltas(self) -> Result<(Vec<Delta>, Option<Outside>), Unreadable> {
        let (mut deltas, mut soas) = (Vec::new(), 0u64);
        let outside = self.messages.read(&self.soa.owner, self.most, |record| {
            if record.rtype == Rtype::SOA {
                soas += 1;
                if soas.is_multiple_of(2) {
                    deltas.push(Delta::default());
                }
            }
            if let Some(delta) = deltas.last_mut() {
                let part = if soas.is_multiple_of(2) { &mut delta.removed } else { &mut delta.added };
                part.push(record.owner, record.rtype, record.ttl, record.rdata);
            }
        })?;
        // The closing SOA is no old one.
        deltas.pop();
        Ok((deltas, outside))
    }
}

#[cfg(test)]
impl Transferred {
    /// A zone of these records, the SOA first.
    pub fn of(records: &[Record]) -> Transferred {
        let soa = records[0].clone();
        Transferred {
            soa,
            records: records.len() as u64 - 1,
            steps: 0,
            messages: Messages::of(records.iter().chain(&records[..1])),
            most: u64::MAX,
        }
    }

    /// These differences.
    pub fn of_deltas(deltas: &[Delta]) -> Transferred {
        let owned = |record: RecordRef<'_>| record.owned().unwrap();
        let soa = deltas.last().unwrap().added.first().map(owned).unwrap();
        let parts = deltas.iter().flat_map(Delta::records).map(owned);
        let all: Vec<Record> = std::iter::once(soa.clone()).chain(parts).chain([soa.clone()]).collect();
        let (records, steps) = (all.len() as u64 - 2, deltas.len() as u64);
        Transferred { messages: Messages::of(&all), soa, records, steps, most: u64::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::super::proposal::Proposal;
    use super::*;
    use crate::zone::builder::Builder;
    use crate::zone::diff::between;
    use crate::zone::fixture;

    #[test]
    fn a_zone_of_many_messages_is_the_one_that_was_sent() {
        let records = fixture::records("example.", 7, (0..60_000).map(|host| (host, [10, 1, 2, 3])));
        let transferred = Transferred::of(&records);
        assert_eq!((transferred.records, transferred.apex()), (60_001, &records[0].owner));
        let mut sent = Builder::new(records[0].owner.clone());
        records.iter().for_each(|record| sent.push(record));
        let (sent, made) = (sent.finish().unwrap().0, transferred.content(None).unwrap().0);
        assert_eq!((made.digest(), made.records()), (sent.digest(), 60_002));
    }

    #[test]
    fn differences_are_the_ones_that_were_sent() {
        let version = |serial, hosts: std::ops::Range<u32>| {
            let hosts = hosts.map(|host| (host, [10, 1, 2, serial as u8]));
            fixture::hosts("example.", serial, hosts).finish().unwrap().0
        };
        let versions = [version(1, 0..500), version(2, 100..300), version(3, 100..900), version(4, 100..900)];
        let deltas: Vec<Delta> =
            versions.windows(2).map(|pair| between(&pair[0], &pair[1]).unwrap()).collect();
        let transferred = Transferred::of_deltas(&deltas);
        assert_eq!(transferred.records, deltas.iter().map(|delta| delta.len() as u64).sum::<u64>());
        assert_eq!(transferred.deltas().unwrap(), (deltas.clone(), None));
        // A chain of many is work for a thread of its own, however little each changes.
        let is_large = |steps| {
            let differences = Transferred { steps, ..Transferred::of_deltas(&deltas[2..]) };
            Proposal::ixfr(differences, Vec::new()).is_large()
        };
        assert!(!is_large(1) && is_large(200));
    }
}
