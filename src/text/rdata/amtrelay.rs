//! AMTRELAY behind its precedence (RFC 8777 4.3): discovery bit, relay type, relay.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::mnemonic::number;
use super::names::{self, Names};
use crate::text::lexer::{Fault, Lexer};
use crate::wire::name::NameRef;

const DISCOVERY: u8 = 0x80;

/// Appends the wire form.
pub fn read(lexer: &mut Lexer<'_>, names: &mut Names<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut below = |limit: u8, expected: &'static str| {
        let token = lexer.expect_word(expected)?;
        number(token.text).filter(|value: &u8| *value < limit).ok_or_else(|| token.instead_of(expected))
    };
    let discovery = below(2, "the discovery bit, 0 or 1")?;
    let kind = below(4, "a relay type from 0 to 3")?;
    out.push((discovery * DISCOVERY) | kind);
    let token = lexer.next()?;
    let text = std::str::from_utf8(token.text).unwrap_or_default();
    match kind {
        0 if token.text == b"." => {}
        0 => return Err(token.instead_of("`.`, as there is no relay")),
        1 => {
            let relay: Ipv4Addr = text.parse().map_err(|_| token.instead_of("an IPv4 address"))?;
            out.extend_from_slice(&relay.octets());
        }
        2 => {
            let relay: Ipv6Addr = text.parse().map_err(|_| token.instead_of("an IPv6 address"))?;
            out.extend_from_slice(&relay.octets());
        }
        _ => names.read(&token, out)?,
    }
    Ok(())
}

/// Appends the text; `None` for a relay of a type that has none.
pub fn write(rest: &[u8], out: &mut String) -> Option<()> {
    let (&first, relay) = rest.split_first()?;
    let kind = first & !DISCOVERY;
    write!(out, "{} {kind} ", first / DISCOVERY).ok()?;
    match kind {
        0 => out.push('.'),
        1 => write!(out, "{}", Ipv4Addr::from(<[u8; 4]>::try_from(relay).ok()?)).ok()?,
        2 => write!(out, "{}", Ipv6Addr::from(<[u8; 16]>::try_from(relay).ok()?)).ok()?,
        3 => names::write(NameRef::read(relay).ok()?, out),
        _ => return None,
    }
    Some(())
}
