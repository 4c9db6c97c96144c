//! A6 (RFC 2874, historic since RFC 6563): `64 ::1 prefix.example.`, an address without its leading bits and the name
//! that has them.

use std::fmt::Write;
use std::net::Ipv6Addr;

use super::mnemonic::number;
use super::names::Names;
use crate::text::lexer::{Fault, Lexer};

/// Appends prefix length and suffix, and the name unless there is no prefix.
pub fn read(lexer: &mut Lexer<'_>, names: &mut Names<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    const PREFIX: &str = "a prefix length from 0 to 128";
    let token = lexer.expect_word(PREFIX)?;
    let prefix = number(token.text).filter(|prefix: &u8| *prefix <= 128);
    let prefix = prefix.ok_or_else(|| token.instead_of(PREFIX))?;
    out.push(prefix);
    if prefix < 128 {
        const SUFFIX: &str = "an IPv6 address such as ::1";
        let token = lexer.expect_word(SUFFIX)?;
        let address = std::str::from_utf8(token.text).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
        let mut octets = address.ok_or_else(|| token.instead_of(SUFFIX))?.octets();
        let whole = usize::from(prefix / 8);
        octets[whole] &= 0xff >> (prefix % 8);
        out.extend_from_slice(&octets[whole..]);
    }
    if prefix > 0 {
        let token = lexer.next()?;
        names.read(&token, out)?;
    }
    Ok(())
}

/// Appends prefix length and suffix, which are at the start of `rest`; `None` when there are bits that the prefix covers.
pub fn write(rest: &mut &[u8], out: &mut String) -> Option<()> {
    let (&prefix, tail) = rest.split_first()?;
    write!(out, "{prefix}").ok()?;
    let whole = usize::from(prefix / 8);
    let (suffix, tail) = tail.split_at_checked(16_usize.checked_sub(whole)?)?;
    *rest = tail;
    if let Some(&first) = suffix.first() {
        let mut octets = [0; 16];
        octets[whole..].copy_from_slice(suffix);
        write!(out, " {}", Ipv6Addr::from(octets)).ok()?;
        return (first & !(0xff >> (prefix % 8)) == 0).then_some(());
    }
    Some(())
}
