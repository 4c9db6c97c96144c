//! ATM addresses (af-saa-0069): `+358.400.1234567` for E.164, hexadecimal for an end system address; dots mean nothing.

use super::encoding::{HexReader, write_hex};
use crate::text::lexer::{Fault, Lexer};

const AESA: u8 = 0;
const E164: u8 = 1;

/// Appends the wire form.
pub fn read(lexer: &mut Lexer<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    const EXPECTED: &str = "an ATM address such as +358.400.1234567, or pairs of hexadecimal digits";
    let token = lexer.expect_word(EXPECTED)?;
    let (format, text) = match token.text.strip_prefix(b"+") {
        Some(digits) => (E164, digits),
        None => (AESA, token.text),
    };
    out.push(format);
    let mut reader = HexReader::default();
    let good = text.split(|&byte| byte == b'.').all(|part| {
        !part.is_empty()
            && match format {
                E164 => {
                    out.extend_from_slice(part);
                    part.iter().all(u8::is_ascii_digit)
                }
                _ => reader.push(part, out),
            }
    });
    if good && reader.is_whole() { Ok(()) } else { Err(token.instead_of(EXPECTED)) }
}

/// Appends the text; `None` for another format, or no address.
pub fn write(rest: &[u8], out: &mut String) -> Option<()> {
    match rest.split_first()? {
        (_, []) => return None,
        (&AESA, address) => write_hex(address, out),
        (&E164, digits) if digits.iter().all(u8::is_ascii_digit) => {
            out.push('+');
            out.push_str(std::str::from_utf8(digits).ok()?);
        }
        _ => return None,
    }
    Some(())
}
