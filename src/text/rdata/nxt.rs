//! The bit map of NXT (RFC 2535 5.2): one bit for each type from 1 to 127, bytes of zeros at the end left out.

use std::fmt::Write;

use super::mnemonic;
use crate::text::lexer::{Fault, Kind, Lexer};
use crate::wire::rtype::Rtype;

/// Appends the bit map of the types up to the end of the record.
pub fn read(lexer: &mut Lexer<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut bits = [0_u8; 16];
    loop {
        let token = lexer.next()?;
        if token.kind == Kind::End {
            break;
        }
        // As in BIND, a type may be given by its bare number too.
        let rtype = mnemonic::rtype(token.text).or_else(|| mnemonic::number(token.text).map(Rtype));
        match rtype.filter(|_| token.kind == Kind::Word) {
            Some(Rtype(number @ 1..=127)) => bits[usize::from(number / 8)] |= 0x80 >> (number % 8),
            _ => return Err(token.instead_of("a record type of a number from 1 to 127")),
        }
    }
    let length = bits.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    out.extend_from_slice(&bits[..length]);
    Ok(())
}

/// Appends the types, each after a blank; `None` for a bit map of another form.
pub fn write(bits: &[u8], out: &mut String) -> Option<()> {
    let odd = bits.len() > 16 || bits.last() == Some(&0) || bits.first().is_some_and(|byte| byte & 0x80 != 0);
    for (at, &byte) in bits.iter().enumerate().take(16) {
        for bit in (0..8).filter(|bit| byte & (0x80 >> bit) != 0) {
            write!(out, " {}", Rtype(at as u16 * 8 + bit)).ok()?;
        }
    }
    (!odd).then_some(())
}
