//! Long answers, as of transfers, record by record.

use super::super::rdata;
use super::*;

/// A message of at most one question whose records are read one by one, so that a long answer costs no allocation for each.
#[derive(Debug)]
pub struct Answers<'m> {
    /// The header.
    pub header: Header,
    /// The question; absent in the later messages of a transfer (RFC 5936 2.2).
    pub question: Option<Question>,
    bytes: &'m [u8],
    at: usize,
    /// Records of the answer section that are still to come.
    left: u16,
    owner: [u8; MAX_NAME],
    rdata: Vec<u8>,
}

impl<'m> Answers<'m> {
    /// Reads header and question.
    pub fn read(bytes: &'m [u8]) -> Result<Answers<'m>, MessageError> {
        let header = Header::read(bytes).ok_or(MessageError::NoHeader)?;
        let mut at = HEADER;
        let question = match header.counts[0] {
            0 => None,
            1 => {
                let name = Name::read_compressed(bytes, &mut at)?;
                let &[t0, t1, c0, c1] = bytes.get(at..at + 4).ok_or(MessageError::Short)? else {
                    return Err(MessageError::Short);
                };
                at += 4;
                Some(Question {
                    name,
                    rtype: Rtype(u16::from_be_bytes([t0, t1])),
                    class: u16::from_be_bytes([c0, c1]),
                })
            }
            _ => return Err(MessageError::Questions),
        };
        let (owner, rdata) = ([0; MAX_NAME], Vec::new());
        Ok(Answers { header, question, bytes, at, left: header.counts[1], owner, rdata })
    }

    /// The next record of the answer section, its data checked.
    #[allow(clippy::should_implement_trait, reason = "what it returns lives in this reader")]
    pub fn next(&mut self) -> Result<Option<RecordRef<'_>>, MessageError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let (length, raw) = self.head()?;
        if raw.rtype == Rtype::OPT {
            return Err(MessageError::Opt);
        }
        self.record(length, &raw).map(Some)
    }

    /// Where the records end that have been read.
    pub fn end(&self) -> usize {
        self.at
    }

    /// Reads what is left, with the number of its section; returns the OPT record.
    pub fn finish(
        mut self,
        mut each: impl FnMut(usize, RecordRef<'_>),
    ) -> Result<Option<OwnedOpt>, MessageError> {
        while self.next()?.is_some() {}
        let mut found = None;
        for section in 2..4 {
            for _ in 0..self.header.counts[section] {
                let (length, raw) = self.head()?;
                if raw.rtype != Rtype::OPT {
                    each(section, self.record(length, &raw)?);
                    continue;
                }
                let opt = Opt::new(raw.class, raw.ttl, raw.rdata(self.bytes)).ok_or(MessageError::Opt)?;
                let owned = OwnedOpt {
                    payload: opt.payload,
                    extended_rcode: opt.extended_rcode,
                    dnssec_ok: opt.dnssec_ok,
                    options: opt.options.to_vec(),
                };
                if section != 3 || found.replace(owned).is_some() {
                    return Err(MessageError::Opt);
                }
            }
        }
        Ok(found)
    }

    /// Reads a record's owner, of this length, and its fixed parts.
    fn head(&mut self) -> Result<(usize, Raw), MessageError> {
        let length = decompress(self.bytes, &mut self.at, &mut self.owner)?;
        Ok((length, Raw::read(self.bytes, &mut self.at)?))
    }

    fn record(&mut self, owner: usize, raw: &Raw) -> Result<RecordRef<'_>, MessageError> {
        self.rdata.clear();
        if raw.class == CLASS_IN {
            rdata::read(self.bytes, raw.start, raw.length, raw.rtype, &mut self.rdata)?;
        }
        let owner = NameRef::read_trusted(&self.owner[..owner]);
        Ok(RecordRef { owner, rtype: raw.rtype, class: raw.class, ttl: raw.ttl, rdata: &self.rdata })
    }
}
