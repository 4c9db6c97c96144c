//! The plain query and its reply: one question of class IN with at most an OPT record behind it, read in place, and a reply that
//! begins with the question's own bytes. Nothing is allocated; whatever is not plain belongs to [`super::message::Request`] and
//! [`super::writer::Writer`].

use super::compression::{Known, POINTER, begin_alike};
use super::edns::{Opt, UDP_PAYLOAD};
use super::message::{HEADER, flags};
use super::name::{MAX_LABEL, MAX_NAME, NameRef};
use super::rdata::{self, Field, Part};
use super::rendered::{Rendered, Target};
use super::rtype::{CLASS_IN, Rtype};
use super::writer::{Full, Section, Sections};

/// Labels of a question's name, the root counted.
const MAX_LABELS: usize = 16;
/// Names that later ones can point to; names behind these may repeat what could have been pointed to.
const MAX_KNOWN: usize = 20;
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
    /// The OPT record.
    pub opt: Option<Opt<'q>>,
}

impl<'q> PlainQuery<'q> {
    /// Reads a query; `None` when it is not plain.
    #[inline]
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
        let opt = match head[11] {
            0 if rest.is_empty() => None,
            1 => Some(read_opt(rest)?),
            _ => return None,
        };
        let rtype = Rtype(u16::from_be_bytes([t0, t1]));
        Some(PlainQuery { bytes, name, starts, labels, rtype, opt })
    }

    /// Where the labels of QNAME begin, leftmost first.
    #[inline]
    pub fn starts(&self) -> &[u8] {
        &self.starts[..usize::from(self.labels)]
    }

    #[inline]
    fn has_label_at(&self, place: usize) -> bool {
        // Not `contains`, which is made for longer lists.
        self.starts().iter().any(|&start| usize::from(start) == place)
    }

    /// The flags of the header.
    #[inline]
    pub fn flags(&self) -> u16 {
        u16::from_be_bytes([self.bytes[2], self.bytes[3]])
    }

    /// How long the reply may be over UDP (RFC 6891 6.2.5).
    #[inline]
    pub fn limit(&self) -> usize {
        usize::from(self.opt.map_or(PLAIN_UDP, |opt| opt.payload.min(UDP_PAYLOAD)))
    }

    /// Whether DNSSEC records are asked for (DO, RFC 3225).
    #[inline]
    pub fn dnssec_ok(&self) -> bool {
        self.opt.is_some_and(|opt| opt.dnssec_ok)
    }

    #[inline]
    fn question_end(&self) -> usize {
        HEADER + self.name.as_wire().len() + 4
    }
}

/// The OPT record that `bytes` are, of version 0 (RFC 6891 6.1.2).
#[inline]
fn read_opt(bytes: &[u8]) -> Option<Opt<'_>> {
    let (&[0, 0, 41, p0, p1, extended, 0, f0, f1, d0, d1], options) = bytes.split_first_chunk()? else {
        return None;
    };
    if usize::from(u16::from_be_bytes([d0, d1])) != options.len() {
        return None;
    }
    Opt::new(u16::from_be_bytes([p0, p1]), u32::from_be_bytes([extended, 0, f0, f1]), options)
}

/// The uncompressed name at the start of `bytes`, and how many labels it has; `None` for too many of them.
#[inline]
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

/// Where a name stands in the message that is being written; 0 is the root, which is written out.
#[derive(Clone, Copy)]
struct Place(u16);

/// Names that stand in a message, for others to point to. Used for one message after another.
pub struct Names<'r> {
    known: [Known<'r>; MAX_KNOWN],
    count: usize,
}

impl Default for Names<'_> {
    fn default() -> Self {
        Names { known: [Known { name: NameRef::ROOT, at: 0, literal: 0 }; MAX_KNOWN], count: 0 }
    }
}

impl<'r> Names<'r> {
    #[inline]
    fn add(&mut self, known: Known<'r>) {
        if let Some(slot) = self.known.get_mut(self.count) {
            *slot = known;
            self.count += 1;
        }
    }
}

/// A reply being written, of sections that are pointed into by the names they share with the question and with each other.
pub struct PlainReply<'r, 'b> {
    query: &'r PlainQuery<'r>,
    buf: &'b mut [u8],
    at: usize,
    /// How long the message may grow before its OPT record.
    limit: usize,
    counts: [u16; 4],
    names: &'b mut Names<'r>,
    /// The owner of the last RRset and where its name stands: its signatures come next.
    owner: Option<(&'r NameRef, Place)>,
}

/// A place in a [`PlainReply`].
#[derive(Clone, Copy)]
pub struct PlainMark {
    at: usize,
    counts: [u16; 4],
    names: usize,
}

impl<'r, 'b> PlainReply<'r, 'b> {
    /// Begins a reply with the question, of at most `limit` bytes; `None` when they, or `buf`, have no room for it and for an OPT
    /// record with `options` bytes of options.
    #[inline]
    pub fn new(
        query: &'r PlainQuery<'r>,
        limit: usize,
        options: usize,
        buf: &'b mut [u8],
        names: &'b mut Names<'r>,
    ) -> Option<PlainReply<'r, 'b>> {
        let at = query.question_end();
        let behind = if query.opt.is_some() { OPT + options } else { 0 };
        let limit = limit.min(buf.len()).checked_sub(behind).filter(|limit| *limit >= at)?;
        buf[..at].copy_from_slice(&query.bytes[..at]);
        names.count = 0;
        Some(PlainReply { query, buf, at, limit, counts: [1, 0, 0, 0], names, owner: None })
    }

