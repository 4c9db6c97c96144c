//! Strings in zone files (RFC 1035 5.1): escapes undone, and put back in quotes.

use super::names::escape;
use crate::text::lexer::{Fault, Token, shown};
use crate::wire::escape::unescape;

/// Appends the bytes of a string's text, its escapes undone.
pub fn read(token: &Token<'_>, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut at = 0;
    loop {
        let plain = text[at..].iter().position(|&byte| byte == b'\\').unwrap_or(text.len() - at);
        out.extend_from_slice(&text[at..at + plain]);
        at += plain;
        if at == text.len() {
            return Ok(());
        }
        let Some((value, taken)) = unescape(&text[at + 1..]) else {
            return Err(Fault::new(token.span, format!("bad escape in `{}`", shown(&text[at..])))
                .expected("three digits up to 255 or one other character behind `\\`"));
        };
        out.push(value);
        at += 1 + taken;
    }
}

/// Appends a string in quotes.
pub fn write(text: &[u8], out: &mut String) {
    out.push('"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => escape(byte, out),
        }
    }
    out.push('"');
}
