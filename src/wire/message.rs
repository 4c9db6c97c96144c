//! Messages as received (RFC 1035 section 4): the header, a [`Request`] read in place, and a [`Message`] read whole.
//!
//! Every count, length and pointer is checked against the bytes at hand, so hostile input costs at most its own length.

use super::edns::Opt;
use super::name::{MAX_LABEL, MAX_NAME, Name, NameError, NameRef, decompress};
use super::rdata::{self, RdataError};
use super::rtype::{CLASS_IN, Rcode, Rtype};

pub use answers::Answers;

/// The length of the fixed header.
pub const HEADER: usize = 12;

/// Bits of the second header word (RFC 1035 4.1.1, RFC 4035 3.2 for AD and CD).
pub mod flags {
    #![allow(missing_docs)]
    pub const QR: u16 = 0x8000;
    pub const AA: u16 = 0x0400;
    pub const TC: u16 = 0x0200;
    pub const RD: u16 = 0x0100;
    pub const RA: u16 = 0x0080;
    pub const AD: u16 = 0x0020;
    pub const CD: u16 = 0x0010;
    pub const OPCODE: u16 = 0x7800;
    pub const RCODE: u16 = 0x000f;
}

/// What a message asks for as a whole (RFC 1035 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opcode(pub u8);

#[allow(missing_docs)]
impl Opcode {
    pub const QUERY: Opcode = Opcode(0);
    pub const NOTIFY: Opcode = Opcode(4);
    pub const UPDATE: Opcode = Opcode(5);
}

/// The fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Chosen by the asker.
    pub id: u16,
    /// QR, OPCODE, AA, TC, RD, RA, Z, AD, CD, RCODE.
    pub flags: u16,
    /// Entries in question, answer, authority, additional.
    pub counts: [u16; 4],
}

impl Header {
    /// Reads the header; `None` when there are fewer than 12 bytes.
    pub fn read(bytes: &[u8]) -> Option<Header> {
        let head: &[u8; HEADER] = bytes.first_chunk()?;
        let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        Some(Header { id: word(0), flags: word(2), counts: [word(4), word(6), word(8), word(10)] })
    }

    /// Whether the QR bit is set.
    pub fn is_response(&self) -> bool {
        self.flags & flags::QR != 0
    }

    /// Whether the answer was cut (TC).
    pub fn is_truncated(&self) -> bool {
        self.flags & flags::TC != 0
    }

    /// Whether the answer is authoritative (AA).
    pub fn is_authoritative(&self) -> bool {
        self.flags & flags::AA != 0
    }

    /// The OPCODE.
    pub fn opcode(&self) -> Opcode {
        Opcode(((self.flags & flags::OPCODE) >> 11) as u8)
    }

    /// The lower four bits of the response code.
    pub fn rcode(&self) -> Rcode {
        Rcode(self.flags & 0xf)
    }
}

/// The message breaks the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Fewer than 12 bytes.
    #[error("shorter than a header")]
    NoHeader,
    /// The bytes end before the counted records do.
    #[error("message ends too early")]
    Short,
    /// Bytes behind the last counted record.
    #[error("bytes behind the last record")]
    Trailing,
    /// A broken name.
    #[error("broken name: {0}")]
    Name(#[from] NameError),
    /// A record whose data breaks its type's layout.
    #[error("broken RDATA: {0}")]
    Rdata(#[from] RdataError),
    /// A second OPT record, one outside the additional section or not owned by the root, or one with a broken option
    /// (RFC 6891 6.1.1).
    #[error("broken OPT record")]
    Opt,
    /// Not exactly one question.
    #[error("not exactly one question")]
    Questions,
}

/// A question (RFC 1035 4.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// QNAME, in the case it was asked in.
    pub name: Name,
    /// QTYPE.
    pub rtype: Rtype,
    /// QCLASS.
    pub class: u16,
}

/// A resource record of class IN with its RDATA in uncompressed wire form.
#[derive(Clone, Debug)]
pub struct Record {
    /// NAME.
    pub owner: Name,
    /// TYPE.
    pub rtype: Rtype,
    /// TTL in seconds.
    pub ttl: u32,
    /// RDATA, uncompressed.
    pub rdata: Box<[u8]>,
}

