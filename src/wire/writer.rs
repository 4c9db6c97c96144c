//! Messages as sent: header, question, records with name compression (RFC 1035 4.1.4), OPT.

use super::compression::POINTER;
use super::edns::UDP_PAYLOAD;
use super::message::{HEADER, Opcode, Record, flags};
use super::name::NameRef;
use super::rdata::{self, Field, Part};
use super::rendered::Rendered;
use super::rtype::{CLASS_IN, Rcode, Rtype};

/// Slots of the table of names that can be pointed to.
const SLOTS: usize = 128;
/// Slots that a name may stand in, from its own on; when all are taken, it takes the place of the first.
const PROBES: usize = 8;

/// A section that records are put into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Answer.
    Answer = 1,
    /// Authority.
    Authority = 2,
    /// Additional.
    Additional = 3,
}

/// The message would become longer than its limit; nothing of what was asked for has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What the sections of a reply are written into. Names may be remembered for `'r`, to be pointed to later.
pub trait Sections<'r> {
    /// A place to return to.
    type Mark: Copy;

    /// Remembers this place.
    fn mark(&self) -> Self::Mark;

    /// Takes back everything written since the mark.
    fn rewind(&mut self, mark: Self::Mark);

    /// Writes an RRset, all of its records or none.
    fn rrset(
        &mut self,
        section: Section,
        owner: &'r NameRef,
        rtype: Rtype,
        ttl: u32,
        rdatas: impl Iterator<Item = &'r [u8]>,
    ) -> Result<(), Full>;

    /// Copies records that were rendered before, all or none; `None` where they have to be written one by one.
    #[inline]
    fn rendered(&mut self, _section: Section, _records: &'r Rendered) -> Option<Result<(), Full>> {
        None
    }
}

/// Writes one message into a buffer, from the header to the OPT record.
///
/// Call order is the message's order; [`Writer::finish`] fills in the counts. A record that does not fit leaves the
/// message as it was.
pub struct Writer<'b> {
    buf: &'b mut Vec<u8>,
    /// Where the message begins in `buf` (2 behind a TCP length).
    start: usize,
    limit: usize,
    counts: [u16; 4],
    flags: u16,
    keep_case: bool,
    /// Offset of a name in the message, by [`slot`] of that name; 0 is free.
    names: [u16; SLOTS],
}

/// A place in a [`Writer`]'s message.
#[derive(Clone, Copy)]
pub struct Mark {
    length: usize,
    counts: [u16; 4],
}

impl<'b> Writer<'b> {
    /// Starts a message at the end of `buf` that may grow to `limit` bytes.
    pub fn new(buf: &'b mut Vec<u8>, limit: usize, id: u16, flags: u16) -> Writer<'b> {
        let start = buf.len();
        buf.extend_from_slice(&id.to_be_bytes());
        buf.extend_from_slice(&[0; HEADER - 2]);
        Writer {
            buf,
            start,
            limit: limit.clamp(HEADER, 65_535),
            counts: [0; 4],
            flags,
            keep_case: false,
            names: [0; SLOTS],
        }
    }

    /// A query for one name: header, question, and OPT with these options, as bytes of its own.
    pub fn query(id: u16, flags: u16, name: &NameRef, rtype: Rtype, options: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + options.len());
        let mut writer = Writer::new(&mut bytes, 65_535, id, flags);
        // A question and an OPT always fit into 65,535 bytes while the options are the caller's own few.
        let _ = writer.question(name, rtype, CLASS_IN);
        let _ = writer.opt(UDP_PAYLOAD, Rcode::NOERROR, false, options);
        writer.finish();
        bytes
    }

    /// From here on a name is only pointed to when its case is the same too, so that transfers keep the case of a zone.
    pub fn keep_case(&mut self) {
        self.keep_case = true;
    }