    /// Bytes written so far.
    #[inline]
    pub fn length(&self) -> usize {
        self.at
    }

    /// Fills in the header, whose flags are `bits`, adds the OPT record where the query had one, with the options that `options`
    /// writes into the bytes it is given, and returns the length of the message.
    #[inline]
    pub fn finish(self, bits: u16, options: impl FnOnce(&mut [u8]) -> usize) -> usize {
        let PlainReply { query, buf, mut at, counts, .. } = self;
        let mut additional = counts[3];
        if let Some(opt) = query.opt {
            let [p0, p1] = UDP_PAYLOAD.to_be_bytes();
            let dnssec_ok = if opt.dnssec_ok { 0x80 } else { 0 };
            let (head, rest) = buf[at..].split_at_mut(OPT);
            let length = options(rest);
            let [d0, d1] = (length as u16).to_be_bytes();
            head.copy_from_slice(&[0, 0, 41, p0, p1, 0, 0, dnssec_ok, 0, d0, d1]);
            at += OPT + length;
            additional += 1;
        }
        let mut words = [0; HEADER - 2];
        let all = [bits, counts[0], counts[1], counts[2], additional];
        for (word, value) in words.as_chunks_mut::<2>().0.iter_mut().zip(all) {
            *word = value.to_be_bytes();
        }
        buf[2..HEADER].copy_from_slice(&words);
        at
    }

    /// Writes the records of an RRset; returns how many.
    #[inline]
    fn records(
        &mut self,
        owner: &'r NameRef,
        rtype: Rtype,
        ttl: u32,
        rdatas: impl Iterator<Item = &'r [u8]>,
    ) -> Result<u16, Full> {
        let has_names = rdata::has_compressible_names(rtype);
        let mut place = match self.owner {
            Some((known, place)) if std::ptr::eq(known, owner) => Some(place),
            _ => self.place(owner),
        };
        let mut count = 0;
        for rdata in rdatas {
            let length = u16::try_from(rdata.len()).map_err(|_| Full)?;
            let [t0, t1] = rtype.0.to_be_bytes();
            let [l0, l1, l2, l3] = ttl.to_be_bytes();
            let [d0, d1] = length.to_be_bytes();
            let fixed = [t0, t1, 0, CLASS_IN as u8, l0, l1, l2, l3, d0, d1];
            match place {
                Some(Place(0)) => {
                    self.array([0])?;
                    self.array(fixed)?;
                }
                Some(Place(at)) => {
                    let [o0, o1] = (POINTER | at).to_be_bytes();
                    self.array([o0, o1, t0, t1, 0, CLASS_IN as u8, l0, l1, l2, l3, d0, d1])?;
                }
                None => {
                    place = Some(self.new_name(owner)?);
                    self.array(fixed)?;
                }
            }
            // Addresses are most of what is asked for, and copied fastest by their known lengths.
            match rdata.len() {
                4 => self.array::<4>(rdata.try_into().map_err(|_| Full)?)?,
                16 if !has_names => self.array::<16>(rdata.try_into().map_err(|_| Full)?)?,
                _ if has_names => self.rdata_of_names(rtype, rdata)?,
                _ => self.bytes(rdata)?,
            }
            count += 1;
        }
        self.owner = place.map(|place| (owner, place));
        Ok(count)
    }

