//! Reading a reply, strictly: a parser of the test's own, which takes nothing that RFC 1035 and RFC 3597 do not allow.

use std::collections::BTreeSet;

/// QR, AA, TC and so on, as bits of the header's second word.
pub const QR: u16 = 0x8000;
pub const AA: u16 = 0x0400;
pub const TC: u16 = 0x0200;
pub const RD: u16 = 0x0100;
pub const AD: u16 = 0x0020;
pub const CD: u16 = 0x0010;

pub const CNAME: u16 = 5;
pub const SOA: u16 = 6;
pub const OPT: u16 = 41;
pub const RRSIG: u16 = 46;

/// What a server has said.
#[derive(Clone, Debug)]
pub struct Reply {
    pub length: usize,
    /// The header's second word without the response code.
    pub flags: u16,
    /// With the upper bits from OPT.
    pub rcode: u16,
    /// Name, type and class, byte by byte.
    pub question: Vec<u8>,
    /// Answer, authority, additional; without OPT.
    pub sections: [Vec<Record>; 3],
    /// Where in the message each of them ends.
    pub ends: [Vec<usize>; 3],
    pub opt: Option<Opt>,
}

/// A record in comparable form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Wire form, in lower case.
    pub owner: Vec<u8>,
    pub rtype: u16,
    pub class: u16,
    pub ttl: u32,
    /// Uncompressed, names in lower case.
    pub data: Vec<u8>,
}

/// The OPT record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opt {
    pub version: u8,
    pub flags: u16,
}

/// Parts of RDATA, as far as names matter; what follows the last part is taken as it is.
enum Part {
    Bytes(usize),
    /// A character string.
    Text,
    /// A name that may be compressed (RFC 3597 4: the types of RFC 1035).
    Packed,
    /// A name that must not.
    Whole,
}

impl Reply {
    /// Reads a message; an error says what is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Reply, String> {
        let mut at = 0;
        let header: Vec<u16> = (0..6).map(|_| short(bytes, &mut at)).collect::<Result<_, _>>()?;
        let mut reply = Reply {
            length: bytes.len(),
            flags: header[1] & !0xf,
            rcode: header[1] & 0xf,
            question: Vec::new(),
            sections: Default::default(),
            ends: Default::default(),
            opt: None,
        };
        if header[2] > 1 {
            return Err(format!("{} questions", header[2]));
        }
        if header[2] == 1 {
            let start = at;
            name(bytes, &mut at, false)?;
            at += 4;
            reply.question = bytes.get(start..at).ok_or("the question is cut off")?.to_vec();
        }
        for section in 0..3 {
            for _ in 0..header[3 + section] {
                let record = record(bytes, &mut at)?;
                if record.rtype != OPT {
                    reply.sections[section].push(record);
                    reply.ends[section].push(at);
                    continue;
                }
                if section != 2 || reply.opt.is_some() || record.owner != [0] {
                    return Err("an OPT record out of place".to_owned());
                }
                reply.rcode |= (record.ttl >> 24 << 4) as u16;
                reply.opt = Some(Opt { version: (record.ttl >> 16) as u8, flags: record.ttl as u16 });
            }
        }
        if at != bytes.len() {
            return Err(format!("{} bytes behind the end", bytes.len() - at));
        }
        Ok(reply)
    }

    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Whether there is nothing in any section.
    pub fn is_bare(&self) -> bool {
        self.sections.iter().all(Vec::is_empty)
    }

    /// A section's records in order.
    pub fn sorted(&self, section: usize) -> Vec<&Record> {
        let mut records: Vec<&Record> = self.sections[section].iter().collect();
        records.sort();
        records
    }

    /// What a well-made reply keeps to and the parser does not see: RRsets in one piece, each record once, signatures
    /// in the section of what they sign, right behind it or one of its signatures (`signatures` says whether this is to be checked).
    pub fn check_order(&self, signatures: bool) -> Result<(), String> {
        for records in &self.sections {
            let mut seen = BTreeSet::new();
            let mut sets = BTreeSet::new();
            let mut last = None;
            for (index, record) in records.iter().enumerate() {
                if !seen.insert(record) {
                    return Err(format!("twice: {}", record.text()));
                }
                let key = (&record.owner, record.rtype, covered(record));
                if last != Some(key) && !sets.insert(key) {
                    return Err(format!("an RRset in two pieces: {}", record.text()));
                }
                last = Some(key);
                let signed = |other: &Record| {
                    other.owner == record.owner
                        && (Some(other.rtype) == covered(record) || other.rtype == RRSIG)
                };
                if signatures && record.rtype == RRSIG && (index == 0 || !signed(&records[index - 1])) {
                    return Err(format!("a signature apart from its RRset: {}", record.text()));
                }
            }
        }
        Ok(())
    }
}

impl Record {
    /// Whether the two are of one RRset.
    pub fn is_beside(&self, other: &Record) -> bool {
        self.owner == other.owner && self.rtype == other.rtype && covered(self) == covered(other)
    }

    pub fn text(&self) -> String {
        let owner = super::name::Name::from_wire(&self.owner).text();
        let ascii: String =
            self.data.iter().map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '.' }).collect();
        let hex: String = self.data.iter().take(24).map(|byte| format!("{byte:02x}")).collect();
        format!("{owner} {} {} {hex} {}", self.ttl, type_name(self.rtype), &ascii[..ascii.len().min(80)])
    }
}

/// The type that a signature is for.
pub fn covered(record: &Record) -> Option<u16> {
    let bytes = record.data.first_chunk::<2>().filter(|_| record.rtype == RRSIG)?;
    Some(u16::from_be_bytes(*bytes))
}

