//! The whole content of a zone as a transfer brought it. Its messages have been read for their faults and their end as they came, which
//! takes no memory; they are read again by whoever puts the zone together, in a thread that other zones do not wait for.

use crate::wire::message::{Answers, MessageError, Record};
use crate::wire::name::Name;
use crate::wire::rtype::{CLASS_IN, Rtype};
use crate::zone::builder::Builder;
use crate::zone::fault::Fault;
use crate::zone::snapshot::Snapshot;

/// Messages are kept together in pieces of so many bytes, which go back one by one while the zone is put together.
const PIECE: usize = 1 << 20;

/// The records between two equal SOAs (RFC 5936 section 2.2).
#[derive(Debug)]
pub struct Transferred {
    apex: Name,
    soa: Record,
    records: u64,
    /// Messages, each behind its length.
    pieces: Vec<Vec<u8>>,
}

impl Transferred {
    /// Begins with the opening SOA of a zone.
    pub fn new(apex: Name, soa: Record) -> Transferred {
        Transferred { apex, soa, records: 0, pieces: Vec::new() }
    }

    /// The zone's name.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// Its SOA.
    pub fn soa(&self) -> &Record {
        &self.soa
    }

    /// How many records there are besides the SOA.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Keeps a message that could be read, with so many records of the zone besides its SOA.
    pub fn keep(&mut self, message: &[u8], records: u64) {
        let length = (message.len() as u64).to_be_bytes();
        let is_full = |piece: &Vec<u8>| piece.len() + length.len() + message.len() > PIECE;
        if self.pieces.last().is_none_or(is_full) {
            // The first one grows as it must: most zones are small.
            let room = if self.pieces.is_empty() { 0 } else { PIECE };
            self.pieces.push(Vec::with_capacity(room));
        }
        if let Some(piece) = self.pieces.last_mut() {
            piece.extend_from_slice(&length);
            piece.extend_from_slice(message);
        }
        self.records += records;
    }

    /// Puts the zone together. `Err` holds what keeps this from being a zone.
    pub fn finish(self) -> Result<Snapshot, Vec<Fault>> {
        let mut builder = Builder::new(self.apex.clone());
        builder.push(&self.soa);
        for piece in self.pieces {
            let mut rest = &piece[..];
            while let Some((length, behind)) = rest.split_first_chunk() {
                let (message, behind) = behind.split_at(u64::from_be_bytes(*length) as usize);
                rest = behind;
                // It could be read when it came.
                read(message, &self.apex, &mut builder).map_err(|_| Vec::new())?;
            }
        }
        builder.finish().map(|(snapshot, _)| snapshot)
    }
}

fn read(message: &[u8], apex: &Name, builder: &mut Builder) -> Result<(), MessageError> {
    let mut answers = Answers::read(message)?;
    while let Some(record) = answers.next()? {
        let is_soa = record.rtype == Rtype::SOA && *record.owner == **apex;
        if record.class == CLASS_IN && record.owner.is_in(apex) && !is_soa {
            builder.add(record.owner, record.rtype, record.ttl, record.rdata);
        }
    }
    Ok(())
}

#[cfg(test)]
impl Transferred {
    /// These records, the SOA first, in messages of a hundred.
    pub fn of(records: &[Record]) -> Transferred {
        use crate::wire::message::flags;
        use crate::wire::writer::{Section, Writer};
        let (soa, others) = records.split_first().unwrap();
        let mut transferred = Transferred::new(soa.owner.clone(), soa.clone());
        for part in others.chunks(100) {
            let mut message = Vec::new();
            let mut writer = Writer::new(&mut message, 65_535, 1, flags::QR);
            part.iter().for_each(|record| writer.push(Section::Answer, record).unwrap());
            writer.finish();
            transferred.keep(&message, part.len() as u64);
        }
        transferred
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::fixture;

    #[test]
    fn a_zone_of_many_messages_is_the_one_that_was_sent() {
        let records = fixture::records("example.", 7, (0..60_000).map(|host| (host, [10, 1, 2, 3])));
        let transferred = Transferred::of(&records);
        assert_eq!((transferred.records(), transferred.apex()), (60_001, &records[0].owner));
        assert!(transferred.pieces.len() > 1 && transferred.pieces.iter().all(|piece| piece.len() <= PIECE));
        let mut sent = Builder::new(records[0].owner.clone());
        records.iter().for_each(|record| sent.push(record));
        let (sent, made) = (sent.finish().unwrap().0, transferred.finish().unwrap());
        assert_eq!((made.digest(), made.records()), (sent.digest(), 60_002));
    }

    #[test]
    fn messages_of_any_length_are_kept() {
        let records = fixture::records("example.", 7, []);
        let mut transferred = Transferred::of(&records);
        let (mut longest, host) = (Vec::new(), "h.example.".parse::<Name>().unwrap());
        let mut writer = crate::wire::writer::Writer::new(&mut longest, 65_535, 1, 0);
        let text = Record {
            owner: host,
            rtype: Rtype::TXT,
            ttl: 60,
            rdata: [&[200][..], &[7; 200]].concat().into(),
        };
        writer.push(crate::wire::writer::Section::Answer, &text).unwrap();
        writer.finish();
        // Bytes behind the answer section are nobody's.
        longest.resize(65_535, 0);
        (0..20).for_each(|_| transferred.keep(&longest, 1));
        assert_eq!(transferred.finish().unwrap().records(), 3);
    }
}
