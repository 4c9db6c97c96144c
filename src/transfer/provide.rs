//! Transfers out: the records that answer one AXFR (RFC 5936) or IXFR (RFC 1995) request, put into messages as these are sent.
//!
//! A [`Provide`] holds one version and, for an incremental answer, the deltas that lead to exactly that version; so whatever is
//! published while a transfer runs, the secondary gets one consistent state. Header, question and OPT record are the caller's.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::publish::zone::{Version, Zone};
use crate::time::Now;
use crate::wire::message::{HEADER, Message, RecordRef, Request};
use crate::wire::name::NameRef;
use crate::wire::rtype::{Rcode, Rtype};
use crate::wire::writer::{Section, Writer};
use crate::zone::delta::Delta;
use crate::zone::owner::Rrset;
use crate::zone::serial::Serial;
use crate::zone::stamp::Told;
use crate::zone::table::Place;

use super::ixfr_loop::Stuck;
use super::query::Kind;

/// Bytes of a message of records. Names further into a message than 16,383 bytes cannot be pointed to (RFC 1035 4.1.4), so longer
/// messages would only compress worse.
pub const MESSAGE_BYTES: usize = 16_384;

/// Records of an answer that is short, at most; reading through them costs no more than making a reply.
const FEW_RECORDS: usize = 256;

/// The records of one transfer, in order.
pub struct Provide {
    kind: Kind,
    version: Arc<Version>,
    deltas: Vec<Arc<Delta>>,
    message_bytes: usize,
    /// The limit of the message at hand, and that of one that a single record fills.
    limits: (usize, usize),
    part: Part,
    /// What is written of the part: records of the owner that stands at the place, or bytes of the delta.
    written: usize,
}

/// A part of the stream of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The SOA at the start.
    First,
    /// The owners from this place on.
    Owners(Place),
    /// The deltas from this one on.
    Deltas(usize),
    /// The SOA at the end.
    Last,
    /// Nothing is left.
    Over,
}

/// Chooses what answers a transfer request over TCP. Whether `client` may have the zone was decided before.
pub fn by_stream(
    zone: &Zone,
    request: &Request<'_>,
    now: Now,
    client: IpAddr,
    stuck: &mut Stuck,
) -> Result<Provide, Rcode> {
    let version = zone.version().ok_or(Rcode::SERVFAIL)?;
    if request.rtype == Rtype::AXFR {
        return Ok(Provide::axfr(version));
    }
    let have = serial_of(request).ok_or(Rcode::FORMERR)?;
    if !is_behind(have, &version) {
        return Ok(Provide::soa(version));
    }
    match zone.history().deltas(have, version.stamp.serial) {
        Some(deltas) if !stuck.is_stuck(now.mono, zone.name(), client, have) => {
            Ok(Provide::ixfr(version, deltas))
        }
        _ => Ok(Provide::axfr(version)),
    }
}

/// Chooses what answers an IXFR request over UDP (RFC 1995 section 2): the SOA alone when the client is up to date or has to ask
/// for the whole zone, else the differences, in whose place [`Provide::soa_alone`] goes when they do not fit the datagram.
pub fn by_datagram(zone: &Zone, request: &Request<'_>) -> Result<Provide, Rcode> {
    let version = zone.version().ok_or(Rcode::SERVFAIL)?;
    let have = serial_of(request).ok_or(Rcode::FORMERR)?;
    let deltas = match is_behind(have, &version) {
        true => zone.history().deltas(have, version.stamp.serial),
        false => None,
    };
    Ok(match deltas {
        Some(deltas) => Provide::ixfr(version, deltas),
        None => Provide::soa(version),
    })
}

/// Whether the client has an older version: the same or a newer one is answered with the SOA alone (RFC 1995 section 2).
fn is_behind(have: Serial, version: &Version) -> bool {
    let serial = version.stamp.serial;
    have != serial && !have.is_newer_than(serial)
}

