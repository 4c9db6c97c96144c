//! Address prefix lists (RFC 3123): `[!]family:address/prefix`.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::mnemonic::number;
use crate::text::lexer::{Fault, Token, shown};

const EXPECTED: &str = "an address prefix such as `1:192.0.2.0/24` or `!2:2001:db8::/32`";

/// Appends one item.
pub fn read(token: &Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let text = token.text;
    let (negated, item) = match text.strip_prefix(b"!") {
        Some(item) => (0x80, item),
        None => (0, text),
    };
    let (family, prefix, address) = parse(item).ok_or_else(|| token.instead_of(EXPECTED))?;
    // Trailing zero bytes are left out (RFC 3123 section 4).
    let length = address.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let whole = if family == 1 { 32 } else { 128 };
    if prefix > whole {
        let message = format!("the prefix of `{}` is longer than {whole} bits", shown(text));
        return Err(Fault::new(token.span, message));
    }
    out.extend_from_slice(&[0, family, prefix, negated | length as u8]);
    out.extend_from_slice(&address[..length]);
    Ok(())
}

/// Appends all items; `None` if one cannot be written in this notation.
pub fn write(mut rest: &[u8], out: &mut String) -> Option<()> {
    while let Some((&[high, family, prefix, length], tail)) = rest.split_first_chunk() {
        let address = tail.get(..usize::from(length & 0x7f))?;
        rest = &tail[address.len()..];
        let mut whole = [0; 16];
        whole.get_mut(..address.len())?.copy_from_slice(address);
        if address.last() == Some(&0) || high != 0 {
            return None;
        }
        out.push_str(if length & 0x80 == 0 { " " } else { " !" });
        match family {
            1 if address.len() <= 4 && prefix <= 32 => {
                let address = Ipv4Addr::new(whole[0], whole[1], whole[2], whole[3]);
                write!(out, "1:{address}/{prefix}").ok()?;
            }
            2 if prefix <= 128 => write!(out, "2:{}/{prefix}", Ipv6Addr::from(whole)).ok()?,
            _ => return None,
        }
    }
    rest.is_empty().then_some(())
}

/// Family, prefix length, and the address in 16 bytes (an IPv4 address in the first four).
fn parse(item: &[u8]) -> Option<(u8, u8, [u8; 16])> {
    let (family, rest) = std::str::from_utf8(item).ok()?.split_once(':')?;
    let (address, prefix) = rest.split_once('/')?;
    let prefix = number(prefix.as_bytes())?;
    match family {
        "1" => {
            let mut whole = [0; 16];
            whole[..4].copy_from_slice(&address.parse::<Ipv4Addr>().ok()?.octets());
            Some((1, prefix, whole))
        }
        "2" => Some((2, prefix, address.parse::<Ipv6Addr>().ok()?.octets())),
        _ => None,
    }
}
