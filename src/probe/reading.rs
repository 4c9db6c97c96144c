//! What an answer says: a reply to an [`Observation`].
//!
//! Read with [`crate::wire::message`] rather than with hickory-proto: a record that is waited for is compared by its data
//! as it stands on the wire, which hickory's typed data does not keep for every type.

use crate::ask::question::Reply;
use crate::publish::expire;
use crate::time::Mono;
use crate::wire::edns;
use crate::wire::message::{Message, Record};
use crate::wire::name::Name;
use crate::wire::rtype::{Rcode, Rtype};
use crate::zone::negative;
use crate::zone::soa::Timers;
use crate::zone::stamp::Told;
use crate::zone::zoneversion;

use super::observation::{Ask, Observation, Reason};

/// Links of a chain of CNAME records that are followed within one answer.
const MAX_ALIASES: usize = 16;

/// Reads the reply that was here at `received`.
pub fn read(ask: &Ask, reply: &Reply, received: Mono) -> Result<Observation, Reason> {
    let message = &reply.message;
    match message.rcode() {
        Rcode::NOERROR => {}
        Rcode::NXDOMAIN if ask.name != ask.zone => {}
        other => return Err(Reason::Rcode(other)),
    }
    if message.header.is_truncated() {
        return Err(Reason::Truncated);
    }
    if !message.header.is_authoritative() && !ask.recursive {
        return Err(delegation(ask, message).map_or(Reason::NotAuthoritative, Reason::Delegated));
    }
    let Found { records, alias, ttl } = asked_for(ask, message);
    let soa = message
        .answer
        .iter()
        .chain(&message.authority)
        .find(|record| record.rtype == Rtype::SOA && record.owner == ask.zone);
    // [`Message::read`] has checked the layout.
    let timers = soa.map(|record| Timers::read(&record.rdata));
    if ask.rtype == Rtype::SOA && (records.is_empty() || timers.is_none()) && ask.name == ask.zone {
        return Err(Reason::NoSoa);
    }
    let by_soa = timers.map(|timers| timers.serial).filter(|_| ask.rtype == Rtype::SOA);
    Ok(Observation {
        server: ask.server,
        zone: ask.zone.clone(),
        sent: reply.asked.mono,
        received,
        sent_utc: reply.asked.utc,
        asked: ask.have,
        serial: by_soa.or_else(|| zoneversion::read(&ask.zone, message.option(edns::ZONEVERSION)?)),
        omission: reply.omission,
        told: message.option(edns::STAMP).and_then(Told::read),
        expire: message.option(edns::EXPIRE).and_then(expire::read),
        soa_expire: timers.map(|timers| timers.expire),
        negative_ttl: soa.map(|record| negative::ttl(record.ttl, &record.rdata)),
        nsid: message.option(edns::NSID).filter(|nsid| !nsid.is_empty()).map(<[u8]>::to_vec),
        authoritative: message.header.is_authoritative(),
        rcode: message.rcode(),
        records,
        alias,
        ttl,
    })
}

/// The TTL of the delegation within the zone to which an answer refers (RFC 1034 section 4.3.2).
fn delegation(ask: &Ask, message: &Message) -> Option<u32> {
    let is_cut = |record: &&Record| {
        let owner = &record.owner;
        let is_between = *owner != ask.zone && owner.is_in(&ask.zone) && ask.name.is_in(owner);
        record.rtype == Rtype::NS && is_between
    };
    message.authority.iter().filter(|_| message.answer.is_empty()).find(is_cut).map(|record| record.ttl)
}

/// What an answer says of the name that was asked for.
struct Found {
    records: Vec<Record>,
    alias: Option<Name>,
    ttl: Option<u32>,
}

/// The records of the type asked for, at the name asked for or at the end of its aliases.
fn asked_for(ask: &Ask, message: &Message) -> Found {
    let is_at = |record: &Record, owner: &Name, rtype| record.rtype == rtype && record.owner == *owner;
    let mut found = Found { records: Vec::new(), alias: None, ttl: None };
    for _ in 0..MAX_ALIASES {
        let owner = found.alias.as_ref().unwrap_or(&ask.name);
        let asked_for = |record: &&Record| is_at(record, owner, ask.rtype);
        let records: Vec<Record> = message.answer.iter().filter(asked_for).cloned().collect();
        found.ttl = found.ttl.max(records.iter().map(|record| record.ttl).max());
        if !records.is_empty() {
            return Found { records, alias: None, ..found };
        }
        let Some(alias) = message.answer.iter().find(|record| is_at(record, owner, Rtype::CNAME)) else {
            break;
        };
        let Ok(target) = Name::from_wire(&alias.rdata) else { break };
        found.ttl = found.ttl.max(Some(alias.ttl));
        found.alias = Some(target);
    }
    found
}