/// The serial that an IXFR request says its sender has (RFC 1995 section 3: a SOA in the authority section).
pub fn serial_of(request: &Request<'_>) -> Option<Serial> {
    let message = Message::read(request.bytes).ok()?;
    let soa = message.authority.iter().find(|record| record.rtype == Rtype::SOA)?;
    (*soa.owner == *request.name).then(|| crate::zone::soa::Timers::read(&soa.rdata).serial)
}

/// What this node tells of a version in option 65002: its stamp, how fresh it is known to be, and the stamps that followed
/// the serial the asker has, `most` in all.
pub fn told(zone: &Zone, version: &Version, now: Now, have: Option<Serial>, most: usize) -> Told {
    let serial = version.stamp.serial;
    let (mut stamps, mut later) = (vec![version.stamp], None);
    if let Some(have) = have.filter(|have| serial.is_newer_than(*have)) {
        let history = zone.history();
        for (number, stamp) in history.after(have).into_iter().flatten().enumerate() {
            if stamps.len() < most {
                stamps.push(*stamp);
            }
            // What was published since this version was taken is not spoken of.
            if stamp.serial == serial {
                later = u32::try_from(number + 1).ok().and_then(NonZeroU32::new);
                break;
            }
        }
    }
    let clock = zone.clock_of(&version.stamp, now);
    let (age, is_verified, vouches) =
        (age(zone, version, now), zone.is_verified(now.mono), zone.vouches(now.mono));
    Told { age, is_verified, is_belief: is_verified && !vouches, clock, stamps, later }
}

/// How long ago a version is known to have been current: 0 at a primary.
fn age(zone: &Zone, version: &Version, now: Now) -> Duration {
    if !zone.access().secondary {
        return Duration::ZERO;
    }
    // When the last poll began says nothing here: its primary's own copy may have been old by then, and a poll of a former life
    // was dated by a clock that may have been set since.
    let age = zone.fresh_at().map_or(Duration::MAX, |fresh| now.mono.since(fresh));
    // Looked at after the freshness: a version published meanwhile must not lend its freshness to the one before.
    let current = zone.version().is_some_and(|current| current.stamp == version.stamp);
    if current { age } else { Duration::MAX }
}

impl Provide {
    /// The whole content of a version (RFC 5936 2.2).
    fn axfr(version: Arc<Version>) -> Provide {
        Provide::new(Kind::Axfr, version, Vec::new())
    }

    /// The differences that lead to a version (RFC 1995 section 4). The last of `deltas` must end at it.
    fn ixfr(version: Arc<Version>, deltas: Vec<Arc<Delta>>) -> Provide {
        Provide::new(Kind::Ixfr, version, deltas)
    }

    fn soa(version: Arc<Version>) -> Provide {
        Provide::new(Kind::Soa, version, Vec::new())
    }

    fn new(kind: Kind, version: Arc<Version>, deltas: Vec<Arc<Delta>>) -> Provide {
        let (message_bytes, limits) = (MESSAGE_BYTES, (0, 0));
        Provide { kind, version, deltas, message_bytes, limits, part: Part::First, written: 0 }
    }

    /// The SOA of the same version, alone.
    pub fn soa_alone(&self) -> Provide {
        Provide::soa(Arc::clone(&self.version))
    }

    /// The same in messages of about this many bytes, where a record is not longer by itself.
    pub fn with_message_bytes(self, message_bytes: usize) -> Provide {
        Provide { message_bytes: message_bytes.clamp(HEADER, usize::from(u16::MAX)), ..self }
    }

    /// What kind of answer this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The version that is given.
    pub fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// Whether all of it is about one message: the SOA alone, or differences of a few records.
    pub fn is_short(&self) -> bool {
        let records = self.deltas.iter().flat_map(|delta| delta.records());
        let bytes = |record: RecordRef<'_>| record.owner.as_wire().len() + record.rdata.len();
        self.kind != Kind::Axfr
            && self.deltas.iter().map(|delta| delta.len()).sum::<usize>() <= FEW_RECORDS
            && records.map(bytes).sum::<usize>() <= self.message_bytes
    }

    /// Whether all records are written.
    pub fn is_over(&self) -> bool {
        self.part == Part::Over
    }

