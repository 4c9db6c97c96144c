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

    /// Passes over the records of the answer section up to the next one of this type, whatever their names and data are; returns how
    /// many.
    pub fn pass_to(&mut self, rtype: Rtype) -> Result<u64, MessageError> {
        let mut passed = 0;
        while self.left > 0 {
            let mut at = self.at;
            pass_name(self.bytes, &mut at)?;
            let raw = Raw::read(self.bytes, &mut at)?;
            if raw.rtype == rtype {
                break;
            }
            if raw.rtype == Rtype::OPT {
                return Err(MessageError::Opt);
            }
            self.at = at;
            self.left -= 1;
            passed += 1;
        }
        Ok(passed)
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

/// Moves `*at` behind the possibly compressed name there, whose end is all that is looked at.
fn pass_name(message: &[u8], at: &mut usize) -> Result<(), NameError> {
    loop {
        let length = usize::from(*message.get(*at).ok_or(NameError::Truncated)?);
        *at += match length {
            0 => 1,
            1..=MAX_LABEL => 1 + length,
            0xc0.. => 2,
            _ => return Err(NameError::BadPointer),
        };
        if !(1..=MAX_LABEL).contains(&length) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::flags;
    use super::*;
    use crate::wire::writer::{Section, Writer};

    /// A message of these types of records, all of one long owner and with a name in their data.
    fn message(types: &[Rtype]) -> Vec<u8> {
        let owner: Name = "a.long.name.example.".parse().unwrap();
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, 65_535, 1, flags::QR);
        for &rtype in types {
            let rdata = match rtype {
                Rtype::SOA => [owner.as_wire(), owner.as_wire(), &[0; 20]].concat(),
                _ => owner.as_wire().to_vec(),
            };
            let record = Record { owner: owner.clone(), rtype, ttl: 60, rdata: rdata.into() };
            writer.push(Section::Answer, &record).unwrap();
        }
        writer.finish();
        bytes
    }

    #[test]
    fn records_are_passed_over_up_to_the_one_that_is_looked_for() {
        let bytes = message(&[Rtype::NS, Rtype::PTR, Rtype::SOA, Rtype::NS, Rtype::SOA, Rtype::NS]);
        let mut answers = Answers::read(&bytes).unwrap();
        let mut passed = Vec::new();
        loop {
            passed.push(answers.pass_to(Rtype::SOA).unwrap());
            let Some(record) = answers.next().unwrap() else { break };
            assert_eq!((record.rtype, record.rdata.len()), (Rtype::SOA, 2 * 21 + 20));
        }
        assert_eq!((passed, answers.end()), (vec![2, 1, 1], bytes.len()));
    }

    #[test]
    fn what_is_passed_over_is_there() {
        let whole = message(&[Rtype::NS, Rtype::PTR]);
        for length in HEADER..whole.len() {
            let read = Answers::read(&whole[..length]).unwrap().pass_to(Rtype::SOA);
            assert!(read.is_err(), "{length} of {} bytes", whole.len());
        }
        // A label of neither kind (RFC 1035 4.1.4).
        let mut strange = whole;
        strange[HEADER] = 0x80;
        let read = Answers::read(&strange).unwrap().pass_to(Rtype::SOA);
        assert_eq!(read, Err(MessageError::Name(NameError::BadPointer)));
    }
}