fn record(bytes: &[u8], at: &mut usize) -> Result<Record, String> {
    let owner = name(bytes, at, true)?.to_ascii_lowercase();
    let (rtype, class) = (short(bytes, at)?, short(bytes, at)?);
    let ttl = u32::from(short(bytes, at)?) << 16 | u32::from(short(bytes, at)?);
    let length = usize::from(short(bytes, at)?);
    let end = *at + length;
    if end > bytes.len() {
        return Err(format!("data of a {} behind the end", type_name(rtype)));
    }
    let mut data = Vec::new();
    for part in parts(rtype) {
        if *at > end || *at == end && length == 0 {
            break;
        }
        match part {
            Part::Bytes(count) => take(bytes, at, end, *count, &mut data)?,
            Part::Text => {
                let count = 1 + usize::from(bytes[*at]);
                take(bytes, at, end, count, &mut data)?;
            }
            Part::Packed => data.extend(name(bytes, at, true)?.to_ascii_lowercase()),
            Part::Whole => data.extend(name(bytes, at, false)?.to_ascii_lowercase()),
        }
    }
    if *at > end {
        return Err(format!("data of a {} longer than its length", type_name(rtype)));
    }
    data.extend_from_slice(&bytes[*at..end]);
    *at = end;
    Ok(Record { owner, rtype, class, ttl, data })
}

fn take(bytes: &[u8], at: &mut usize, end: usize, count: usize, data: &mut Vec<u8>) -> Result<(), String> {
    if *at + count > end {
        return Err("data shorter than its type needs".to_owned());
    }
    data.extend_from_slice(&bytes[*at..*at + count]);
    *at += count;
    Ok(())
}

/// A name, uncompressed. Pointers, where allowed, lead strictly backwards, to the start of a label.
fn name(bytes: &[u8], at: &mut usize, packed: bool) -> Result<Vec<u8>, String> {
    let mut wire = Vec::new();
    let mut cursor = *at;
    let mut behind = None;
    loop {
        let length = usize::from(*bytes.get(cursor).ok_or("a name is cut off")?);
        match length {
            0..=63 => {
                let label = bytes.get(cursor..cursor + 1 + length).ok_or("a label is cut off")?;
                wire.extend_from_slice(label);
                cursor += 1 + length;
                if wire.len() > 255 {
                    return Err("a name of more than 255 bytes".to_owned());
                }
                if length == 0 {
                    break;
                }
            }
            192.. if packed => {
                let low = *bytes.get(cursor + 1).ok_or("a pointer is cut off")?;
                let to = (length & 0x3f) << 8 | usize::from(low);
                if to >= cursor || to >= *at || to < 12 {
                    return Err(format!("a pointer at {cursor} to {to}"));
                }
                behind = behind.or(Some(cursor + 2));
                cursor = to;
            }
            192.. => return Err(format!("a compressed name at {cursor}, where none may be (RFC 3597 4)")),
            _ => return Err(format!("a label of type {length:#x}")),
        }
    }
    *at = behind.unwrap_or(cursor);
    Ok(wire)
}

fn short(bytes: &[u8], at: &mut usize) -> Result<u16, String> {
    let pair = bytes.get(*at..*at + 2).ok_or("cut off")?;
    *at += 2;
    Ok(u16::from_be_bytes([pair[0], pair[1]]))
}

fn parts(rtype: u16) -> &'static [Part] {
    use Part::{Bytes, Packed, Text, Whole};
    match rtype {
        // NS MD MF CNAME MB MG MR PTR
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 => &[Packed],
        // SOA MINFO
        6 | 14 => &[Packed, Packed],
        // MX
        15 => &[Bytes(2), Packed],
        // RP
        17 => &[Whole, Whole],
        // AFSDB RT KX SVCB HTTPS
        18 | 21 | 36 | 64 | 65 => &[Bytes(2), Whole],
        // PX
        26 => &[Bytes(2), Whole, Whole],
        // SRV
        33 => &[Bytes(6), Whole],
        // NAPTR
        35 => &[Bytes(4), Text, Text, Text, Whole],
        // DNAME NSEC
        39 | 47 => &[Whole],
        // RRSIG
        46 => &[Bytes(18), Whole],
        _ => &[],
    }
}

/// Types the test deals with, by name.
const TYPES: &[(&str, u16)] = &[
    ("A", 1),
    ("NS", 2),
    ("CNAME", CNAME),
    ("SOA", SOA),
    ("MB", 7),
    ("PTR", 12),
    ("HINFO", 13),
    ("MINFO", 14),
    ("MX", 15),
    ("TXT", 16),
    ("RP", 17),
    ("AFSDB", 18),
    ("RT", 21),
    ("PX", 26),
    ("AAAA", 28),
    ("LOC", 29),
    ("SRV", 33),
    ("NAPTR", 35),
    ("KX", 36),
    ("DNAME", 39),
    ("DS", 43),
    ("SSHFP", 44),
    ("RRSIG", RRSIG),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("NSEC3", 50),
    ("NSEC3PARAM", 51),
    ("TLSA", 52),
    ("CDS", 59),
    ("CDNSKEY", 60),
    ("OPENPGPKEY", 61),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("EUI48", 108),
    ("ANY", 255),
    ("URI", 256),
    ("CAA", 257),
];

/// The number of a type, also of `TYPE65280`.
pub fn type_number(name: &str) -> u16 {
    let listed = TYPES.iter().find(|(text, _)| *text == name).map(|(_, number)| *number);
    listed.unwrap_or_else(|| name.strip_prefix("TYPE").unwrap().parse().unwrap())
}

/// The name of a type.
pub fn type_name(number: u16) -> String {
    let listed = TYPES.iter().find(|(_, other)| *other == number).map(|(name, _)| (*name).to_owned());
    listed.unwrap_or_else(|| format!("TYPE{number}"))
}