    /// Lowers (or raises) the limit, to leave room for an OPT record.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(65_535);
    }

    /// The limit in force.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.buf.len() - self.start
    }

    /// Whether nothing but the header was written.
    pub fn is_empty(&self) -> bool {
        self.len() <= HEADER
    }

    /// Records in a section so far.
    pub fn count(&self, section: Section) -> u16 {
        self.counts[section as usize]
    }

    /// Sets header bits (see [`flags`]).
    pub fn set_flags(&mut self, bits: u16) {
        self.flags |= bits;
    }

    /// Clears header bits.
    pub fn clear_flags(&mut self, bits: u16) {
        self.flags &= !bits;
    }

    /// Sets the lower four bits of the response code.
    pub fn set_rcode(&mut self, rcode: Rcode) {
        self.flags = (self.flags & !0xf) | (rcode.0 & 0xf);
    }

    /// Writes the question.
    pub fn question(&mut self, name: &NameRef, rtype: Rtype, class: u16) -> Result<(), Full> {
        self.all_or_nothing(|writer| {
            writer.name(name, false)?;
            writer.bytes(&rtype.0.to_be_bytes())?;
            writer.bytes(&class.to_be_bytes())?;
            writer.counts[0] += 1;
            Ok(())
        })
    }

    /// Writes a record, whole or not at all.
    pub fn record(
        &mut self,
        section: Section,
        owner: &NameRef,
        rtype: Rtype,
        ttl: u32,
        rdata: &[u8],
    ) -> Result<(), Full> {
        self.record_of_class(section, owner, rtype, CLASS_IN, ttl, rdata)
    }

    /// Writes a record of any class, whole or not at all.
    pub fn record_of_class(
        &mut self,
        section: Section,
        owner: &NameRef,
        rtype: Rtype,
        class: u16,
        ttl: u32,
        rdata: &[u8],
    ) -> Result<(), Full> {
        self.all_or_nothing(|writer| {
            writer.name(owner, true)?;
            writer.behind_owner(section, rtype, class, ttl, rdata)
        })
    }

    /// Writes records of one RRset as long as they fit; returns how many did. `owner_at` is a pointer to where the owner stands in
    /// this message, once it does.
    pub fn records<'r>(
        &mut self,
        section: Section,
        (owner, owner_at): (&NameRef, &mut Option<u16>),
        (rtype, ttl): (Rtype, u32),
        rdatas: impl Iterator<Item = &'r [u8]>,
    ) -> usize {
        let mut written = 0;
        for rdata in rdatas {
            let fits = self.all_or_nothing(|writer| {
                match *owner_at {
                    Some(pointer) => writer.bytes(&pointer.to_be_bytes())?,
                    None => *owner_at = writer.name(owner, true)?,
                }
                writer.behind_owner(section, rtype, CLASS_IN, ttl, rdata)
            });
            if fits.is_err() {
                // The name may have been written and taken back; nothing follows in this message.
                *owner_at = None;
                break;
            }
            written += 1;
        }
        written
    }

    /// Writes what follows a record's owner.
    #[inline]
    fn behind_owner(
        &mut self,
        section: Section,
        rtype: Rtype,
        class: u16,
        ttl: u32,
        rdata: &[u8],
    ) -> Result<(), Full> {
        let mut fixed = [0; 10];
        fixed[..2].copy_from_slice(&rtype.0.to_be_bytes());
        fixed[2..4].copy_from_slice(&class.to_be_bytes());
        fixed[4..8].copy_from_slice(&ttl.to_be_bytes());
        fixed[8..].copy_from_slice(&u16::try_from(rdata.len()).map_err(|_| Full)?.to_be_bytes());
        self.bytes(&fixed)?;
        if rdata::has_compressible_names(rtype) {
            let start = self.buf.len();
            self.rdata_with_names(rtype, rdata)?;
            let length = u16::try_from(self.buf.len() - start).map_err(|_| Full)?;
            self.buf[start - 2..start].copy_from_slice(&length.to_be_bytes());
        } else {
            self.bytes(rdata)?;
        }
        let count = &mut self.counts[section as usize];
        *count = count.checked_add(1).ok_or(Full)?;
        Ok(())
    }

    /// Writes an owned record.
    pub fn push(&mut self, section: Section, record: &Record) -> Result<(), Full> {
        self.record(section, &record.owner, record.rtype, record.ttl, &record.rdata)
    }

    /// Writes the OPT record; the upper bits of `rcode` go into it, the lower ones into the header.
    pub fn opt(&mut self, payload: u16, rcode: Rcode, dnssec_ok: bool, options: &[u8]) -> Result<(), Full> {
        self.set_rcode(rcode);
        let ttl = (u32::from(rcode.0 >> 4) << 24) | if dnssec_ok { 0x8000 } else { 0 };
        self.record_of_class(Section::Additional, NameRef::ROOT, Rtype::OPT, payload, ttl, options)
    }

    /// Fills in flags and counts.
    pub fn finish(self) {
        let head = &mut self.buf[self.start..self.start + HEADER];
        head[2..4].copy_from_slice(&self.flags.to_be_bytes());
        for (at, count) in self.counts.iter().enumerate() {
            head[4 + 2 * at..6 + 2 * at].copy_from_slice(&count.to_be_bytes());
        }
    }

    fn all_or_nothing(&mut self, write: impl FnOnce(&mut Self) -> Result<(), Full>) -> Result<(), Full> {
        let mark = self.mark();
        let written = write(self);
        if written.is_err() {
            self.rewind(mark);
        }
        written
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        if self.len() + bytes.len() > self.limit {
            return Err(Full);
        }
        self.buf.extend_from_slice(bytes);
        Ok(())
    }

    fn rdata_with_names(&mut self, rtype: Rtype, rdata: &[u8]) -> Result<(), Full> {
        if let [Field::CompressibleName] = rdata::fields(rtype)
            && let Ok(name) = NameRef::read(rdata)
            && name.as_wire().len() == rdata.len()
        {
            return self.name(name, true).map(|_| ());
        }
        let mut written = Ok(());
        let mark = self.buf.len();
        let walked = rdata::walk(rtype, rdata, |part| {
            if written.is_ok() {
                written = match part {
                    Part::Name(name, Field::CompressibleName) => self.name(name, true).map(|_| ()),
                    Part::Name(name, _) => self.name(name, false).map(|_| ()),
                    Part::Bytes(bytes) => self.bytes(bytes),
                };
            }
        });
        if walked.is_err() {
            // Data that does not follow its type's layout is carried as it is (RFC 3597).
            self.buf.truncate(mark);
            return self.bytes(rdata);
        }
        written
    }

    /// Writes a name, as a pointer from the first suffix on that stands in the message already. Returns a pointer to the name as
    /// far as there can be one.
    fn name(&mut self, name: &NameRef, compress: bool) -> Result<Option<u16>, Full> {
        let wire = name.as_wire();
        let here = self.len();
        let mut literal = 0;
        while wire[literal] != 0 {
            if let Some(known) = self.find(name.suffix(literal as u8), here + literal).filter(|_| compress) {
                let pointer = POINTER | known;
                self.bytes(&wire[..literal])?;
                self.bytes(&pointer.to_be_bytes())?;
                return Ok(if literal == 0 { Some(pointer) } else { pointer_to(here) });
            }
            literal += 1 + usize::from(wire[literal]);
        }
        self.bytes(wire)?;
        Ok(pointer_to(here).filter(|_| literal > 0))
    }

    /// Where `name` stands already; else notes that it is about to be written at `here`.
    #[inline]
    fn find(&mut self, name: &NameRef, here: usize) -> Option<u16> {
        let first = slot(name);
        let mut free = first;
        for at in first..first + PROBES {
            let known = self.names[at % SLOTS];
            // What lies ahead was taken back.
            if known == 0 || usize::from(known) >= here {
                free = at % SLOTS;
                break;
            }
            if self.stands_at(usize::from(known), name) {
                return Some(known);
            }
        }
        if here < POINTABLE {
            self.names[free] = here as u16;
        }
        None
    }

    /// Whether `name` is what the message holds at `at`; pointers are followed, and each leads back.
    fn stands_at(&self, mut at: usize, name: &NameRef) -> bool {
        let message = &self.buf[self.start..];
        let mut rest = name.as_wire();
        if message.get(at..at + rest.len()).is_some_and(|theirs| theirs == rest) {
            return true;
        }
        loop {
            let Some(&length) = message.get(at) else { return false };
            if length >= 0xc0 {
                let Some(&low) = message.get(at + 1) else { return false };
                let target = (usize::from(length & 0x3f) << 8) | usize::from(low);
                if target >= at {
                    return false;
                }
                at = target;
                continue;
            }
            let taken = 1 + usize::from(length);
            let (Some(theirs), Some(mine)) = (message.get(at..at + taken), rest.get(..taken)) else {
                return false;
            };
            let same = if self.keep_case { theirs == mine } else { theirs.eq_ignore_ascii_case(mine) };
            if !same {
                return false;
            }
            if length == 0 {
                return true;
            }
            at += taken;
            rest = &rest[taken..];
        }
    }
}

