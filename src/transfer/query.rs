//! What a secondary asks: SOA (RFC 1034 4.3.5), IXFR (RFC 1995), AXFR (RFC 5936), each with EXPIRE (RFC 7314) and the
//! publication stamps asked for.

use crate::ask::query::{Edns, Query};
use crate::publish::expire;
use crate::wire::edns;
use crate::wire::message::{Message, Record};
use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::Rtype;
use crate::wire::writer::Section;
use crate::zone::serial::Serial;
use crate::zone::soa::Timers;
use crate::zone::stamp::{self, Told};

use super::reason::Reason;

/// What is asked, and what a transfer is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The SOA alone.
    Soa,
    /// Differences.
    Ixfr,
    /// The whole content.
    Axfr,
}

impl Kind {
    /// A short name that never changes, for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Soa => "soa",
            Kind::Ixfr => "ixfr",
            Kind::Axfr => "axfr",
        }
    }
}

/// Asks for the SOA; `have` is the version here, if any.
pub fn soa(zone: &Name, have: Option<Serial>) -> Query {
    query(zone, Rtype::SOA, have)
}

/// Asks for the whole zone.
pub fn axfr(zone: &Name, have: Option<Serial>) -> Query {
    query(zone, Rtype::AXFR, have)
}

/// Asks for what followed the version with this SOA.
pub fn ixfr(soa: &Record) -> Query {
    let have = Timers::read(&soa.rdata).serial;
    Query { record: Some((Section::Authority, soa.clone())), ..query(&soa.owner, Rtype::IXFR, Some(have)) }
}

fn query(zone: &Name, rtype: Rtype, have: Option<Serial>) -> Query {
    let mut options = Vec::new();
    edns::push_option(&mut options, edns::STAMP, &stamp::ask(have));
    edns::push_option(&mut options, edns::EXPIRE, &[]);
    Query { edns: Some(Edns { dnssec_ok: false, options }), ..Query::new(zone.clone(), rtype) }
}

/// What an answer to a SOA query says.
#[derive(Debug)]
pub struct SoaAnswer {
    /// The server's SOA.
    pub soa: Record,
    /// What it told of its versions.
    pub told: Option<Told>,
    /// The seconds that are left of EXPIRE there (RFC 7314).
    pub expire: Option<u32>,
}

/// Reads an answer to a SOA query.
pub fn read_soa(zone: &NameRef, message: &Message) -> Result<SoaAnswer, Reason> {
    if let Some(reason) = Reason::of(message.rcode()) {
        return Err(reason);
    }
    if message.header.is_truncated() {
        return Err(Reason::Malformed);
    }
    if !message.header.is_authoritative() {
        return Err(Reason::NotAuth);
    }
    let told = message.option(edns::STAMP).and_then(Told::read);
    let left = message.option(edns::EXPIRE).and_then(expire::read);
    match message.answer.iter().find(|record| record.rtype == Rtype::SOA) {
        Some(soa) if *soa.owner == *zone => Ok(SoaAnswer { soa: soa.clone(), told, expire: left }),
        Some(_) => Err(Reason::WrongZone),
        None => Err(Reason::Malformed),
    }
}
