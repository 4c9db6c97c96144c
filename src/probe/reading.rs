//! What an answer says, bytes to [`Observation`].
//!
//! Read with [`crate::wire::message`] rather than with hickory-proto: a record that is waited for is compared by its data
//! as it stands on the wire, which hickory's typed data does not keep for every type.

use crate::time::{Mono, Utc};
use crate::wire::edns;
use crate::wire::message::{Header, Message, Opcode, Record};
use crate::wire::name::Name;
use crate::wire::rtype::{CLASS_IN, Rcode, Rtype};
use crate::zone::serial::Serial;
use crate::zone::stamp::Told;

use super::observation::{Ask, Observation, Reason};

/// The version type SOA-SERIAL of ZONEVERSION (RFC 9660).
const SOA_SERIAL: u8 = 0;
/// Links of a chain of CNAME records that are followed within one answer.
const MAX_ALIASES: usize = 16;

/// An answer, judged.
#[derive(Debug)]
pub enum Answered {
    /// No answer to this question; the probe goes on waiting.
    NotThis,
    /// The server does not understand EDNS.
    WithoutEdns,
    /// An answer that does not show what the server serves.
    Wrong(Reason),
    /// What it shows; the times are yet to be filled in.
    Shown(Box<Observation>),
}

/// Reads the answer to a question.
pub fn read(ask: &Ask, bytes: &[u8]) -> Answered {
    let Some(header) = Header::read(bytes) else { return Answered::NotThis };
    if !header.is_response() || header.opcode() != Opcode::QUERY {
        return Answered::NotThis;
    }
    let Ok(message) = Message::read(bytes) else { return Answered::Wrong(Reason::Malformed) };
    let rcode = message.rcode();
    let Some(question) = &message.question else {
        // A server that cannot read a question need not repeat it (RFC 6891 7).
        let unread = matches!(rcode, Rcode::FORMERR | Rcode::NOTIMP) && message.opt.is_none();
        return if unread { Answered::WithoutEdns } else { Answered::NotThis };
    };
    if (&question.name, question.rtype, question.class) != (&ask.name, ask.rtype, CLASS_IN) {
        return Answered::NotThis;
    }
    match rcode {
        Rcode::FORMERR | Rcode::NOTIMP if message.opt.is_none() => return Answered::WithoutEdns,
        Rcode::NOERROR => {}
        Rcode::NXDOMAIN if ask.name != ask.zone => {}
        other => return Answered::Wrong(Reason::Rcode(other)),
    }
    if header.is_truncated() {
        return Answered::Wrong(Reason::Truncated);
    }
    if !header.is_authoritative() && !ask.recursive {
        return Answered::Wrong(Reason::NotAuthoritative);
    }
    shown(ask, &message)
}

fn shown(ask: &Ask, message: &Message) -> Answered {
    let records = asked_for(ask, message);
    let soa = message
        .answer
        .iter()
        .chain(&message.authority)
        .find(|record| record.rtype == Rtype::SOA && record.owner == ask.zone);
    let timers = soa.and_then(|record| timers(&record.rdata));
    if ask.rtype == Rtype::SOA && (records.is_empty() || timers.is_none()) && ask.name == ask.zone {
        return Answered::Wrong(Reason::NoSoa);
    }
    let by_soa = timers.map(|timers| timers.serial).filter(|_| ask.rtype == Rtype::SOA);
    Answered::Shown(Box::new(Observation {
        server: ask.server,
        zone: ask.zone.clone(),
        sent: Mono::default(),
        received: Mono::default(),
        sent_utc: Utc::default(),
        asked: ask.have,
        serial: by_soa.or_else(|| zone_version(ask, message)),
        told: message.option(edns::STAMP).and_then(Told::read),
        expire: message.option(edns::EXPIRE).and_then(expire),
        soa_expire: timers.map(|timers| timers.expire),
        negative_ttl: soa.zip(timers).map(|(record, timers)| record.ttl.min(timers.minimum)),
        nsid: message.option(edns::NSID).filter(|nsid| !nsid.is_empty()).map(<[u8]>::to_vec),
        authoritative: message.header.is_authoritative(),
        rcode: message.rcode(),
        records,
    }))
}

/// The records of the type asked for, at the name asked for or at the end of its aliases.
fn asked_for(ask: &Ask, message: &Message) -> Vec<Record> {
    let mut owner = &ask.name;
    for _ in 0..MAX_ALIASES {
        let found: Vec<Record> = message
            .answer
            .iter()
            .filter(|record| record.rtype == ask.rtype && record.owner == *owner)
            .cloned()
            .collect();
        if !found.is_empty() {
            return found;
        }
        let alias =
            message.answer.iter().find(|record| record.rtype == Rtype::CNAME && record.owner == *owner);
        let Some(target) = alias.and_then(|alias| Name::from_wire(&alias.rdata).ok()) else {
            return Vec::new();
        };
        match message.answer.iter().map(|record| &record.owner).find(|owner| **owner == target) {
            Some(next) => owner = next,
            None => return Vec::new(),
        }
    }
    Vec::new()
}

/// What the SOA record says in numbers.
#[derive(Clone, Copy)]
struct Timers {
    serial: Serial,
    expire: u32,
    minimum: u32,
}

/// The last twenty bytes of an SOA record's data; [`Message::read`] has checked the layout.
fn timers(rdata: &[u8]) -> Option<Timers> {
    let numbers: &[u8; 20] = rdata.last_chunk()?;
    let number =
        |at: usize| u32::from_be_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
    Some(Timers { serial: Serial(number(0)), expire: number(12), minimum: number(16) })
}

/// The serial by ZONEVERSION: label count of the zone, type, version (RFC 9660).
fn zone_version(ask: &Ask, message: &Message) -> Option<Serial> {
    let (&[labels, kind], serial) = message.option(edns::ZONEVERSION)?.split_first_chunk()?;
    let ours = usize::from(labels) == ask.zone.label_count() && kind == SOA_SERIAL;
    ours.then_some(Serial(u32::from_be_bytes(serial.try_into().ok()?)))
}

fn expire(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}