impl<'r> Sections<'r> for Writer<'_> {
    type Mark = Mark;

    fn mark(&self) -> Mark {
        Mark { length: self.buf.len(), counts: self.counts }
    }

    fn rewind(&mut self, mark: Mark) {
        self.buf.truncate(mark.length);
        self.counts = mark.counts;
    }

    fn rrset(
        &mut self,
        section: Section,
        owner: &'r NameRef,
        rtype: Rtype,
        ttl: u32,
        rdatas: impl Iterator<Item = &'r [u8]>,
    ) -> Result<(), Full> {
        self.all_or_nothing(|writer| {
            // The owner is looked for once: the other records point to where it stands.
            let mut known = None;
            for rdata in rdatas {
                match known {
                    None => known = writer.name(owner, true)?,
                    Some(pointer) => writer.bytes(&u16::to_be_bytes(pointer))?,
                }
                writer.behind_owner(section, rtype, CLASS_IN, ttl, rdata)?;
            }
            Ok(())
        })
    }
}

/// Offsets from here on do not fit into a pointer.
const POINTABLE: usize = 0x4000;

fn pointer_to(at: usize) -> Option<u16> {
    (at < POINTABLE).then_some(POINTER | at as u16)
}

/// The slot for a name other than the root: a cheap mark of it without case, made of its length and a few of its letters.
fn slot(name: &NameRef) -> usize {
    let wire = name.as_wire();
    let fold = |at: usize| u32::from(wire[at] | 0x20);
    let mark = wire.len() as u32 | fold(1) << 8 | fold(2) << 16 | fold(usize::from(wire[0])) << 24;
    (mark.wrapping_mul(0x9e37_79b1) >> (32 - SLOTS.trailing_zeros())) as usize
}

/// A response that carries nothing but a code: the request's id, opcode and RD come back, and the question when it can be read and
/// the opcode is known to have one (what stands in messages of other opcodes is anybody's guess).
pub fn error_response(request: &[u8], rcode: Rcode, reply: &mut Vec<u8>) {
    let Some(header) = super::message::Header::read(request) else { return };
    let echoed = header.flags & (flags::OPCODE | flags::RD);
    let mut writer = Writer::new(reply, 512, header.id, flags::QR | echoed);
    writer.set_rcode(rcode);
    if [Opcode::QUERY, Opcode::NOTIFY].contains(&header.opcode())
        && let Ok(parsed) = super::message::Request::read_question(request)
    {
        let _ = writer.question(parsed.name, parsed.rtype, parsed.class);
    }
    writer.finish();
}

#[cfg(test)]
mod tests;
