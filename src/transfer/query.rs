//! What a secondary asks: SOA (RFC 1034 4.3.5), IXFR (RFC 1995), AXFR (RFC 5936), each with EXPIRE (RFC 7314) and the
//! publication stamps asked for.

use crate::wire::edns::{self, UDP_PAYLOAD};
use crate::wire::message::{Message, Opcode, Record};
use crate::wire::name::NameRef;
use crate::wire::rtype::{CLASS_IN, Rcode, Rtype};
use crate::wire::writer::{Section, Writer};
use crate::zone::serial::Serial;
use crate::zone::soa::Timers;
use crate::zone::stamp::{self, Told};

use super::intake::seconds;
use super::reason::Reason;

/// What is asked, and what a transfer is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// Asks for the SOA; `have` is the version here, if any, and `plain` leaves EDNS out.
pub fn soa(id: u16, zone: &NameRef, have: Option<Serial>, plain: bool) -> Vec<u8> {
    write(id, zone, Rtype::SOA, None, have, plain)
}

/// Asks for the whole zone.
pub fn axfr(id: u16, zone: &NameRef, have: Option<Serial>, plain: bool) -> Vec<u8> {
    write(id, zone, Rtype::AXFR, None, have, plain)
}

/// Asks for what followed the version with this SOA.
pub fn ixfr(id: u16, soa: &Record, plain: bool) -> Vec<u8> {
    let have = Timers::read(&soa.rdata).serial;
    write(id, &soa.owner, Rtype::IXFR, Some(soa), Some(have), plain)
}

fn write(
    id: u16,
    zone: &NameRef,
    rtype: Rtype,
    soa: Option<&Record>,
    have: Option<Serial>,
    plain: bool,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    let mut writer = Writer::new(&mut bytes, usize::from(u16::MAX), id, 0);
    // A name, one SOA and two short options are far below the limit.
    let _ = writer.question(zone, rtype, CLASS_IN);
    if let Some(soa) = soa {
        let _ = writer.push(Section::Authority, soa);
    }
    if !plain {
        let mut options = Vec::new();
        edns::push_option(&mut options, edns::STAMP, &stamp::ask(have));
        edns::push_option(&mut options, edns::EXPIRE, &[]);
        let _ = writer.opt(UDP_PAYLOAD, Rcode::NOERROR, false, &options);
    }
    writer.finish();
    bytes
}

/// What an answer to a SOA query says.
#[derive(Debug)]
pub enum SoaAnswer {
    /// The server's SOA, what it told of its versions, and the seconds that are left of EXPIRE there.
    Soa(Record, Option<Told>, Option<u32>),
    /// Cut: to be asked again over TCP.
    Cut,
    /// The server does not speak EDNS: to be asked again without (RFC 6891 6.2.2).
    NoEdns,
    /// An answer that does not help.
    Bad(Reason),
    /// No answer to this question at all; the right one may yet come.
    Other,
}

/// Reads an answer to a SOA query.
pub fn read_soa(zone: &NameRef, bytes: &[u8]) -> SoaAnswer {
    let Ok(message) = Message::read(bytes) else { return SoaAnswer::Other };
    if !message.header.is_response() || message.header.opcode() != Opcode::QUERY {
        return SoaAnswer::Other;
    }
    let rcode = message.rcode();
    match &message.question {
        Some(asked) if *asked.name == *zone && asked.rtype == Rtype::SOA && asked.class == CLASS_IN => {}
        // An old server may send back its FORMERR without the question.
        None if rcode == Rcode::FORMERR => {}
        _ => return SoaAnswer::Other,
    }
    let without_edns = [Rcode::FORMERR, Rcode::NOTIMP].contains(&rcode) && message.opt.is_none();
    if without_edns || rcode == Rcode::BADVERS {
        return SoaAnswer::NoEdns;
    }
    if let Some(reason) = Reason::of(rcode) {
        return SoaAnswer::Bad(reason);
    }
    if message.header.is_truncated() {
        return SoaAnswer::Cut;
    }
    if !message.header.is_authoritative() {
        return SoaAnswer::Bad(Reason::NotAuth);
    }
    let told = message.option(edns::STAMP).and_then(Told::read);
    let expire = message.option(edns::EXPIRE).and_then(seconds);
    match message.answer.into_iter().find(|record| record.rtype == Rtype::SOA) {
        Some(soa) if *soa.owner == *zone => SoaAnswer::Soa(soa, told, expire),
        Some(_) => SoaAnswer::Bad(Reason::WrongZone),
        None => SoaAnswer::Bad(Reason::Malformed),
    }
}
