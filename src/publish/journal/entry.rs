//! Journal entries: what happened to a zone, as written and as read back.
//!
//! ```text
//! payload: kind u8 | zone name | body                                        (numbers little-endian, stamps big-endian)
//! Full     1 | stamp | applied u64 | records
//! Change   2 | stamp | applied u64 | delta
//! Past     3 | stamp | delta, or nothing
//! Verified 4 | from when on EXPIRE is counted u64 | when it was known to be current u64, or nothing
//! Aside    5 | stamp | applied u64 | id u64 | is_change u8       the body is in a file of its own
//! Reserve  6 | serial u32 | is_doubtful u8 | digest, or nothing
//! Newer    7 | serial u32 | moment u64
//! Expired  8 | moment u64
//! delta:   count of removed records u32 | records removed | records added
//! record:  owner | type u16 | TTL u32 | length u16 | RDATA
//! ```

use std::sync::Arc;

use crate::time::Utc;
use crate::wire::message::RecordRef;
use crate::wire::name::{Name, NameRef};

use crate::zone::builder::Builder;
use crate::zone::delta::Delta;
use crate::zone::records::{self, Records};
use crate::zone::serial::Serial;
use crate::zone::snapshot::Snapshot;
use crate::zone::stamp::Stamp;

use super::floor::Reserve;

const FULL: u8 = 1;
const CHANGE: u8 = 2;
const PAST: u8 = 3;
const VERIFIED: u8 = 4;
const ASIDE: u8 = 5;
const RESERVE: u8 = 6;
const NEWER: u8 = 7;
const EXPIRED: u8 = 8;
/// Records are handed out in pieces of about so many bytes.
const PIECE: usize = 64 << 10;
/// An entry of more records goes into a file of its own, so that it does not keep the entries of other zones waiting.
pub const MANY_RECORDS: u64 = 10_000;

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
    /// A secondary's EXPIRE is counted from this time on; and its content is known to have been current at the other one, if at any: a
    /// primary that says nothing of its own age keeps a zone from expiring, and tells no such moment.
    Verified(Name, Utc, Option<Utc>),
    /// Serials up to this one may be published from now on.
    Reserve(Name, Reserve),
    /// A secondary heard at this time of a version that it did not get.
    Newer(Name, Serial, Utc),
    /// A secondary's content expired at this time; what stands for the content where a journal is written anew.
    Expired(Name, Utc),
}

/// Something that happened to a zone, as read back.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Replayed {
    Full(Snapshot, Stamp, Utc),
    Change(Delta, Stamp, Utc),
    Past(Option<Delta>, Stamp),
    Verified(Utc, Option<Utc>),
    Reserved(Reserve),
    Newer(Serial, Utc),
    Expired(Utc),
    /// A version whose content or change is lost.
    Lost(Stamp),
    /// The version served last as far as the floors know; the journal may have lost it.
    Served(Stamp),
}

impl Replayed {
    /// The version that it is about.
    pub(super) fn stamp(&self) -> Option<&Stamp> {
        match self {
            Replayed::Full(_, stamp, _) | Replayed::Change(_, stamp, _) | Replayed::Past(_, stamp) => {
                Some(stamp)
            }
            Replayed::Lost(stamp) | Replayed::Served(stamp) => Some(stamp),
            Replayed::Verified(..) | Replayed::Reserved(_) | Replayed::Newer(..) | Replayed::Expired(_) => {
                None
            }
        }
    }
}

/// An entry whose body is in a file of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aside {
    /// The version it leads to.
    pub stamp: Stamp,
    /// When that began to be served here.
    pub applied: Utc,
    /// Which file.
    pub id: u64,
    /// Whether it is a change to the content, and not the whole.
    pub is_change: bool,
}

/// A payload, read.
#[derive(Debug)]
pub enum Payload {
    /// The entry itself.
    Whole(Replayed),
    /// What is in a file of its own.
    Aside(Aside),
}

