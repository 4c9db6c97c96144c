//! How the RDATA of each type is laid out: one table, from which RDATA is checked, decompressed, folded, compared,
//! compressed (here and in [`super::writer`]), and read from and written as text (`text::rdata`).

use std::borrow::Cow;

use super::name::{self, MAX_NAME, NameRef};
use super::rtype::Rtype;

/// One field of RDATA, named after how it is written in a zone file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A domain name that may be compressed in messages (the types of RFC 1035; RFC 3597 section 4) and is folded to
    /// lower case in canonical form.
    CompressibleName,
    /// A domain name that is never compressed on sending (but may be on receipt, RFC 3597 section 4) and is folded.
    Name,
    /// A domain name that is neither compressed nor folded (RFC 6840 5.1 and types defined after RFC 4034).
    CasedName,
    /// An 8-bit number.
    U8,
    /// A 16-bit number.
    U16,
    /// A 32-bit number.
    U32,
    /// A 64-bit number, written as one or as its two halves with a dot between (IPN).
    U64,
    /// 32 bits of seconds, written as a number or with units (`1h30m`).
    Seconds,
    /// 32 bits of absolute time, written `YYYYMMDDHHmmSS` or as a number (RFC 4034 3.2).
    Time,
    /// A record type, written as its mnemonic.
    Type,
    /// A DNSSEC algorithm number, written as number or mnemonic.
    Algorithm,
    /// A certificate type (RFC 4398), written as number or mnemonic.
    CertType,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A character string: a length byte and up to 255 bytes.
    String,
    /// A character string, or nothing at the end of the RDATA.
    OptString,
    /// One or more character strings up to the end.
    Strings,
    /// Bytes up to the end, written as one quoted string (URI, CAA).
    LongString,
    /// Bytes up to the end in hexadecimal.
    Hex,
    /// Bytes up to the end in base 64.
    Base64,
    /// A length byte and bytes, in hexadecimal, `-` when empty (NSEC3 salt).
    Salt,
    /// A length byte and bytes, in base 32 with the extended hex alphabet (NSEC3 next hashed owner).
    Hash,
    /// Type bit maps (RFC 4034 4.1.2) up to the end.
    Bitmap,
    /// LOC (RFC 1876): 16 bytes.
    Loc,
    /// APL (RFC 3123) up to the end.
    Apl,
    /// `0x` and hexadecimal up to the end (NSAP, RFC 1706).
    Nsap,
    /// A 64-bit identifier written as four groups of hexadecimal (RFC 6742).
    Nid,
    /// This many bytes written as hexadecimal pairs with `-` between (RFC 7043).
    Eui(u8),
    /// Gateway type, algorithm, gateway and key of IPSECKEY (RFC 4025), from the gateway type on.
    Ipseckey,
    /// HIP (RFC 8005): lengths, algorithm, HIT, key, rendezvous servers.
    Hip,
    /// Service parameters (RFC 9460) up to the end.
    SvcParams,
    /// Protocol and bit map of WKS (RFC 1035 3.4.2), behind the address.
    Wks,
    /// The bit map of NXT (RFC 2535 5.2) up to the end: one bit for each of the types 1 to 127.
    NxtBitmap,
    /// An ATM address up to the end: a format byte, then E.164 digits or an end system address.
    Atma,
    /// Prefix length and address suffix of A6 (RFC 2874 3.1.1), behind which comes [`Field::EndName`].
    A6,
    /// A domain name that is neither compressed nor missing unless the RDATA ends before it, and is folded.
    EndName,
    /// A scheme of DSYNC (RFC 9859), written as number or mnemonic.
    Scheme,
    /// Discovery bit, relay type and relay of AMTRELAY (RFC 8777), from the bit on.
    Amtrelay,
    /// Bytes up to the end in base 64, where there may be none (SINK).
    OptBase64,
    /// Bytes up to the end in base 64, `-` when there are none (DOA).
    DashBase64,
    /// Unstructured bytes in the notation of RFC 3597.
    Unknown,
}

use Field::*;

