//! Record types, classes and response codes: numbers with their IANA names.

use std::fmt;
use std::str::FromStr;

/// A record type (RFC 1035 3.2.2 and the IANA registry); any number is valid (RFC 3597).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rtype(pub u16);

macro_rules! rtypes {
    ($($constant:ident = $number:literal $text:literal,)*) => {
        #[allow(missing_docs)]
        impl Rtype {
            $(pub const $constant: Rtype = Rtype($number);)*
        }

        const NAMES: &[(u16, &str)] = &[$(($number, $text),)*];
    };
}

rtypes! {
    A = 1 "A", NS = 2 "NS", MD = 3 "MD", MF = 4 "MF", CNAME = 5 "CNAME", SOA = 6 "SOA", MB = 7 "MB", MG = 8 "MG",
    MR = 9 "MR", NULL = 10 "NULL", WKS = 11 "WKS", PTR = 12 "PTR", HINFO = 13 "HINFO", MINFO = 14 "MINFO",
    MX = 15 "MX", TXT = 16 "TXT", RP = 17 "RP", AFSDB = 18 "AFSDB", X25 = 19 "X25", ISDN = 20 "ISDN", RT = 21 "RT",
    NSAP = 22 "NSAP", NSAP_PTR = 23 "NSAP-PTR", SIG = 24 "SIG", KEY = 25 "KEY", PX = 26 "PX", GPOS = 27 "GPOS",
    AAAA = 28 "AAAA", LOC = 29 "LOC", NXT = 30 "NXT", EID = 31 "EID", NIMLOC = 32 "NIMLOC", SRV = 33 "SRV",
    ATMA = 34 "ATMA", NAPTR = 35 "NAPTR", KX = 36 "KX", CERT = 37 "CERT", A6 = 38 "A6", DNAME = 39 "DNAME",
    SINK = 40 "SINK", OPT = 41 "OPT", APL = 42 "APL", DS = 43 "DS", SSHFP = 44 "SSHFP", IPSECKEY = 45 "IPSECKEY",
    RRSIG = 46 "RRSIG", NSEC = 47 "NSEC", DNSKEY = 48 "DNSKEY", DHCID = 49 "DHCID", NSEC3 = 50 "NSEC3",
    NSEC3PARAM = 51 "NSEC3PARAM", TLSA = 52 "TLSA", SMIMEA = 53 "SMIMEA", HIP = 55 "HIP", NINFO = 56 "NINFO",
    RKEY = 57 "RKEY", TALINK = 58 "TALINK", CDS = 59 "CDS", CDNSKEY = 60 "CDNSKEY", OPENPGPKEY = 61 "OPENPGPKEY",
    CSYNC = 62 "CSYNC", ZONEMD = 63 "ZONEMD", SVCB = 64 "SVCB", HTTPS = 65 "HTTPS", DSYNC = 66 "DSYNC",
    HHIT = 67 "HHIT", BRID = 68 "BRID", SPF = 99 "SPF", UINFO = 100 "UINFO", UID = 101 "UID", GID = 102 "GID",
    UNSPEC = 103 "UNSPEC", NID = 104 "NID", L32 = 105 "L32", L64 = 106 "L64", LP = 107 "LP", EUI48 = 108 "EUI48",
    EUI64 = 109 "EUI64", NXNAME = 128 "NXNAME", TKEY = 249 "TKEY", TSIG = 250 "TSIG", IXFR = 251 "IXFR",
    AXFR = 252 "AXFR", MAILB = 253 "MAILB", MAILA = 254 "MAILA", ANY = 255 "ANY", URI = 256 "URI", CAA = 257 "CAA",
    AVC = 258 "AVC", DOA = 259 "DOA", AMTRELAY = 260 "AMTRELAY", RESINFO = 261 "RESINFO", WALLET = 262 "WALLET",
    CLA = 263 "CLA", IPN = 264 "IPN", TA = 32768 "TA", DLV = 32769 "DLV",
}

impl Rtype {
    /// Types that stand for a question or for the transaction itself and so can never be zone data: OPT, and 128 to 255
    /// (RFC 6895 3.1).
    #[inline]
    pub fn is_meta(self) -> bool {
        self == Rtype::OPT || (128..=255).contains(&self.0)
    }

    /// Every type with a name, ascending: all of the IANA registry, `*` as ANY.
    pub fn named() -> impl Iterator<Item = Rtype> {
        NAMES.iter().map(|&(number, _)| Rtype(number))
    }
}