    /// Writes the records of the next message; `false` when there are none left.
    pub fn write(&mut self, writer: &mut Writer<'_>) -> bool {
        writer.keep_case();
        let most = writer.limit();
        self.limits = (self.message_bytes.min(most), most);
        writer.set_limit(self.limits.0);
        let version = Arc::clone(&self.version);
        while !self.is_over() && self.write_part(&version, writer) {}
        if is_empty(writer) {
            // Nothing is left, or a record longer than any message: then the other side sees that the end is missing.
            self.part = Part::Over;
            return false;
        }
        true
    }

    /// Writes the records of one owner or delta, or a SOA, as far as they fit; `false` when the message is full.
    fn write_part(&mut self, version: &Version, writer: &mut Writer<'_>) -> bool {
        let snapshot = &version.snapshot;
        match self.part {
            Part::First | Part::Last => {
                let soa = snapshot.soa();
                if !self.put(writer, snapshot.apex(), &mut None, soa, self.written) {
                    return false;
                }
                self.part = match (self.part, self.kind) {
                    (Part::First, Kind::Axfr) => Part::Owners(Place::default()),
                    (Part::First, Kind::Ixfr) => Part::Deltas(0),
                    _ => Part::Over,
                };
            }
            Part::Owners(mut place) => {
                let Some(owner) = snapshot.owner_at(&mut place) else {
                    self.part = Part::Last;
                    return true;
                };
                self.part = Part::Owners(place);
                let (mut owner_at, mut before) = (None, 0);
                for set in owner.rrsets().filter(|set| set.rtype != Rtype::SOA) {
                    let skip = self.written.saturating_sub(before);
                    before += usize::from(set.count);
                    if self.written < before && !self.put(writer, owner.name(), &mut owner_at, set, skip) {
                        return false;
                    }
                }
                place.pass();
                self.part = Part::Owners(place);
            }
            Part::Deltas(at) => {
                let Some(delta) = self.deltas.get(at).cloned() else {
                    self.part = Part::Last;
                    return true;
                };
                for (end, record) in delta.records_from(self.written) {
                    if !self.put_record(writer, record, end) {
                        return false;
                    }
                }
                self.part = Part::Deltas(at + 1);
            }
            Part::Over => return false,
        }
        self.written = 0;
        writer.limit() == self.limits.0
    }

    /// Writes the records of an RRset but for those at its start that are written; `false` when not all fit.
    fn put(
        &mut self,
        writer: &mut Writer<'_>,
        owner: &NameRef,
        owner_at: &mut Option<u16>,
        set: Rrset<'_>,
        skip: usize,
    ) -> bool {
        let most = usize::from(set.count).saturating_sub(skip);
        if most == 0 {
            return true;
        }
        let mut write = |writer: &mut Writer<'_>, most| {
            let rdatas = set.rdatas().skip(skip).take(most);
            writer.records(Section::Answer, (owner, &mut *owner_at), (set.rtype, set.ttl), rdatas)
        };
        let mut written = write(writer, most);
        if written == 0 && is_empty(writer) {
            // A record too long for a message of the usual length gets one of its own.
            writer.set_limit(self.limits.1);
            written = write(writer, 1);
        }
        self.written += written;
        written == most && writer.limit() == self.limits.0
    }

    /// Writes a record of a delta that ends there in it; `false` when it does not fit.
    fn put_record(&mut self, writer: &mut Writer<'_>, record: RecordRef<'_>, end: usize) -> bool {
        let RecordRef { owner, rtype, ttl, rdata, .. } = record;
        let put = |writer: &mut Writer<'_>| writer.record(Section::Answer, owner, rtype, ttl, rdata).is_ok();
        let mut written = put(writer);
        let full = !written && is_empty(writer);
        if full {
            // A record too long for a message of the usual length gets one of its own.
            writer.set_limit(self.limits.1);
            written = put(writer);
        }
        if written {
            self.written = end;
        }
        written && !full
    }
}

fn is_empty(writer: &Writer<'_>) -> bool {
    writer.count(Section::Answer) == 0
}

#[cfg(test)]
mod tests;