/// The fields of a type's RDATA, in order.
pub fn fields(rtype: Rtype) -> &'static [Field] {
    match rtype {
        Rtype::A => &[Ipv4],
        Rtype::NS | Rtype::CNAME | Rtype::PTR | Rtype::MB | Rtype::MD | Rtype::MF | Rtype::MG | Rtype::MR => {
            &[CompressibleName]
        }
        Rtype::SOA => &[CompressibleName, CompressibleName, U32, Seconds, Seconds, Seconds, Seconds],
        Rtype::MX => &[U16, CompressibleName],
        Rtype::MINFO => &[CompressibleName, CompressibleName],
        Rtype::WKS => &[Ipv4, Wks],
        Rtype::HINFO => &[String, String],
        Rtype::TXT | Rtype::SPF | Rtype::AVC | Rtype::NINFO | Rtype::RESINFO | Rtype::WALLET | Rtype::CLA => {
            &[Strings]
        }
        Rtype::RP => &[Name, Name],
        Rtype::TALINK => &[CasedName, CasedName],
        Rtype::AFSDB | Rtype::RT | Rtype::KX => &[U16, Name],
        Rtype::X25 => &[String],
        Rtype::ISDN => &[String, OptString],
        Rtype::NSAP => &[Nsap],
        Rtype::NSAP_PTR | Rtype::DNAME => &[Name],
        Rtype::PX => &[U16, Name, Name],
        Rtype::GPOS => &[String, String, String],
        Rtype::AAAA => &[Ipv6],
        Rtype::LOC => &[Loc],
        Rtype::NXT => &[Name, NxtBitmap],
        Rtype::EID | Rtype::NIMLOC => &[Hex],
        Rtype::ATMA => &[Atma],
        Rtype::A6 => &[A6, EndName],
        Rtype::SINK => &[U8, U8, U8, OptBase64],
        Rtype::SRV => &[U16, U16, U16, Name],
        Rtype::NAPTR => &[U16, U16, String, String, String, Name],
        Rtype::CERT => &[CertType, U16, Algorithm, Base64],
        Rtype::APL => &[Apl],
        Rtype::DS | Rtype::CDS | Rtype::DLV | Rtype::TA => &[U16, Algorithm, U8, Hex],
        Rtype::SSHFP => &[U8, U8, Hex],
        Rtype::IPSECKEY => &[U8, Ipseckey],
        Rtype::RRSIG | Rtype::SIG => &[Type, Algorithm, U8, U32, Time, Time, U16, Name, Base64],
        Rtype::NSEC => &[CasedName, Bitmap],
        Rtype::DNSKEY | Rtype::CDNSKEY | Rtype::KEY | Rtype::RKEY => &[U16, U8, Algorithm, Base64],
        Rtype::DHCID | Rtype::OPENPGPKEY | Rtype::HHIT | Rtype::BRID => &[Base64],
        Rtype::NSEC3 => &[U8, U8, U16, Salt, Hash, Bitmap],
        Rtype::NSEC3PARAM => &[U8, U8, U16, Salt],
        Rtype::TLSA | Rtype::SMIMEA => &[U8, U8, U8, Hex],
        Rtype::HIP => &[Hip],
        Rtype::CSYNC => &[U32, U16, Bitmap],
        Rtype::ZONEMD => &[U32, U8, U8, Hex],
        Rtype::SVCB | Rtype::HTTPS => &[U16, CasedName, SvcParams],
        Rtype::NID | Rtype::L64 => &[U16, Nid],
        Rtype::L32 => &[U16, Ipv4],
        Rtype::LP => &[U16, CasedName],
        Rtype::EUI48 => &[Eui(6)],
        Rtype::EUI64 => &[Eui(8)],
        Rtype::URI => &[U16, U16, LongString],
        Rtype::CAA => &[U8, String, LongString],
        Rtype::DSYNC => &[Type, Scheme, U16, CasedName],
        Rtype::DOA => &[U32, U32, U8, String, DashBase64],
        Rtype::AMTRELAY => &[U8, Amtrelay],
        Rtype::IPN => &[U64],
        _ => &[Unknown],
    }
}

