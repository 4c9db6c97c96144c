//! RDATA from wire form to text, in the canonical presentation form: absolute names, numbers where there is a choice,
//! quoted strings, no line breaks.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::encoding::{write_base32, write_base64, write_hex};
use super::mnemonic::{algorithm_name, cert_type_name, scheme_name};
use super::{a6, amtrelay, apl, atma, content, duration, loc, names, nxt, strings, svcb};
use crate::wire::name::NameRef;
use crate::wire::rdata::{self as layout, Field};
use crate::wire::rtype::Rtype;

/// Appends a record as one line of a zone file, without the line's end: owner, TTL, class, type and RDATA.
pub fn record(owner: &NameRef, ttl: u32, rtype: Rtype, rdata: &[u8], out: &mut String) {
    names::write(owner, out);
    // Writing to a String cannot fail.
    let _ = write!(out, " {ttl} IN {rtype} ");
    write(rtype, rdata, out);
}

/// Appends the text of uncompressed RDATA.
///
/// Bytes that do not have the layout of their type, or have no text in its own notation (a string missing where one
/// must be), are written in the notation of RFC 3597, so that reading gives the same bytes back.
pub fn write(rtype: Rtype, rdata: &[u8], out: &mut String) {
    let start = out.len();
    let regular = layout::check(rtype, rdata).is_ok() && content::check(rtype, rdata).is_ok();
    if regular && fields(rtype, rdata, out).is_some() {
        return;
    }
    out.truncate(start);
    let _ = write!(out, "\\# {}", rdata.len());
    if !rdata.is_empty() {
        out.push(' ');
        write_hex(rdata, out);
    }
}

fn fields(rtype: Rtype, rdata: &[u8], out: &mut String) -> Option<()> {
    let mut rest = rdata;
    for (index, &field) in layout::fields(rtype).iter().enumerate() {
        // Parts that can be empty bring their own blank.
        let own_blank = matches!(
            field,
            Field::Bitmap
                | Field::NxtBitmap
                | Field::Apl
                | Field::SvcParams
                | Field::EndName
                | Field::OptBase64
                | Field::OptString
        );
        if index > 0 && !own_blank {
            out.push(' ');
        }
        write_field(rtype, field, &mut rest, out)?;
    }
    // An APL without items is a record all the same, but a line that ends behind its type reads badly.
    (rest.is_empty() && !rdata.is_empty()).then_some(())
}

/// Appends the field at the start of `rest`, which then begins behind it.
fn write_field(rtype: Rtype, field: Field, rest: &mut &[u8], out: &mut String) -> Option<()> {
    match field {
        Field::CompressibleName | Field::Name | Field::CasedName => name(rest, out)?,
        // As BIND does, the algorithm has its name in CERT records and its number in all others.
        Field::Algorithm if rtype == Rtype::CERT => {
            let [algorithm] = *take(rest)?;
            match algorithm_name(algorithm) {
                Some(name) => out.push_str(name),
                None => write!(out, "{algorithm}").ok()?,
            }
        }
        Field::U8 | Field::Algorithm => write!(out, "{}", take::<1>(rest)?[0]).ok()?,
        Field::U16 => write!(out, "{}", u16::from_be_bytes(*take(rest)?)).ok()?,
        Field::U32 | Field::Seconds => write!(out, "{}", u32::from_be_bytes(*take(rest)?)).ok()?,
        Field::Time => duration::write_time(u32::from_be_bytes(*take(rest)?), out),
        Field::Type => write!(out, "{}", Rtype(u16::from_be_bytes(*take(rest)?))).ok()?,
        Field::CertType => {
            let cert_type = u16::from_be_bytes(*take(rest)?);
            match cert_type_name(cert_type) {
                Some(name) => out.push_str(name),
                None => write!(out, "{cert_type}").ok()?,
            }
        }
        Field::Ipv4 => write!(out, "{}", Ipv4Addr::from(*take::<4>(rest)?)).ok()?,
        Field::Ipv6 => write!(out, "{}", Ipv6Addr::from(*take::<16>(rest)?)).ok()?,
        Field::String => string(rtype, rest, out)?,
        Field::OptString if rest.is_empty() => {}
        Field::OptString => {
            out.push(' ');
            strings::write(prefixed(rest)?, out);
        }
        Field::Strings => one_or_more(rest, out)?,
        Field::LongString => strings::write(std::mem::take(rest), out),
        Field::Hex => write_hex(some(rest)?, out),
        Field::Base64 => write_base64(some(rest)?, out),
        Field::Salt => match prefixed(rest)? {
            [] => out.push('-'),
            salt => write_hex(salt, out),
        },
        Field::Hash => write_base32(prefixed(rest)?, out),
        Field::Bitmap => bitmap(std::mem::take(rest), out)?,
        Field::Loc => loc::write(take(rest)?, out)?,
        Field::Apl => address_prefixes(std::mem::take(rest), out)?,
        Field::Nsap => {
            out.push_str("0x");
            write_hex(some(rest)?, out);
        }
        Field::U64 => write!(out, "{}", u64::from_be_bytes(*take(rest)?)).ok()?,
        Field::Scheme => {
            let [scheme] = *take(rest)?;
            match scheme_name(scheme) {
                Some(name) => out.push_str(name),
                None => write!(out, "{scheme}").ok()?,
            }
        }
        Field::OptBase64 if rest.is_empty() => {}
        Field::OptBase64 => {
            out.push(' ');
            write_base64(std::mem::take(rest), out);
        }
        Field::DashBase64 if rest.is_empty() => out.push('-'),
        Field::DashBase64 => write_base64(std::mem::take(rest), out),
        Field::NxtBitmap => nxt::write(std::mem::take(rest), out)?,
        Field::Atma => atma::write(std::mem::take(rest), out)?,
        Field::Amtrelay => amtrelay::write(std::mem::take(rest), out)?,
        Field::A6 => a6::write(rest, out)?,
        Field::EndName if rest.is_empty() => {}
        Field::EndName => {
            out.push(' ');
            name(rest, out)?;
        }
        Field::Nid => nid(rest, out)?,
        Field::Eui(length) => eui(length, rest, out)?,
        Field::Ipseckey => ipseckey(rest, out)?,
        Field::Hip => hip(rest, out)?,
        Field::SvcParams => svcb::write_params(std::mem::take(rest), out)?,
        Field::Wks => wks(std::mem::take(rest), out)?,
        Field::Unknown => return None,
    }
    Some(())
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(taken)
}