impl Entry {
    /// The zone it is about.
    pub fn zone(&self) -> &NameRef {
        match self {
            Entry::Full(snapshot, ..) => snapshot.apex(),
            Entry::Change(zone, ..) | Entry::Past(zone, ..) | Entry::Verified(zone, ..) => zone,
            Entry::Reserve(zone, _) | Entry::Newer(zone, ..) | Entry::Expired(zone, _) => zone,
        }
    }

    /// The version that is served once it is written.
    pub fn version(&self) -> Option<&Stamp> {
        match self {
            Entry::Full(_, stamp, _) | Entry::Change(_, _, stamp, _) => Some(stamp),
            _ => None,
        }
    }

    /// Where its body is to be written, if that is a file of its own: an entry of more than `many` records has one.
    pub fn aside(&self, many: u64, id: impl FnOnce() -> u64) -> Option<Aside> {
        let (records, stamp, applied, is_change) = match self {
            Entry::Full(content, stamp, applied) => (content.records(), stamp, applied, false),
            Entry::Change(_, delta, stamp, applied) => (delta.len() as u64, stamp, applied, true),
            _ => return None,
        };
        (records > many).then(|| Aside { stamp: *stamp, applied: *applied, id: id(), is_change })
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Entry::Full(snapshot, stamp, applied) => {
                begin(out, FULL, snapshot.apex());
                stamp.write(out);
                out.extend_from_slice(&applied.0.to_le_bytes());
                write_content(out, snapshot, &mut |_| ());
            }
            Entry::Change(zone, delta, stamp, applied) => {
                begin(out, CHANGE, zone);
                stamp.write(out);
                out.extend_from_slice(&applied.0.to_le_bytes());
                write_delta(out, delta);
            }
            Entry::Past(zone, delta, stamp) => {
                begin(out, PAST, zone);
                stamp.write(out);
                if let Some(delta) = delta {
                    write_delta(out, delta);
                }
            }
            Entry::Verified(zone, counted_from, current) => {
                begin(out, VERIFIED, zone);
                out.extend_from_slice(&counted_from.0.to_le_bytes());
                current.iter().for_each(|at| out.extend_from_slice(&at.0.to_le_bytes()));
            }
            Entry::Expired(zone, at) => {
                begin(out, EXPIRED, zone);
                out.extend_from_slice(&at.0.to_le_bytes());
            }
            Entry::Reserve(zone, reserve) => {
                begin(out, RESERVE, zone);
                reserve.write(out);
            }
            Entry::Newer(zone, serial, at) => {
                begin(out, NEWER, zone);
                out.extend_from_slice(&serial.0.to_le_bytes());
                out.extend_from_slice(&at.0.to_le_bytes());
            }
        }
    }
}

impl Aside {
    /// Appends the payload of an entry of this zone whose body is in a file of its own.
    pub fn write(&self, zone: &NameRef, out: &mut Vec<u8>) {
        begin(out, ASIDE, zone);
        self.stamp.write(out);
        out.extend_from_slice(&self.applied.0.to_le_bytes());
        out.extend_from_slice(&self.id.to_le_bytes());
        out.push(u8::from(self.is_change));
    }
}

/// The zone a payload speaks of.
pub fn zone_of(payload: &[u8]) -> Option<&NameRef> {
    NameRef::read(payload.get(1..)?).ok()
}

/// The version that a payload leads to, if it is one of a content or a change.
pub fn version_of(payload: &[u8]) -> Option<Stamp> {
    let zone = zone_of(payload)?;
    let mut rest = &payload[1 + zone.as_wire().len()..];
    if [FULL, CHANGE, ASIDE].contains(&payload[0]) { Stamp::read(&mut rest) } else { None }
}