impl PartialEq for Record {
    /// Same owner, type, TTL and data, names compared without case where RFC 4034 6.2 folds them.
    fn eq(&self, other: &Record) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Record {}

impl Record {
    /// A view of it.
    pub fn as_ref(&self) -> RecordRef<'_> {
        let Record { owner, rtype, ttl, rdata } = self;
        RecordRef { owner, rtype: *rtype, class: CLASS_IN, ttl: *ttl, rdata }
    }
}

/// A request as it stands in the receive buffer: its one question and its OPT, everything else skipped over but checked
/// to be whole.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// All bytes.
    pub bytes: &'a [u8],
    /// The header.
    pub header: Header,
    /// QNAME as it stands; a question's name has nothing before it that a pointer could lead to.
    pub name: &'a NameRef,
    /// QTYPE.
    pub rtype: Rtype,
    /// QCLASS.
    pub class: u16,
    /// Where the question section ends.
    pub question_end: usize,
    /// The OPT record, if there is one.
    pub opt: Option<Opt<'a>>,
}

impl<'a> Request<'a> {
    /// Reads a request with exactly one question.
    pub fn read(bytes: &'a [u8]) -> Result<Request<'a>, MessageError> {
        let mut request = Request::read_question(bytes)?;
        request.opt = request.skim()?;
        Ok(request)
    }

    /// Reads a request without a question (RFC 7873 5.4), whose name, type and class mean nothing.
    pub fn read_bare(bytes: &'a [u8]) -> Result<Request<'a>, MessageError> {
        let header = Header::read(bytes).ok_or(MessageError::NoHeader)?;
        if header.counts[0] != 0 {
            return Err(MessageError::Questions);
        }
        let mut request = Request {
            bytes,
            header,
            name: NameRef::ROOT,
            rtype: Rtype(0),
            class: 0,
            question_end: HEADER,
            opt: None,
        };
        request.opt = request.skim()?;
        Ok(request)
    }

    /// Reads a request as far as its one question, whatever stands behind it.
    pub fn read_question(bytes: &'a [u8]) -> Result<Request<'a>, MessageError> {
        let header = Header::read(bytes).ok_or(MessageError::NoHeader)?;
        if header.counts[0] != 1 {
            return Err(MessageError::Questions);
        }
        let name = NameRef::read(&bytes[HEADER..])?;
        let at = HEADER + name.as_wire().len();
        let &[t0, t1, c0, c1] = bytes.get(at..at + 4).ok_or(MessageError::Short)? else {
            return Err(MessageError::Short);
        };
        Ok(Request {
            bytes,
            header,
            name,
            rtype: Rtype(u16::from_be_bytes([t0, t1])),
            class: u16::from_be_bytes([c0, c1]),
            question_end: at + 4,
            opt: None,
        })
    }

    /// Walks all records behind the question and returns the OPT.
    fn skim(&self) -> Result<Option<Opt<'a>>, MessageError> {
        let mut at = self.question_end;
        let mut opt = None;
        for (section, &count) in self.header.counts[1..].iter().enumerate() {
            for _ in 0..count {
                let owner = skip_name(self.bytes, &mut at)?;
                let raw = Raw::read(self.bytes, &mut at)?;
                if raw.rtype == Rtype::OPT {
                    let parsed =
                        Opt::new(raw.class, raw.ttl, raw.rdata(self.bytes)).ok_or(MessageError::Opt)?;
                    if section != 2 || owner != Skipped::Root || opt.replace(parsed).is_some() {
                        return Err(MessageError::Opt);
                    }
                }
            }
        }
        if at == self.bytes.len() { Ok(opt) } else { Err(MessageError::Trailing) }
    }
}

/// An OPT record that outlives its message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedOpt {
    payload: u16,
    extended_rcode: u8,
    dnssec_ok: bool,
    options: Vec<u8>,
}

impl OwnedOpt {
    /// The same, borrowed.
    pub fn get(&self) -> Opt<'_> {
        Opt {
            payload: self.payload,
            extended_rcode: self.extended_rcode,
            version: 0,
            dnssec_ok: self.dnssec_ok,
            options: &self.options,
        }
    }
}

/// A message read whole, with every record's data checked and decompressed. Records of classes other than IN are left out.
#[derive(Clone, Debug)]
pub struct Message {
    /// The header.
    pub header: Header,
    /// The question; absent in the later messages of a transfer (RFC 5936 2.2).
    pub question: Option<Question>,
    /// The answer section.
    pub answer: Vec<Record>,
    /// The authority section.
    pub authority: Vec<Record>,
    /// The additional section without OPT.
    pub additional: Vec<Record>,
    /// The OPT record.
    pub opt: Option<OwnedOpt>,
}

