//! Transfers out: the messages that answer one AXFR (RFC 5936) or IXFR (RFC 1995) request, made as they are sent.
//!
//! A [`Provide`] holds one version and, for an incremental answer, the deltas that lead to exactly that version; so whatever is
//! published while a transfer runs, the secondary gets one consistent state.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::publish::expire;
use crate::publish::zone::{Version, Zone};
use crate::time::Now;
use crate::wire::edns::{self, UDP_PAYLOAD};
use crate::wire::message::{HEADER, Message, Record, Request, flags};
use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::{CLASS_IN, Rcode, Rtype};
use crate::wire::writer::{Section, Writer};
use crate::zone::delta::Delta;
use crate::zone::owner::Rrset;
use crate::zone::serial::Serial;
use crate::zone::stamp::{MAX_IN_DATAGRAM, MAX_IN_STREAM, Told};
use crate::zone::table::Place;

use super::ixfr_loop::Stuck;
use super::query::Kind;

/// Bytes of a message before its OPT record. Names further into a message than 16,383 bytes cannot be pointed to (RFC 1035
/// 4.1.4), so longer messages would only compress worse.
pub const MESSAGE_BYTES: usize = 16_384;
/// The shortest UDP limit (RFC 1035 4.2.1), for requests without OPT.
const PLAIN_UDP: usize = 512;

/// The messages of one transfer, in order.
pub struct Provide {
    head: Head,
    kind: Result<Kind, Rcode>,
    version: Option<Arc<Version>>,
    deltas: Vec<Arc<Delta>>,
    message_bytes: usize,
    part: Part,
    /// Records of the part that are written: of the owner that stands at the place, or of the delta.
    written: usize,
    begun: bool,
}

/// What a transfer's first message says in its OPT record, if the request had one.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// Option 65002.
    pub told: Option<Told>,
    /// The EXPIRE option: seconds (RFC 7314).
    pub expire: Option<u32>,
}

impl Extra {
    /// What the request asks for.
    fn asked_for(
        request: &Request<'_>,
        zone: &Zone,
        version: &Version,
        now: Now,
        (have, most): (Option<Serial>, usize),
    ) -> Extra {
        let asked = |code| request.opt.is_some_and(|opt| opt.option(code).is_some());
        Extra {
            told: asked(edns::STAMP).then(|| told(zone, version, now, have, most)),
            expire: expire::left(zone, version, now.mono).filter(|_| asked(edns::EXPIRE)),
        }
    }
}