    /// Writes RDATA with names that may be pointed to and from, and its length before it.
    fn rdata_of_names(&mut self, rtype: Rtype, rdata: &'r [u8]) -> Result<(), Full> {
        let start = self.at;
        if matches!(rtype, Rtype::NS | Rtype::CNAME | Rtype::PTR)
            && let Ok(name) = NameRef::read(rdata)
            && name.as_wire().len() == rdata.len()
        {
            self.name(name)?;
            let length = (self.at - start) as u16;
            self.buf[start - 2..start].copy_from_slice(&length.to_be_bytes());
            return Ok(());
        }
        if rtype == Rtype::SOA
            && let Ok(primary) = NameRef::read(rdata)
            && let Ok(mailbox) = NameRef::read(&rdata[primary.as_wire().len()..])
            && let Ok(numbers) =
                <&[u8; 20]>::try_from(&rdata[primary.as_wire().len() + mailbox.as_wire().len()..])
        {
            self.name(primary)?;
            self.name(mailbox)?;
            self.array(*numbers)?;
            let length = (self.at - start) as u16;
            self.buf[start - 2..start].copy_from_slice(&length.to_be_bytes());
            return Ok(());
        }
        let mut written = Ok(());
        let walked = rdata::walk(rtype, rdata, |part| {
            if written.is_ok() {
                written = match part {
                    Part::Name(name, Field::CompressibleName) => self.name(name).map(|_| ()),
                    Part::Name(name, _) => self.bytes(name.as_wire()),
                    Part::Bytes(bytes) => self.bytes(bytes),
                };
            }
        });
        written?;
        if walked.is_err() {
            // Data that does not follow its type's layout is carried as it is (RFC 3597).
            self.at = start;
            return self.bytes(rdata);
        }
        let length = (self.at - start) as u16;
        self.buf[start - 2..start].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// Writes a name, as a pointer from the first suffix on that stands in the message already; returns where the whole name
    /// stands now.
    fn name(&mut self, name: &'r NameRef) -> Result<Place, Full> {
        if name.is_root() {
            self.array([0])?;
            return Ok(Place(0));
        }
        let Some(at) = self.find(name) else { return self.new_name(name) };
        self.array((POINTER | at).to_be_bytes())?;
        Ok(Place(at))
    }

    /// Writes a name other than the root that stands nowhere yet as a whole.
    fn new_name(&mut self, name: &'r NameRef) -> Result<Place, Full> {
        let wire = name.as_wire();
        let here = self.at as u16;
        let mut literal = 1 + usize::from(wire[0]);
        while wire[literal] != 0 {
            if let Some(at) = self.find(name.suffix(literal as u8)) {
                self.bytes(&wire[..literal])?;
                self.array((POINTER | at).to_be_bytes())?;
                self.names.add(Known { name, at: here, literal: literal as u8 });
                return Ok(Place(here));
            }
            literal += 1 + usize::from(wire[literal]);
        }
        self.bytes(wire)?;
        self.names.add(Known { name, at: here, literal: literal as u8 });
        Ok(Place(here))
    }

    /// Where an owner's name stands already.
    #[inline]
    fn place(&self, name: &NameRef) -> Option<Place> {
        match name {
            root if root.is_root() => Some(Place(0)),
            asked if std::ptr::eq(asked, self.query.name) => Some(Place(HEADER as u16)),
            other => self.find(other).map(Place),
        }
    }

    /// Where a name that is not the root stands already.
    #[inline]
    fn find(&self, name: &NameRef) -> Option<u16> {
        let asked = self.query.name;
        if let Some(skip) = asked.as_wire().len().checked_sub(name.as_wire().len())
            && begin_alike(asked.suffix(skip as u8), name)
            && self.query.has_label_at(skip)
            && asked.suffix(skip as u8) == name
        {
            return Some((HEADER + skip) as u16);
        }
        self.names.known[..self.names.count].iter().find_map(|known| known.find(name))
    }

    #[inline]
    fn array<const N: usize>(&mut self, bytes: [u8; N]) -> Result<(), Full> {
        if self.at + N > self.limit {
            return Err(Full);
        }
        *self.buf[self.at..].first_chunk_mut().ok_or(Full)? = bytes;
        self.at += N;
        Ok(())
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.at + bytes.len();
        if end > self.limit {
            return Err(Full);
        }
        self.buf[self.at..end].copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }
}

impl<'r> Sections<'r> for PlainReply<'r, '_> {
    type Mark = PlainMark;

    #[inline]
    fn mark(&self) -> PlainMark {
        PlainMark { at: self.at, counts: self.counts, names: self.names.count }
    }

    #[inline]
    fn rewind(&mut self, mark: PlainMark) {
        (self.at, self.counts, self.names.count) = (mark.at, mark.counts, mark.names);
        self.owner = None;
    }

    #[inline]
    fn rrset(
        &mut self,
        section: Section,
        owner: &'r NameRef,
        rtype: Rtype,
        ttl: u32,
        rdatas: impl Iterator<Item = &'r [u8]>,
    ) -> Result<(), Full> {
        let (at, names) = (self.at, self.names.count);
        match self.records(owner, rtype, ttl, rdatas) {
            // A record takes eleven bytes or more, so that no count of a message overflows.
            Ok(count) => self.counts[section as usize] += count,
            Err(Full) => {
                (self.at, self.names.count, self.owner) = (at, names, None);
                return Err(Full);
            }
        }
        Ok(())
    }

    #[inline]
    fn rendered(&mut self, section: Section, records: &'r Rendered) -> Option<Result<(), Full>> {
        let question = HEADER + records.place_in(self.query.name, self.query.starts())?;
        let start = self.at;
        if !records.is_apart_from(&self.names.known[..self.names.count]) {
            return None;
        }
        if self.bytes(&records.bytes).is_err() {
            return Some(Err(Full));
        }
        let written = &mut self.buf[start..self.at];
        for &(at, target) in &records.pointers {
            let place = match target {
                Target::Question(skip) => question as u16 + u16::from(skip),
                Target::Here(skip) => start as u16 + skip,
            };
            if let Some(bytes) = written[usize::from(at)..].first_chunk_mut() {
                *bytes = (POINTER | place).to_be_bytes();
            }
        }
        for known in records.names(start as u16) {
            self.names.add(known);
        }
        self.counts[section as usize] += records.count;
        Some(Ok(()))
    }
}
