//! The plain query and its reply: one question of class IN with at most an OPT record without options, read in place, and a reply
//! that begins with the question's own bytes. Nothing is allocated; whatever is not plain belongs to
//! [`super::message::Request`] and [`super::writer::Writer`].

use super::edns::UDP_PAYLOAD;
use super::message::{HEADER, flags};
use super::name::{MAX_LABEL, MAX_NAME, NameRef};
use super::rtype::{CLASS_IN, Rtype};
use super::writer::{POINTER, Section};

/// Labels of a question's name, the root counted.
const MAX_LABELS: usize = 16;
/// Names in RDATA that later ones can point to; names behind these may repeat what could have been pointed to.
const MAX_KNOWN: usize = 4;
/// The bytes of an OPT record without options.
const OPT: usize = 11;
/// The limit without EDNS (RFC 1035 4.2.1).
const PLAIN_UDP: u16 = 512;

/// A query as it stands in the receive buffer.
pub struct PlainQuery<'q> {
    bytes: &'q [u8],
    /// QNAME.
    pub name: &'q NameRef,
    starts: [u8; MAX_LABELS],
    labels: u8,
    /// QTYPE.
    pub rtype: Rtype,
    /// The payload size offered by EDNS.
    payload: Option<u16>,
    /// DO.
    pub dnssec_ok: bool,
}

impl<'q> PlainQuery<'q> {
    /// Reads a query; `None` when it is not plain.
    pub fn read(bytes: &'q [u8]) -> Option<PlainQuery<'q>> {
        let head: &[u8; HEADER] = bytes.first_chunk()?;
        let word = u16::from_be_bytes([head[2], head[3]]);
        if word & (flags::QR | flags::OPCODE) != 0 || head[4..11] != [0, 1, 0, 0, 0, 0, 0] || head[11] > 1 {
            return None;
        }
        let mut starts = [0; MAX_LABELS];
        let (name, labels) = read_name(&bytes[HEADER..], &mut starts)?;
        let (question, rest) = bytes[HEADER + name.as_wire().len()..].split_first_chunk::<4>()?;
        let [t0, t1, c0, c1] = *question;
        if u16::from_be_bytes([c0, c1]) != CLASS_IN {
            return None;
        }
        let (payload, dnssec_ok) = match (head[11], rest) {
            (0, []) => (None, false),
            // The root, OPT, the payload size, the extended code, version 0, the flags, no options (RFC 6891 6.1.2).
            (1, &[0, 0, 41, p0, p1, _, 0, flags, _, 0, 0]) => {
                (Some(u16::from_be_bytes([p0, p1])), flags & 0x80 != 0)
            }
            _ => return None,
        };
        let rtype = Rtype(u16::from_be_bytes([t0, t1]));
        Some(PlainQuery { bytes, name, starts, labels, rtype, payload, dnssec_ok })
    }

    /// Where the labels of QNAME begin, leftmost first.
    pub fn starts(&self) -> &[u8] {
        &self.starts[..usize::from(self.labels)]
    }

    /// The flags of the header.
    pub fn flags(&self) -> u16 {
        u16::from_be_bytes([self.bytes[2], self.bytes[3]])
    }

    /// How long the reply may be over UDP (RFC 6891 6.2.5).
    pub fn limit(&self) -> usize {
        usize::from(self.payload.map_or(PLAIN_UDP, |payload| payload.clamp(PLAIN_UDP, UDP_PAYLOAD)))
    }

    fn question_end(&self) -> usize {
        HEADER + self.name.as_wire().len() + 4
    }
}

/// The uncompressed name at the start of `bytes`, and how many labels it has; `None` for too many of them.
fn read_name<'b>(bytes: &'b [u8], starts: &mut [u8; MAX_LABELS]) -> Option<(&'b NameRef, u8)> {
    let mut at = 0;
    for (number, start) in (0..).zip(starts) {
        *start = at as u8;
        match usize::from(*bytes.get(at)?) {
            0 if at < MAX_NAME => return Some((NameRef::wrap(&bytes[..=at]), number)),
            length @ 1..=MAX_LABEL => at += 1 + length,
            _ => return None,
        }
    }
    None
}