/// What every message begins with.
struct Head {
    id: u16,
    flags: u16,
    name: Name,
    rtype: Rtype,
    class: u16,
    /// The options of the OPT record, when the request had one.
    options: Option<Vec<u8>>,
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

/// Answers a transfer request over TCP. Whether `client` may have the zone was decided before.
pub fn provide(zone: &Zone, request: &Request<'_>, now: Now, client: IpAddr, stuck: &mut Stuck) -> Provide {
    let Some(version) = zone.version() else { return Provide::error(request, Rcode::SERVFAIL) };
    if request.class != CLASS_IN {
        return Provide::error(request, Rcode::NOTAUTH);
    }
    let have = match request.rtype {
        Rtype::AXFR => None,
        Rtype::IXFR => match serial_of(request) {
            Some(have) => Some(have),
            None => return Provide::error(request, Rcode::FORMERR),
        },
        _ => return Provide::error(request, Rcode::FORMERR),
    };
    let extra = Extra::asked_for(request, zone, &version, now, (have, MAX_IN_STREAM));
    let Some(have) = have else { return Provide::axfr(version, request, extra) };
    let serial = version.stamp.serial;
    // RFC 1995 section 2: the same or a newer version at the client is answered with the SOA alone.
    if have == serial || have.is_newer_than(serial) {
        return Provide::soa(version, request, extra);
    }
    let deltas = zone.history().deltas(have, serial);
    match deltas {
        Some(deltas) if !stuck.is_stuck(now.mono, zone.name(), client, have) => {
            Provide::ixfr(version, deltas, request, extra)
        }
        _ => Provide::axfr(version, request, extra),
    }
}

/// Answers an IXFR request over UDP (RFC 1995 section 2): with the SOA alone when the client is up to date, with the
/// differences when they fit the datagram, else again with the SOA alone, upon which the client asks over TCP.
pub fn ixfr_datagram(
    zone: &Zone,
    request: &Request<'_>,
    now: Now,
    reply: &mut Vec<u8>,
) -> Result<Kind, Rcode> {
    let limit = request.opt.map_or(PLAIN_UDP, |opt| usize::from(opt.payload.min(UDP_PAYLOAD)));
    let mut answer = match (zone.version(), serial_of(request)) {
        (None, _) => Provide::error(request, Rcode::SERVFAIL),
        (Some(_), None) => Provide::error(request, Rcode::FORMERR),
        (Some(version), Some(have)) => {
            let most = (Some(have), MAX_IN_DATAGRAM);
            let extra = Extra::asked_for(request, zone, &version, now, most);
            let deltas = match have == version.stamp.serial || have.is_newer_than(version.stamp.serial) {
                true => None,
                false => zone.history().deltas(have, version.stamp.serial),
            };
            let whole = deltas.and_then(|deltas| {
                let ixfr = Provide::ixfr(Arc::clone(&version), deltas, request, extra.clone());
                let room = limit.saturating_sub(ixfr.head.opt_bytes());
                ixfr.with_message_bytes(room).alone(limit, reply)
            });
            let whole =
                whole.or_else(|| Provide::soa(Arc::clone(&version), request, extra).alone(limit, reply));
            if let Some(kind) = whole {
                return kind;
            }
            // Stamps are a courtesy; the SOA is the answer.
            Provide::soa(version, request, Extra::default())
        }
    };
    answer.write_next(reply);
    answer.kind
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
    let mut stamps = vec![version.stamp];
    if let Some(have) = have.filter(|have| serial.is_newer_than(*have)) {
        let history = zone.history();
        for stamp in history.after(have).into_iter().flatten().take(most.saturating_sub(1)) {
            stamps.push(*stamp);
            // What was published since this version was taken is not spoken of.
            if stamp.serial == serial {
                break;
            }
        }
    }
    Told { age: age(zone, version, now), stamps }
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
    pub fn axfr(version: Arc<Version>, request: &Request<'_>, extra: Extra) -> Provide {
        Provide::new(Ok(Kind::Axfr), Some(version), Vec::new(), request, extra)
    }

    /// The differences that lead to a version (RFC 1995 section 4). The last of `deltas` must end at it.
    pub fn ixfr(
        version: Arc<Version>,
        deltas: Vec<Arc<Delta>>,
        request: &Request<'_>,
        extra: Extra,
    ) -> Provide {
        Provide::new(Ok(Kind::Ixfr), Some(version), deltas, request, extra)
    }

    /// The SOA of a version, alone.
    pub fn soa(version: Arc<Version>, request: &Request<'_>, extra: Extra) -> Provide {
        Provide::new(Ok(Kind::Soa), Some(version), Vec::new(), request, extra)
    }

    /// A response code alone.
    pub fn error(request: &Request<'_>, rcode: Rcode) -> Provide {
        Provide::new(Err(rcode), None, Vec::new(), request, Extra::default())
    }

    fn new(
        kind: Result<Kind, Rcode>,
        version: Option<Arc<Version>>,
        deltas: Vec<Arc<Delta>>,
        request: &Request<'_>,
        extra: Extra,
    ) -> Provide {
        let options = request.opt.map(|_| {
            let mut options = Vec::new();
            if let Some(told) = extra.told {
                edns::push_option(&mut options, edns::STAMP, &told.write());
            }
            if let Some(left) = extra.expire {
                edns::push_option(&mut options, edns::EXPIRE, &expire::write(left));
            }
            options
        });
        let head = Head {
            id: request.header.id,
            flags: flags::QR | flags::AA | (request.header.flags & flags::RD),
            name: request.name.to_name(),
            rtype: request.rtype,
            class: request.class,
            options,
        };
        Provide {
            head,
            kind,
            version,
            deltas,
            message_bytes: MESSAGE_BYTES,
            part: Part::First,
            written: 0,
            begun: false,
        }
    }

    /// The same in messages of about this many bytes, where a record is not longer by itself.
    pub fn with_message_bytes(self, message_bytes: usize) -> Provide {
        Provide { message_bytes: message_bytes.clamp(HEADER, usize::from(u16::MAX)), ..self }
    }

    /// What kind of answer this is; `Err` when it is a response code alone.
    pub fn kind(&self) -> Result<Kind, Rcode> {
        self.kind
    }

    /// The version that is given.
    pub fn version(&self) -> Option<&Version> {
        self.version.as_deref()
    }

    /// Appends the next message, without a TCP length; `false` when the transfer is complete.
    pub fn write_next(&mut self, bytes: &mut Vec<u8>) -> bool {
        let first = !std::mem::replace(&mut self.begun, true);
        if let Err(rcode) = self.kind {
            if first {
                self.head.error(rcode, bytes);
            }
            return first;
        }
        let Some(version) = self.version.clone().filter(|_| self.part != Part::Over) else { return false };
        let start = bytes.len();
        let mut writer = self.head.begin(bytes, self.message_bytes, first);
        while self.part != Part::Over && self.write_part(&version, &mut writer) {}
        if is_empty(&writer) {
            // A record longer than any message: the transfer ends here, and the other side sees that its end is missing.
            self.part = Part::Over;
            writer.finish();
            bytes.truncate(start);
            return false;
        }
        self.head.end(writer, first);
        true
    }

    /// Appends the whole answer if it is one message of at most `limit` bytes; else nothing.
    fn alone(mut self, limit: usize, bytes: &mut Vec<u8>) -> Option<Result<Kind, Rcode>> {
        let start = bytes.len();
        let whole = self.write_next(bytes) && self.part == Part::Over && bytes.len() - start <= limit;
        if !whole {
            bytes.truncate(start);
        }
        whole.then_some(self.kind)
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
                    (Part::First, Ok(Kind::Axfr)) => Part::Owners(Place::default()),
                    (Part::First, Ok(Kind::Ixfr)) => Part::Deltas(0),
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
                for record in delta.removed.iter().chain(&delta.added).skip(self.written) {
                    if !self.put_record(writer, record) {
                        return false;
                    }
                }
                self.part = Part::Deltas(at + 1);
            }
            Part::Over => return false,
        }
        self.written = 0;
        writer.limit() == self.message_bytes
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
            make_room_for_one(writer);
            written = write(writer, 1);
        }
        self.written += written;
        written == most && writer.limit() == self.message_bytes
    }

    /// Writes a record of a delta; `false` when it does not fit.
    fn put_record(&mut self, writer: &mut Writer<'_>, record: &Record) -> bool {
        let mut written = writer.push(Section::Answer, record).is_ok();
        let full = !written && is_empty(writer);
        if full {
            make_room_for_one(writer);
            written = writer.push(Section::Answer, record).is_ok();
        }
        self.written += usize::from(written);
        written && !full
    }
}