/// Reads a payload; `None` when it is not one of this version.
pub fn decode(payload: &[u8]) -> Option<Payload> {
    let zone = zone_of(payload)?;
    let mut rest = &payload[1 + zone.as_wire().len()..];
    let happened = match payload[0] {
        FULL => {
            let stamp = Stamp::read(&mut rest)?;
            let applied = Utc(take_u64(&mut rest)?);
            let mut builder = Builder::new(zone.to_name());
            while !rest.is_empty() {
                let RecordRef { owner, rtype, ttl, rdata, .. } = records::read(&mut rest)?;
                builder.add(owner, rtype, ttl, rdata);
            }
            let snapshot = builder.finish().ok()?.0;
            Replayed::Full(snapshot, stamp, applied)
        }
        CHANGE => {
            let stamp = Stamp::read(&mut rest)?;
            let applied = Utc(take_u64(&mut rest)?);
            Replayed::Change(read_delta(rest)?, stamp, applied)
        }
        PAST => {
            let stamp = Stamp::read(&mut rest)?;
            let delta = if rest.is_empty() { None } else { Some(read_delta(rest)?) };
            Replayed::Past(delta, stamp)
        }
        VERIFIED => Replayed::Verified(Utc(take_u64(&mut rest)?), take_u64(&mut rest).map(Utc)),
        ASIDE => {
            let stamp = Stamp::read(&mut rest)?;
            let applied = Utc(take_u64(&mut rest)?);
            let id = take_u64(&mut rest)?;
            let [is_change] = take(&mut rest)?;
            return Some(Payload::Aside(Aside { stamp, applied, id, is_change: is_change != 0 }));
        }
        RESERVE => Replayed::Reserved(Reserve::read(rest)?),
        NEWER => {
            let serial = Serial(u32::from_le_bytes(take(&mut rest)?));
            Replayed::Newer(serial, Utc(take_u64(&mut rest)?))
        }
        EXPIRED => Replayed::Expired(Utc(take_u64(&mut rest)?)),
        _ => return None,
    };
    Some(Payload::Whole(happened))
}

fn begin(out: &mut Vec<u8>, kind: u8, zone: &NameRef) {
    out.push(kind);
    out.extend_from_slice(zone.as_wire());
}

fn write_delta(out: &mut Vec<u8>, delta: &Delta) {
    out.extend_from_slice(&(delta.removed.len() as u32).to_le_bytes());
    out.extend_from_slice(delta.removed.as_bytes());
    out.extend_from_slice(delta.added.as_bytes());
}

fn read_delta(mut rest: &[u8]) -> Option<Delta> {
    let removed = u32::from_le_bytes(take(&mut rest)?) as usize;
    let mut delta = Delta::default();
    while !rest.is_empty() {
        let RecordRef { owner, rtype, ttl, rdata, .. } = records::read(&mut rest)?;
        let part = if delta.removed.len() < removed { &mut delta.removed } else { &mut delta.added };
        part.push(owner, rtype, ttl, rdata);
    }
    delta.shrink_to_fit();
    Some(delta)
}

/// Appends the records of a content; `spill` may take away what there is of them at times.
pub(super) fn write_content(out: &mut Vec<u8>, content: &Snapshot, spill: &mut dyn FnMut(&mut Vec<u8>)) {
    for owner in content.owners() {
        for set in owner.rrsets() {
            for data in set.rdatas() {
                records::write(out, owner.name(), set.rtype, set.ttl, data);
            }
        }
        if out.len() >= PIECE {
            spill(out);
        }
    }
}

/// Appends records; `spill` may take away what there is of them at times.
pub(super) fn write_records(out: &mut Vec<u8>, records: &Records, spill: &mut dyn FnMut(&mut Vec<u8>)) {
    let mut written = 0;
    for (end, _) in records.iter_from(0) {
        if end - written >= PIECE {
            out.extend_from_slice(&records.as_bytes()[written..end]);
            written = end;
            spill(out);
        }
    }
    out.extend_from_slice(&records.as_bytes()[written..]);
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*bytes)
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_le_bytes)
}