/// All that is left, unless it is nothing.
fn some<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let all = std::mem::take(rest);
    (!all.is_empty()).then_some(all)
}

/// What the length byte at the start announces.
fn prefixed<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (&length, tail) = rest.split_first()?;
    let (text, tail) = tail.split_at_checked(usize::from(length))?;
    *rest = tail;
    Some(text)
}

fn name(rest: &mut &[u8], out: &mut String) -> Option<()> {
    let name = NameRef::read(rest).ok()?;
    *rest = &rest[name.as_wire().len()..];
    names::write(name, out);
    Some(())
}

/// A string; the property tag of CAA stands without quotes (RFC 8659 4.1).
fn string(rtype: Rtype, rest: &mut &[u8], out: &mut String) -> Option<()> {
    let text = prefixed(rest)?;
    if rtype != Rtype::CAA {
        strings::write(text, out);
    } else if !text.is_empty() && text.iter().all(u8::is_ascii_alphanumeric) {
        out.push_str(std::str::from_utf8(text).ok()?);
    } else {
        return None;
    }
    Some(())
}

fn one_or_more(rest: &mut &[u8], out: &mut String) -> Option<()> {
    strings::write(prefixed(rest)?, out);
    while !rest.is_empty() {
        out.push(' ');
        strings::write(prefixed(rest)?, out);
    }
    Some(())
}

fn nid(rest: &mut &[u8], out: &mut String) -> Option<()> {
    // All four digits of each group: not every reader takes fewer.
    let groups = take::<8>(rest)?.as_chunks::<2>().0;
    for (at, group) in groups.iter().enumerate() {
        let colon = if at > 0 { ":" } else { "" };
        write!(out, "{colon}{:04x}", u16::from_be_bytes(*group)).ok()?;
    }
    Some(())
}

fn eui(length: u8, rest: &mut &[u8], out: &mut String) -> Option<()> {
    let (bytes, tail) = rest.split_at_checked(usize::from(length))?;
    *rest = tail;
    for (at, byte) in bytes.iter().enumerate() {
        write!(out, "{}{byte:02x}", if at > 0 { "-" } else { "" }).ok()?;
    }
    Some(())
}

fn address_prefixes(rest: &[u8], out: &mut String) -> Option<()> {
    let start = out.len();
    apl::write(rest, out)?;
    if out[start..].starts_with(' ') {
        out.remove(start);
    }
    Some(())
}

fn bitmap(mut rest: &[u8], out: &mut String) -> Option<()> {
    while let Some((&[window, length], tail)) = rest.split_first_chunk() {
        let (bits, tail) = tail.split_at_checked(usize::from(length))?;
        rest = tail;
        for (at, &byte) in bits.iter().enumerate() {
            for bit in (0..8).filter(|bit| byte & (0x80 >> bit) != 0) {
                let rtype = Rtype(u16::from_be_bytes([window, at as u8 * 8 + bit]));
                write!(out, " {rtype}").ok()?;
            }
        }
    }
    Some(())
}

fn ipseckey(rest: &mut &[u8], out: &mut String) -> Option<()> {
    let [kind, algorithm] = *take(rest)?;
    write!(out, "{kind} {algorithm} ").ok()?;
    match kind {
        0 => out.push('.'),
        1 => write!(out, "{}", Ipv4Addr::from(*take::<4>(rest)?)).ok()?,
        2 => write!(out, "{}", Ipv6Addr::from(*take::<16>(rest)?)).ok()?,
        3 => name(rest, out)?,
        _ => return None,
    }
    if !rest.is_empty() {
        out.push(' ');
        write_base64(std::mem::take(rest), out);
    }
    Some(())
}

fn hip(rest: &mut &[u8], out: &mut String) -> Option<()> {
    let [hit, algorithm, high, low] = *take(rest)?;
    let (hit, tail) = rest.split_at_checked(usize::from(hit))?;
    let (key, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
    *rest = tail;
    if hit.is_empty() || key.is_empty() {
        return None;
    }
    write!(out, "{algorithm} ").ok()?;
    write_hex(hit, out);
    out.push(' ');
    write_base64(key, out);
    while !rest.is_empty() {
        out.push(' ');
        name(rest, out)?;
    }
    Some(())
}

fn wks(rest: &[u8], out: &mut String) -> Option<()> {
    let (protocol, bits) = rest.split_first()?;
    if bits.last() == Some(&0) || bits.len() > 8_192 {
        return None;
    }
    write!(out, "{protocol}").ok()?;
    for (at, &byte) in bits.iter().enumerate() {
        for bit in (0..8).filter(|bit| byte & (0x80 >> bit) != 0) {
            write!(out, " {}", at * 8 + bit).ok()?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests;