impl fmt::Display for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.binary_search_by_key(&self.0, |&(number, _)| number) {
            Ok(at) => f.write_str(NAMES[at].1),
            Err(_) => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text names no record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a record type")]
pub struct NotAType;

/// Names begin with a letter; those that begin with each of them, by their places in [`NAMES`].
const LETTERS: usize = 26;
const BY_LETTER: [u8; NAMES.len()] = by_letter().0;
/// Where in [`BY_LETTER`] the names of each letter begin.
const BEGINS: [usize; LETTERS + 1] = by_letter().1;

/// Puts the names in order by their first letter: a search then compares with those few that begin like the text.
const fn by_letter() -> ([u8; NAMES.len()], [usize; LETTERS + 1]) {
    let mut order = [0; NAMES.len()];
    let mut begins = [0; LETTERS + 1];
    let (mut letter, mut filled) = (0, 0);
    while letter < LETTERS {
        begins[letter] = filled;
        let mut at = 0;
        while at < NAMES.len() {
            if NAMES[at].1.as_bytes()[0] as usize == b'A' as usize + letter {
                order[filled] = at as u8;
                filled += 1;
            }
            at += 1;
        }
        letter += 1;
    }
    begins[LETTERS] = filled;
    (order, begins)
}

/// The number of the type with this name, in any case.
fn named(text: &[u8]) -> Option<u16> {
    let letter = usize::from(text.first()?.to_ascii_uppercase().checked_sub(b'A')?);
    let candidates = BEGINS.get(letter).zip(BEGINS.get(letter + 1)).map(|(from, to)| *from..*to)?;
    let mut candidates = BY_LETTER[candidates].iter().map(|&at| NAMES[usize::from(at)]);
    candidates.find(|(_, name)| name.as_bytes().eq_ignore_ascii_case(text)).map(|(number, _)| number)
}

impl FromStr for Rtype {
    type Err = NotAType;

    /// Reads a mnemonic or `TYPE123` (RFC 3597 section 5), in any case.
    fn from_str(text: &str) -> Result<Rtype, NotAType> {
        if let Some(number) = named(text.as_bytes()) {
            return Ok(Rtype(number));
        }
        match text.get(..4) {
            Some(prefix)
                if prefix.eq_ignore_ascii_case("TYPE")
                    && text.as_bytes()[4..].iter().all(u8::is_ascii_digit) =>
            {
                text[4..].parse().map(Rtype).map_err(|_| NotAType)
            }
            _ => Err(NotAType),
        }
    }
}

/// Class IN, the only one that zones are served in.
pub const CLASS_IN: u16 = 1;
/// Class CH, for the server's own names (RFC 4892).
pub const CLASS_CH: u16 = 3;
/// QCLASS ANY.
pub const CLASS_ANY: u16 = 255;

/// A response code (RFC 1035 4.1.1, RFC 6895 2.3); values above 15 need EDNS.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rcode(pub u16);

#[allow(missing_docs)]
impl Rcode {
    pub const NOERROR: Rcode = Rcode(0);
    pub const FORMERR: Rcode = Rcode(1);
    pub const SERVFAIL: Rcode = Rcode(2);
    pub const NXDOMAIN: Rcode = Rcode(3);
    pub const NOTIMP: Rcode = Rcode(4);
    pub const REFUSED: Rcode = Rcode(5);
    pub const YXDOMAIN: Rcode = Rcode(6);
    pub const NOTAUTH: Rcode = Rcode(9);
    pub const BADVERS: Rcode = Rcode(16);
    pub const BADCOOKIE: Rcode = Rcode(23);
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 11] = [
            "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
            "NXRRSET", "NOTAUTH", "NOTZONE",
        ];
        match (NAMES.get(usize::from(self.0)), *self) {
            (Some(name), _) => f.write_str(name),
            (None, Rcode::BADVERS) => f.write_str("BADVERS"),
            (None, Rcode::BADCOOKIE) => f.write_str("BADCOOKIE"),
            (None, _) => write!(f, "RCODE{}", self.0),
        }
    }
}

impl fmt::Debug for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_sorted_and_read_back() {
        assert!(NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (number, name) in NAMES {
            assert_eq!(name.parse(), Ok(Rtype(*number)));
            assert_eq!(Rtype(*number).to_string(), *name);
        }
        assert_eq!("nsec3Param".parse(), Ok(Rtype::NSEC3PARAM));
        assert_eq!("type65280".parse(), Ok(Rtype(65280)));
        assert_eq!("TYPE65536".parse::<Rtype>(), Err(NotAType));
        assert_eq!("TYPE".parse::<Rtype>(), Err(NotAType));
        for none in ["BOGUS", "", "@", "[", "IN", "\u{e9}"] {
            assert_eq!(none.parse::<Rtype>(), Err(NotAType), "{none}");
        }
    }
}
