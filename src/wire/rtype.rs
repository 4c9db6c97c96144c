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
    AAAA = 28 "AAAA", LOC = 29 "LOC", SRV = 33 "SRV", NAPTR = 35 "NAPTR", KX = 36 "KX", CERT = 37 "CERT",
    DNAME = 39 "DNAME", OPT = 41 "OPT", APL = 42 "APL", DS = 43 "DS", SSHFP = 44 "SSHFP", IPSECKEY = 45 "IPSECKEY",
    RRSIG = 46 "RRSIG", NSEC = 47 "NSEC", DNSKEY = 48 "DNSKEY", DHCID = 49 "DHCID", NSEC3 = 50 "NSEC3",
    NSEC3PARAM = 51 "NSEC3PARAM", TLSA = 52 "TLSA", SMIMEA = 53 "SMIMEA", HIP = 55 "HIP", TALINK = 58 "TALINK",
    CDS = 59 "CDS", CDNSKEY = 60 "CDNSKEY", OPENPGPKEY = 61 "OPENPGPKEY", CSYNC = 62 "CSYNC", ZONEMD = 63 "ZONEMD",
    SVCB = 64 "SVCB", HTTPS = 65 "HTTPS", SPF = 99 "SPF", NID = 104 "NID", L32 = 105 "L32", L64 = 106 "L64",
    LP = 107 "LP", EUI48 = 108 "EUI48", EUI64 = 109 "EUI64", TKEY = 249 "TKEY", TSIG = 250 "TSIG", IXFR = 251 "IXFR",
    AXFR = 252 "AXFR", MAILB = 253 "MAILB", MAILA = 254 "MAILA", ANY = 255 "ANY", URI = 256 "URI", CAA = 257 "CAA",
    AVC = 258 "AVC", DLV = 32769 "DLV",
}

impl Rtype {
    /// Types that stand for a question or for the transaction itself and so can never be zone data: OPT, and 128 to 255
    /// (RFC 6895 3.1).
    pub fn is_meta(self) -> bool {
        self == Rtype::OPT || (128..=255).contains(&self.0)
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

impl FromStr for Rtype {
    type Err = NotAType;

    /// Reads a mnemonic or `TYPE123` (RFC 3597 section 5), in any case.
    fn from_str(text: &str) -> Result<Rtype, NotAType> {
        if let Some((number, _)) = NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)) {
            return Ok(Rtype(*number));
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
        assert_eq!("type65280".parse(), Ok(Rtype(65280)));
        assert_eq!("TYPE65536".parse::<Rtype>(), Err(NotAType));
        assert_eq!("TYPE".parse::<Rtype>(), Err(NotAType));
        assert_eq!("BOGUS".parse::<Rtype>(), Err(NotAType));
    }
}