/// The RDATA does not have the layout of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RdataError {
    /// It ends inside a field.
    #[error("RDATA ends too early")]
    Short,
    /// Bytes are left over behind the last field.
    #[error("RDATA is too long")]
    Long,
    /// A field's content breaks its rules.
    #[error("malformed field in RDATA")]
    Malformed,
    /// A name in it is broken.
    #[error("name in RDATA: {0}")]
    Name(#[from] name::NameError),
}

/// A stretch of RDATA as [`walk`] reports it.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// A name, with how it is to be treated.
    Name(&'a NameRef, Field),
    /// Anything else, as it stands.
    Bytes(&'a [u8]),
}

/// Reads the RDATA of a received record, `message[at..at + length]`, and appends it to `out` with names decompressed.
pub fn read(
    message: &[u8],
    at: usize,
    length: usize,
    rtype: Rtype,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    let end = at.checked_add(length).filter(|&end| end <= message.len()).ok_or(RdataError::Short)?;
    let mut at = at;
    for &field in fields(rtype) {
        match field {
            EndName if at == end => {}
            CompressibleName | Name | CasedName | EndName => {
                let mut wire = [0; MAX_NAME];
                // Only what lies before `end` may be read in line; pointers lead back and so stay inside too.
                let length = name::decompress(&message[..end], &mut at, &mut wire)?;
                out.extend_from_slice(&wire[..length]);
            }
            other => {
                let taken = measure(other, &message[at..end])?;
                out.extend_from_slice(&message[at..at + taken]);
                at += taken;
            }
        }
    }
    if at == end { Ok(()) } else { Err(RdataError::Long) }
}

/// Walks over uncompressed RDATA, reporting its names and what lies between them.
pub fn walk<'a>(rtype: Rtype, rdata: &'a [u8], mut each: impl FnMut(Part<'a>)) -> Result<(), RdataError> {
    let mut start = 0;
    let mut at = 0;
    for &field in fields(rtype) {
        match field {
            EndName if at == rdata.len() => {}
            CompressibleName | Name | CasedName | EndName => {
                if start < at {
                    each(Part::Bytes(&rdata[start..at]));
                }
                let name = NameRef::read(&rdata[at..])?;
                at += name.as_wire().len();
                start = at;
                each(Part::Name(name, field));
            }
            other => at += measure(other, &rdata[at..])?,
        }
    }
    if start < at {
        each(Part::Bytes(&rdata[start..at]));
    }
    if at == rdata.len() { Ok(()) } else { Err(RdataError::Long) }
}

/// Whether uncompressed RDATA has the layout of its type.
pub fn check(rtype: Rtype, rdata: &[u8]) -> Result<(), RdataError> {
    walk(rtype, rdata, |_| {})
}

/// Canonical RDATA (RFC 4034 6.2, with RFC 6840 5.1): names in lower case where the type says so.
pub fn canonical(rtype: Rtype, rdata: &[u8]) -> Cow<'_, [u8]> {
    if !has_folded_names(rtype) {
        return Cow::Borrowed(rdata);
    }
    let mut folded = Vec::with_capacity(rdata.len());
    let walked = walk(rtype, rdata, |part| match part {
        Part::Name(name, CompressibleName | Name | EndName) => {
            folded.extend(name.as_wire().iter().map(u8::to_ascii_lowercase))
        }
        Part::Name(name, _) => folded.extend_from_slice(name.as_wire()),
        Part::Bytes(bytes) => folded.extend_from_slice(bytes),
    });
    if walked.is_ok() { Cow::Owned(folded) } else { Cow::Borrowed(rdata) }
}

/// Whether two RDATA of one type are the same record data: equal in canonical form.
pub fn same(rtype: Rtype, a: &[u8], b: &[u8]) -> bool {
    a == b
        || (a.len() == b.len()
            && has_folded_names(rtype)
            && a.eq_ignore_ascii_case(b)
            && canonical(rtype, a) == canonical(rtype, b))
}

/// Whether RDATA of this type holds names that are compressed on sending.
#[inline]
pub fn has_compressible_names(rtype: Rtype) -> bool {
    // Only types of RFC 1035 have them (RFC 3597 4).
    rtype <= Rtype::MX && rtype != Rtype::A && fields(rtype).contains(&CompressibleName)
}

