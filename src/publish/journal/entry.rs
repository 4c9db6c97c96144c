//! What is written down before it is served: entries that rebuild every zone with its history after a crash.
//!
//! ```text
//! frame:   length u32 | CRC-32 of the payload u32 | payload           (little-endian)
//! payload: kind u8 | zone name | body
//! ```
//!
//! A file of frames may end in a torn one (a crash while writing); everything before it counts. No I/O here:
//! `server::disk` and the simulator's disk keep the frames.

use std::sync::Arc;

use crate::time::Utc;
use crate::wire::message::Record;
use crate::wire::name::{Name, NameRef};
use crate::wire::rdata;
use crate::wire::rtype::Rtype;

use crate::zone::delta::Delta;
use crate::zone::snapshot::{Builder, Snapshot};
use crate::zone::stamp::Stamp;

/// Bytes of a frame before its payload.
pub const FRAME: usize = 8;
/// An entry of more records is written in pieces.
const MANY_RECORDS: u64 = 10_000;
/// How long such pieces are, about.
const PIECE: usize = 64 << 10;

/// Something that happened to a zone, as written.
#[derive(Clone, Debug)]
pub enum Entry {
    /// The whole content from now on.
    Full(Snapshot, Stamp, Utc),
    /// A change to the content.
    Change(Name, Arc<Delta>, Stamp, Utc),
    /// A version up to the one that the next `Full` holds, with the delta that led to it if that is still kept. The last
    /// version may stand here too, when its content is written down later.
    Past(Name, Option<Arc<Delta>>, Stamp),
    /// A secondary found its content current at this time.
    Verified(Name, Utc),
}

/// Something that happened to a zone, as read back.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Happened {
    Full(Snapshot, Stamp, Utc),
    Change(Delta, Stamp, Utc),
    Past(Option<Delta>, Stamp),
    Verified(Utc),
}

impl Entry {
    /// Appends the entry, framed.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; FRAME]);
        self.payload(out, &mut |_| ());
        let payload = &out[start + FRAME..];
        let (length, sum) = (payload.len() as u32, crc32fast::hash(payload));
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..start + FRAME].copy_from_slice(&sum.to_le_bytes());
    }

    /// What stands for a whole content that is written down later: its stamp has the serial and the digest, so that no serial goes
    /// back or comes to stand for other content. Other entries stand for themselves.
    pub fn stand_in(self) -> Entry {
        match self {
            Entry::Full(snapshot, stamp, _) => Entry::Past(snapshot.apex().to_name(), None, stamp),
            other => other,
        }
    }

    /// Whether the entry is better written in pieces than held in memory as a whole.
    pub fn is_large(&self) -> bool {
        matches!(self, Entry::Full(snapshot, ..) if snapshot.records() > MANY_RECORDS)
    }

    /// Hands out the entry, framed, piece by piece. It is put together twice, because its length and sum come first.
    pub fn pieces(&self, each: &mut dyn FnMut(&[u8])) {
        let mut piece = Vec::with_capacity(2 * PIECE);
        let (mut length, mut sum) = (0, crc32fast::Hasher::new());
        let mut measure = |piece: &mut Vec<u8>| {
            length += piece.len() as u32;
            sum.update(piece);
            piece.clear();
        };
        self.payload(&mut piece, &mut measure);
        measure(&mut piece);
        piece.extend_from_slice(&length.to_le_bytes());
        piece.extend_from_slice(&sum.finalize().to_le_bytes());
        self.payload(&mut piece, &mut |piece| {
            each(piece);
            piece.clear();
        });
        each(&piece);
    }

    /// Appends the payload; `spill` may take away what there is of it at times.
    fn payload(&self, out: &mut Vec<u8>, spill: &mut dyn FnMut(&mut Vec<u8>)) {
        match self {
            Entry::Full(snapshot, stamp, applied) => {
                begin(out, 1, snapshot.apex());
                stamp.write(out);
                out.extend_from_slice(&applied.0.to_le_bytes());
                for owner in snapshot.owners() {
                    for set in owner.rrsets() {
                        for data in set.rdatas() {
                            write_record(out, owner.name(), set.rtype, set.ttl, data);
                        }
                    }
                    if out.len() >= PIECE {
                        spill(out);
                    }
                }
            }
            Entry::Change(zone, delta, stamp, applied) => {
                begin(out, 2, zone);
                stamp.write(out);
                out.extend_from_slice(&applied.0.to_le_bytes());
                write_delta(out, delta);
            }
            Entry::Past(zone, delta, stamp) => {
                begin(out, 3, zone);
                stamp.write(out);
                if let Some(delta) = delta {
                    write_delta(out, delta);
                }
            }
            Entry::Verified(zone, at) => {
                begin(out, 4, zone);
                out.extend_from_slice(&at.0.to_le_bytes());
            }
        }
    }
}