fn is_empty(writer: &Writer<'_>) -> bool {
    writer.count(Section::Answer) == 0
}

/// A record too long for a message of the usual length gets one of its own.
fn make_room_for_one(writer: &mut Writer<'_>) {
    writer.set_limit(usize::from(u16::MAX));
}

impl Iterator for Provide {
    type Item = Vec<u8>;

    /// The next message, without a TCP length; `None` when the transfer is complete.
    fn next(&mut self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.message_bytes + 64);
        self.write_next(&mut bytes).then_some(bytes)
    }
}

impl Head {
    /// RFC 5936 2.2.2: the question stands in the first message only.
    fn begin<'b>(&self, bytes: &'b mut Vec<u8>, limit: usize, first: bool) -> Writer<'b> {
        let mut writer = Writer::new(bytes, limit, self.id, self.flags);
        writer.keep_case();
        if first {
            let _ = writer.question(&self.name, self.rtype, self.class);
        }
        writer
    }

    fn end(&self, mut writer: Writer<'_>, first: bool) {
        if let Some(options) = self.options.as_ref().filter(|_| first) {
            writer.set_limit(usize::from(u16::MAX));
            let _ = writer.opt(UDP_PAYLOAD, Rcode::NOERROR, false, options);
        }
        writer.finish();
    }

    /// How long the OPT record becomes.
    fn opt_bytes(&self) -> usize {
        self.options.as_ref().map_or(0, |options| 11 + options.len())
    }

    fn error(&self, rcode: Rcode, bytes: &mut Vec<u8>) {
        let mut writer = self.begin(bytes, MESSAGE_BYTES, true);
        writer.clear_flags(flags::AA);
        writer.set_rcode(rcode);
        if self.options.is_some() {
            let _ = writer.opt(UDP_PAYLOAD, rcode, false, &[]);
        }
        writer.finish();
    }
}

#[cfg(test)]
mod tests;