/// Whether RDATA of this type holds names.
pub fn has_names(rtype: Rtype) -> bool {
    fields(rtype).iter().any(|field| matches!(field, CompressibleName | Name | CasedName))
}

fn has_folded_names(rtype: Rtype) -> bool {
    fields(rtype).iter().any(|field| matches!(field, CompressibleName | Name | EndName))
}

/// How many bytes at the start of `rest` (all that is left of the RDATA) the field takes, once its inner rules hold.
fn measure(field: Field, rest: &[u8]) -> Result<usize, RdataError> {
    let prefixed = |least: usize| match rest.first() {
        Some(&length) if usize::from(length) < least => Err(RdataError::Malformed),
        Some(&length) => Ok(1 + usize::from(length)),
        None => Err(RdataError::Short),
    };
    let taken = match field {
        CompressibleName | Name | CasedName | EndName => NameRef::read(rest)?.as_wire().len(),
        U8 | Algorithm | Scheme => 1,
        U16 | Type | CertType => 2,
        U32 | Seconds | Time | Ipv4 => 4,
        Nid | U64 => 8,
        Ipv6 | Loc => 16,
        Eui(length) => usize::from(length),
        OptString if rest.is_empty() => 0,
        String | OptString | Salt => prefixed(0)?,
        Hash => prefixed(1)?,
        Strings => {
            let mut at = 0;
            while at < rest.len() {
                at += 1 + usize::from(rest[at]);
            }
            if at == 0 { 1 } else { at }
        }
        Wks | Atma => rest.len().max(1),
        LongString | Hex | Base64 | OptBase64 | DashBase64 | Nsap | NxtBitmap | Unknown => rest.len(),
        A6 => a6(rest)?,
        Amtrelay => amtrelay(rest)?,
        Bitmap => bitmap(rest)?,
        Apl => apl(rest)?,
        Ipseckey => ipseckey(rest)?,
        Hip => hip(rest)?,
        SvcParams => svc_params(rest)?,
    };
    if taken <= rest.len() { Ok(taken) } else { Err(RdataError::Short) }
}

/// Windows ascend, each holds 1 to 32 bytes, the last byte of each is not zero (RFC 4034 4.1.2).
fn bitmap(rest: &[u8]) -> Result<usize, RdataError> {
    let mut at = 0;
    let mut last = None;
    while at < rest.len() {
        let &[window, length] = rest.get(at..at + 2).ok_or(RdataError::Short)? else {
            return Err(RdataError::Short);
        };
        let bits = rest.get(at + 2..at + 2 + usize::from(length)).ok_or(RdataError::Short)?;
        if !(1..=32).contains(&length) || last.is_some_and(|last| window <= last) || bits.last() == Some(&0) {
            return Err(RdataError::Malformed);
        }
        last = Some(window);
        at += 2 + bits.len();
    }
    Ok(at)
}

/// Items of family, prefix and a length with the negation bit on top (RFC 3123 section 4).
fn apl(rest: &[u8]) -> Result<usize, RdataError> {
    let mut at = 0;
    while at < rest.len() {
        let item = rest.get(at..at + 4).ok_or(RdataError::Short)?;
        at += 4 + usize::from(item[3] & 0x7f);
    }
    Ok(at)
}

fn ipseckey(rest: &[u8]) -> Result<usize, RdataError> {
    let &[gateway_type, _algorithm] = rest.get(..2).ok_or(RdataError::Short)? else {
        return Err(RdataError::Short);
    };
    let gateway = match gateway_type {
        0 => 0,
        1 => 4,
        2 => 16,
        3 => NameRef::read(&rest[2..])?.as_wire().len(),
        _ => return Err(RdataError::Malformed),
    };
    if rest.len() < 2 + gateway { Err(RdataError::Short) } else { Ok(rest.len()) }
}