/// Reads the frame at the start of `bytes`: its payload and the whole frame's length. `None` when it is torn or damaged.
pub fn unframe(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk()?;
    let payload = rest.get(..u32::from_le_bytes(*length) as usize)?;
    (crc32fast::hash(payload) == u32::from_le_bytes(*sum)).then_some((payload, FRAME + payload.len()))
}

/// The zone a payload speaks of.
pub fn zone_of(payload: &[u8]) -> Option<&NameRef> {
    NameRef::read(payload.get(1..)?).ok()
}

/// Reads a payload; `None` when it is not one of this version.
pub fn read(payload: &[u8]) -> Option<Happened> {
    let zone = zone_of(payload)?;
    let mut rest = &payload[1 + zone.as_wire().len()..];
    match payload[0] {
        1 => {
            let stamp = Stamp::read(&mut rest)?;
            let applied = Utc(take_u64(&mut rest)?);
            let mut builder = Builder::new(zone.to_name());
            while !rest.is_empty() {
                let (owner, rtype, ttl, data) = read_record(&mut rest)?;
                builder.add(owner, rtype, ttl, data);
            }
            let snapshot = builder.finish().ok()?.0;
            Some(Happened::Full(snapshot, stamp, applied))
        }
        2 => {
            let stamp = Stamp::read(&mut rest)?;
            let applied = Utc(take_u64(&mut rest)?);
            Some(Happened::Change(read_delta(rest)?, stamp, applied))
        }
        3 => {
            let stamp = Stamp::read(&mut rest)?;
            let delta = if rest.is_empty() { None } else { Some(read_delta(rest)?) };
            Some(Happened::Past(delta, stamp))
        }
        4 => Some(Happened::Verified(Utc(take_u64(&mut rest)?))),
        _ => None,
    }
}

fn begin(out: &mut Vec<u8>, kind: u8, zone: &NameRef) {
    out.push(kind);
    out.extend_from_slice(zone.as_wire());
}

fn write_delta(out: &mut Vec<u8>, delta: &Delta) {
    out.extend_from_slice(&(delta.removed.len() as u32).to_le_bytes());
    for record in delta.removed.iter().chain(&delta.added) {
        write_record(out, &record.owner, record.rtype, record.ttl, &record.rdata);
    }
}

fn read_delta(mut rest: &[u8]) -> Option<Delta> {
    let removed = u32::from_le_bytes(take(&mut rest)?) as usize;
    let mut delta = Delta { removed: Vec::new(), added: Vec::new() };
    while !rest.is_empty() {
        let (owner, rtype, ttl, data) = read_record(&mut rest)?;
        let record = Record { owner: owner.to_name(), rtype, ttl, rdata: data.into() };
        if delta.removed.len() < removed { delta.removed.push(record) } else { delta.added.push(record) }
    }
    Some(delta)
}

fn write_record(out: &mut Vec<u8>, owner: &NameRef, rtype: Rtype, ttl: u32, data: &[u8]) {
    out.extend_from_slice(owner.as_wire());
    out.extend_from_slice(&rtype.0.to_le_bytes());
    out.extend_from_slice(&ttl.to_le_bytes());
    out.extend_from_slice(&(data.len() as u16).to_le_bytes());
    out.extend_from_slice(data);
}

fn read_record<'a>(rest: &mut &'a [u8]) -> Option<(&'a NameRef, Rtype, u32, &'a [u8])> {
    let owner = NameRef::read(rest).ok()?;
    *rest = &rest[owner.as_wire().len()..];
    let rtype = Rtype(u16::from_le_bytes(take(rest)?));
    let ttl = u32::from_le_bytes(take(rest)?);
    let length = usize::from(u16::from_le_bytes(take(rest)?));
    let (data, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    rdata::check(rtype, data).ok()?;
    Some((owner, rtype, ttl, data))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*bytes)
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_le_bytes)
}
