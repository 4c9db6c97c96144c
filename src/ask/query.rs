//! What is asked of a server, and how it is written.

use crate::wire::edns::UDP_PAYLOAD;
use crate::wire::message::{Opcode, Record};
use crate::wire::name::Name;
use crate::wire::rtype::{CLASS_IN, Rcode, Rtype};
use crate::wire::writer::{Section, Writer};

/// The content of one question: what every sending of it says, whatever its id and EDNS level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// QNAME.
    pub name: Name,
    /// QTYPE.
    pub rtype: Rtype,
    /// OPCODE: QUERY or NOTIFY.
    pub opcode: Opcode,
    /// Header bits, such as RD.
    pub flags: u16,
    /// A record that goes along: the SOA in the authority section of IXFR (RFC 1995 section 3), or in the answer section of
    /// NOTIFY (RFC 1996 3.7).
    pub record: Option<(Section, Record)>,
    /// EDNS, where it is of use.
    pub edns: Option<Edns>,
}

/// What the OPT record of a query says (RFC 6891).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edns {
    /// DNSSEC OK (RFC 3225).
    pub dnssec_ok: bool,
    /// The options, back to back.
    pub options: Vec<u8>,
}

/// How much of EDNS a message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// No OPT record.
    Plain,
    /// An OPT record without options.
    Edns,
    /// An OPT record with options.
    Options,
}

impl Query {
    /// A question with opcode QUERY and nothing beside it.
    pub fn new(name: Name, rtype: Rtype) -> Query {
        Query { name, rtype, opcode: Opcode::QUERY, flags: 0, record: None, edns: None }
    }

    /// How much of EDNS it has when nothing is left out.
    pub fn level(&self) -> Level {
        match &self.edns {
            None => Level::Plain,
            Some(edns) if edns.options.is_empty() => Level::Edns,
            Some(_) => Level::Options,
        }
    }

    /// Whether the answer may take several messages (RFC 5936 2.2).
    pub fn is_transfer(&self) -> bool {
        matches!(self.rtype, Rtype::AXFR | Rtype::IXFR)
    }

    /// The message, with at most this much of EDNS.
    pub fn write(&self, id: u16, level: Level) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        let mut writer = Writer::new(&mut bytes, usize::from(u16::MAX), id, self.flags);
        writer.set_flags(u16::from(self.opcode.0) << 11);
        // A question, one SOA record and a few short options are far below the limit.
        let _ = writer.question(&self.name, self.rtype, CLASS_IN);
        if let Some((section, record)) = &self.record {
            let _ = writer.push(*section, record);
        }
        if let Some(edns) = self.edns.as_ref().filter(|_| level > Level::Plain) {
            let options = if level == Level::Options { &edns.options[..] } else { &[] };
            let _ = writer.opt(UDP_PAYLOAD, Rcode::NOERROR, edns.dnssec_ok, options);
        }
        writer.finish();
        bytes
    }
}