/// Where a name stands in the message that is being written.
#[derive(Clone, Copy)]
pub struct Place(u16);

impl Place {
    /// The question's name.
    pub const QUESTION: Place = Place(HEADER as u16);
    /// The root, which is written out.
    const ROOT: Place = Place(0);
}

/// A reply being written. Every method that gives `None` does so because the message would grow too long; what was written by
/// then is not to be sent.
pub struct PlainReply<'r> {
    query: &'r PlainQuery<'r>,
    buf: &'r mut [u8],
    at: usize,
    /// How long the message may grow before its OPT record.
    limit: usize,
    counts: [u8; 4],
    known: [Known<'r>; MAX_KNOWN],
    names: usize,
}

/// A name written in RDATA: the first `literal` bytes of it at `at`, the rest by a pointer.
#[derive(Clone, Copy)]
struct Known<'r> {
    name: &'r NameRef,
    at: u16,
    literal: u8,
}

impl<'r> PlainReply<'r> {
    /// Begins a reply of at most `limit` bytes with the question; `None` when `buf` is shorter than that.
    pub fn new(query: &'r PlainQuery<'r>, limit: usize, buf: &'r mut [u8]) -> Option<PlainReply<'r>> {
        let at = query.question_end();
        if buf.len() < limit {
            return None;
        }
        let limit = if query.payload.is_some() { limit - OPT } else { limit };
        buf[..at].copy_from_slice(&query.bytes[..at]);
        let known = [Known { name: NameRef::ROOT, at: 0, literal: 0 }; MAX_KNOWN];
        Some(PlainReply { query, buf, at, limit, counts: [1, 0, 0, 0], known, names: 0 })
    }

    /// The place of `name`, which must be the question's name or one above it.
    pub fn suffix(&self, name: &NameRef) -> Place {
        match name.as_wire().len() {
            1 => Place::ROOT,
            length => Place((HEADER + self.query.name.as_wire().len() - length) as u16),
        }
    }

    /// Writes a record whose RDATA holds no names that could be compressed.
    #[inline]
    pub fn record(
        &mut self,
        section: Section,
        owner: Place,
        rtype: Rtype,
        ttl: u32,
        rdata: &[u8],
    ) -> Option<()> {
        self.head(section, owner, rtype, ttl, u16::try_from(rdata.len()).ok()?)?;
        // Addresses are most of what is asked for, and copied fastest by their known lengths.
        match rdata.len() {
            4 => self.array::<4>(rdata.try_into().ok()?),
            16 => self.array::<16>(rdata.try_into().ok()?),
            _ => self.bytes(rdata),
        }
    }

    /// Writes a record whose RDATA is names and then plain bytes; returns the place of the last name.
    pub fn record_of_names<const N: usize>(
        &mut self,
        section: Section,
        owner: Place,
        rtype: Rtype,
        ttl: u32,
        names: [&'r NameRef; N],
        rest: &[u8],
    ) -> Option<Place> {
        self.head(section, owner, rtype, ttl, 0)?;
        let start = self.at;
        let mut place = Place::ROOT;
        for name in names {
            place = self.name(name)?;
        }
        self.bytes(rest)?;
        let length = (self.at - start) as u16;
        self.buf[start - 2..start].copy_from_slice(&length.to_be_bytes());
        Some(place)
    }

    /// Fills in the header, whose flags are `bits`, adds the OPT record where the query had one, and returns the length of the
    /// message.
    pub fn finish(self, bits: u16) -> usize {
        let PlainReply { query, buf, mut at, counts, .. } = self;
        let mut additional = counts[3];
        if query.payload.is_some() {
            let [p0, p1] = UDP_PAYLOAD.to_be_bytes();
            let dnssec_ok = if query.dnssec_ok { 0x80 } else { 0 };
            buf[at..at + OPT].copy_from_slice(&[0, 0, 41, p0, p1, 0, 0, dnssec_ok, 0, 0, 0]);
            at += OPT;
            additional += 1;
        }
        let [b0, b1] = bits.to_be_bytes();
        buf[2..HEADER].copy_from_slice(&[b0, b1, 0, 1, 0, counts[1], 0, counts[2], 0, additional]);
        at
    }

    #[inline]
    fn head(&mut self, section: Section, owner: Place, rtype: Rtype, ttl: u32, length: u16) -> Option<()> {
        let [t0, t1] = rtype.0.to_be_bytes();
        let [l0, l1, l2, l3] = ttl.to_be_bytes();
        let [d0, d1] = length.to_be_bytes();
        let [o0, o1] = (POINTER | owner.0).to_be_bytes();
        if owner.0 == Place::ROOT.0 {
            self.array([0, t0, t1, 0, CLASS_IN as u8, l0, l1, l2, l3, d0, d1])?;
        } else {
            self.array([o0, o1, t0, t1, 0, CLASS_IN as u8, l0, l1, l2, l3, d0, d1])?;
        }
        let count = &mut self.counts[section as usize];
        *count = count.checked_add(1).filter(|count| *count < u8::MAX)?;
        Some(())
    }

    /// Writes a name of RDATA, as a pointer from the first suffix on that the question or an earlier such name has too.
    fn name(&mut self, name: &'r NameRef) -> Option<Place> {
        let wire = name.as_wire();
        let here = self.at as u16;
        let mut literal = 0;
        while wire[literal] != 0 {
            if let Some(pointer) = self.find(name.suffix(literal as u8)) {
                self.bytes(&wire[..literal])?;
                self.array((POINTER | pointer).to_be_bytes())?;
                self.remember(name, here, literal);
                return Some(Place(if literal == 0 { pointer } else { here }));
            }
            literal += 1 + usize::from(wire[literal]);
        }
        self.bytes(wire)?;
        self.remember(name, here, literal);
        Some(if literal == 0 { Place::ROOT } else { Place(here) })
    }

    fn remember(&mut self, name: &'r NameRef, at: u16, literal: usize) {
        if let Some(slot) = self.known.get_mut(self.names).filter(|_| literal > 0) {
            *slot = Known { name, at, literal: literal as u8 };
            self.names += 1;
        }
    }

    /// Where a name that is not the root stands already.
    #[inline]
    fn find(&self, name: &NameRef) -> Option<u16> {
        let asked = self.query.name;
        if let Some(skip) = asked.as_wire().len().checked_sub(name.as_wire().len())
            && self.query.starts().contains(&(skip as u8))
            && asked.suffix(skip as u8) == name
        {
            return Some((HEADER + skip) as u16);
        }
        self.known[..self.names].iter().find_map(|known| known.find(name))
    }

    #[inline]
    fn array<const N: usize>(&mut self, bytes: [u8; N]) -> Option<()> {
        if self.at + N > self.limit {
            return None;
        }
        *self.buf[self.at..].first_chunk_mut()? = bytes;
        self.at += N;
        Some(())
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at + bytes.len();
        if end > self.limit {
            return None;
        }
        self.buf[self.at..end].copy_from_slice(bytes);
        self.at = end;
        Some(())
    }
}

impl Known<'_> {
    /// Where `name` stands in this one, if it begins at one of the labels that were written out.
    fn find(&self, name: &NameRef) -> Option<u16> {
        let wire = self.name.as_wire();
        let skip = wire.len().checked_sub(name.as_wire().len())?;
        if skip >= usize::from(self.literal) {
            return None;
        }
        (self.name.suffix(skip as u8) == name && self.name.has_label_at(skip)).then(|| self.at + skip as u16)
    }
}