impl Message {
    /// Reads a message with at most one question.
    ///
    /// Bytes behind the last counted record are no part of it (RFC 1035 4.1) and are left alone: home routers and address
    /// translators that rewrite messages leave some, and BIND and Unbound take such replies too. Requests are held to
    /// the form ([`Request::read`]): who asks can mend them.
    pub fn read(bytes: &[u8]) -> Result<Message, MessageError> {
        let mut answers = Answers::read(bytes)?;
        let mut message = Message {
            header: answers.header,
            question: answers.question.take(),
            answer: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
            opt: None,
        };
        while let Some(record) = answers.next()? {
            message.answer.extend(record.owned());
        }
        message.opt = answers.finish(|section, record| match section {
            2 => message.authority.extend(record.owned()),
            _ => message.additional.extend(record.owned()),
        })?;
        Ok(message)
    }

    /// The response code with its EDNS extension.
    pub fn rcode(&self) -> Rcode {
        extended_rcode(self.header, self.opt.as_ref())
    }

    /// The value of the first EDNS option with this code.
    pub fn option(&self, code: u16) -> Option<&[u8]> {
        self.opt.as_ref().and_then(|opt| opt.get().option(code))
    }
}

/// The response code of a header with its extension in the OPT record (RFC 6891 6.1.3).
pub fn extended_rcode(header: Header, opt: Option<&OwnedOpt>) -> Rcode {
    let upper = opt.map_or(0, |opt| u16::from(opt.extended_rcode) << 4);
    Rcode(upper | header.rcode().0)
}

/// A record as it stands in a message, with its names decompressed.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'r> {
    /// NAME.
    pub owner: &'r NameRef,
    /// TYPE.
    pub rtype: Rtype,
    /// CLASS.
    pub class: u16,
    /// TTL in seconds.
    pub ttl: u32,
    /// RDATA, uncompressed; empty when the class is not IN.
    pub rdata: &'r [u8],
}

impl PartialEq for RecordRef<'_> {
    /// As two [`Record`]s are.
    fn eq(&self, other: &RecordRef<'_>) -> bool {
        (self.rtype, self.class, self.ttl) == (other.rtype, other.class, other.ttl)
            && self.owner == other.owner
            && rdata::same(self.rtype, self.rdata, other.rdata)
    }
}

impl RecordRef<'_> {
    /// The same as a record of its own; `None` when the class is not IN.
    pub fn owned(&self) -> Option<Record> {
        (self.class == CLASS_IN).then(|| Record {
            owner: self.owner.to_name(),
            rtype: self.rtype,
            ttl: self.ttl,
            rdata: self.rdata.into(),
        })
    }
}

/// A name that was only checked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Skipped {
    Root,
    Other,
}

fn skip_name(bytes: &[u8], at: &mut usize) -> Result<Skipped, NameError> {
    if bytes.get(*at) == Some(&0) {
        *at += 1;
        return Ok(Skipped::Root);
    }
    let length = decompress(bytes, at, &mut [0; MAX_NAME])?;
    Ok(if length == 1 { Skipped::Root } else { Skipped::Other })
}

/// The fixed parts of a record behind its owner, and where its data stands.
struct Raw {
    rtype: Rtype,
    class: u16,
    ttl: u32,
    start: usize,
    length: usize,
}

impl Raw {
    fn read(bytes: &[u8], at: &mut usize) -> Result<Raw, MessageError> {
        let &[t0, t1, c0, c1, l0, l1, l2, l3, d0, d1] =
            bytes.get(*at..*at + 10).ok_or(MessageError::Short)?
        else {
            return Err(MessageError::Short);
        };
        let start = *at + 10;
        let length = usize::from(u16::from_be_bytes([d0, d1]));
        if start + length > bytes.len() {
            return Err(MessageError::Short);
        }
        *at = start + length;
        let (rtype, class) = (Rtype(u16::from_be_bytes([t0, t1])), u16::from_be_bytes([c0, c1]));
        Ok(Raw { rtype, class, ttl: u32::from_be_bytes([l0, l1, l2, l3]), start, length })
    }

    fn rdata<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.start..self.start + self.length]
    }
}

mod answers;

#[cfg(test)]
mod tests;