fn hip(rest: &[u8]) -> Result<usize, RdataError> {
    let &[hit, _algorithm, high, low] = rest.get(..4).ok_or(RdataError::Short)? else {
        return Err(RdataError::Short);
    };
    let mut at = 4 + usize::from(hit) + usize::from(u16::from_be_bytes([high, low]));
    while at < rest.len() {
        at += NameRef::read(&rest[at..])?.as_wire().len();
    }
    Ok(at)
}

/// The suffix has the bytes that the prefix does not cover whole, and a name follows unless there is no prefix
/// (RFC 2874 3.1.1).
fn a6(rest: &[u8]) -> Result<usize, RdataError> {
    let prefix = *rest.first().ok_or(RdataError::Short)?;
    if prefix > 128 {
        return Err(RdataError::Malformed);
    }
    let taken = 1 + 16 - usize::from(prefix / 8);
    match rest.len() {
        length if length < taken || (length == taken && prefix > 0) => Err(RdataError::Short),
        length if length > taken && prefix == 0 => Err(RdataError::Long),
        _ => Ok(taken),
    }
}

fn amtrelay(rest: &[u8]) -> Result<usize, RdataError> {
    match rest.first().ok_or(RdataError::Short)? & 0x7f {
        0 => Ok(1),
        1 => Ok(1 + 4),
        2 => Ok(1 + 16),
        3 => Ok(1 + NameRef::read(&rest[1..])?.as_wire().len()),
        // Types to come are opaque (RFC 8777 4.2.3).
        _ => Ok(rest.len()),
    }
}

/// Keys ascend strictly (RFC 9460 2.2).
fn svc_params(rest: &[u8]) -> Result<usize, RdataError> {
    let mut at = 0;
    let mut last = None;
    while at < rest.len() {
        let &[k0, k1, l0, l1] = rest.get(at..at + 4).ok_or(RdataError::Short)? else {
            return Err(RdataError::Short);
        };
        let key = u16::from_be_bytes([k0, k1]);
        if last.is_some_and(|last| key <= last) {
            return Err(RdataError::Malformed);
        }
        last = Some(key);
        at += 4 + usize::from(u16::from_be_bytes([l0, l1]));
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mx_is_decompressed_and_folded() {
        let message = b"\x03WwW\x00\x00\x0a\x01a\xc0\x00";
        let mut rdata = Vec::new();
        read(message, 5, 6, Rtype::MX, &mut rdata).unwrap();
        assert_eq!(rdata, b"\x00\x0a\x01a\x03WwW\x00");
        assert_eq!(&*canonical(Rtype::MX, &rdata), b"\x00\x0a\x01a\x03www\x00");
        assert!(same(Rtype::MX, &rdata, b"\x00\x0a\x01A\x03www\x00"));
        assert!(!same(Rtype::TXT, b"\x01a", b"\x01A"));
        assert_eq!(read(message, 5, 7, Rtype::MX, &mut rdata), Err(RdataError::Short));
        assert_eq!(
            read(message, 5, 4, Rtype::MX, &mut rdata),
            Err(RdataError::Name(name::NameError::Truncated))
        );
    }

    #[test]
    fn lengths_and_order_are_checked() {
        assert_eq!(check(Rtype::A, &[127, 0, 0]), Err(RdataError::Short));
        assert_eq!(check(Rtype::A, &[127, 0, 0, 1, 0]), Err(RdataError::Long));
        assert_eq!(check(Rtype::TXT, &[]), Err(RdataError::Short));
        assert_eq!(check(Rtype::TXT, b"\x03ab"), Err(RdataError::Short));
        assert_eq!(check(Rtype::NSEC, b"\x00\x00\x01\x40\x00\x01\x40"), Err(RdataError::Malformed));
        assert_eq!(check(Rtype::NSEC, b"\x00\x00\x01\x00"), Err(RdataError::Malformed));
        assert_eq!(check(Rtype::HTTPS, b"\x00\x01\x00\x00\x01\x00\x00"), Ok(()));
        assert_eq!(
            check(Rtype::HTTPS, b"\x00\x01\x00\x00\x01\x00\x00\x00\x01\x00\x00"),
            Err(RdataError::Malformed)
        );
        assert_eq!(check(Rtype(65280), &[]), Ok(()));
    }
}
