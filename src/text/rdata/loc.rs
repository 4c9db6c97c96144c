//! Locations (RFC 1876): `52 22 23.000 N 4 53 32.000 E -2.00m 1m 10000m 10m`.

use std::fmt::Write;

use super::mnemonic::number;
use crate::text::lexer::{Fault, Kind, Lexer, Token, shown};

/// The wire form's zero: the equator, the prime meridian (thousandths of arc seconds), 100 km under the ellipsoid (cm).
const MERIDIAN: u32 = 1 << 31;
const SEA_LEVEL: i64 = 10_000_000;
const SECOND: u32 = 1_000;
const DEGREE: u32 = 3_600 * SECOND;
/// Size 1 m, horizontal precision 10 km, vertical precision 10 m when they are left out (RFC 1876 section 3).
const DEFAULTS: [u8; 3] = [0x12, 0x16, 0x13];

/// Appends the wire form.
pub fn read(lexer: &mut Lexer<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let latitude = angle(lexer, 90, [b'N', b'S'])?;
    let longitude = angle(lexer, 180, [b'E', b'W'])?;
    const EXPECTED: &str = "an altitude in metres, -100000.00m to 42849672.95m";
    let token = lexer.expect_word(EXPECTED)?;
    let altitude = match token.text.strip_prefix(b"-") {
        Some(depth) => centimetres(depth).map(|depth| SEA_LEVEL - depth as i64),
        None => centimetres(token.text).map(|height| SEA_LEVEL + height as i64),
    };
    let altitude = altitude.and_then(|altitude| u32::try_from(altitude).ok());
    let altitude = altitude.ok_or_else(|| token.instead_of(EXPECTED))?;
    let mut sizes = DEFAULTS;
    for size in &mut sizes {
        if lexer.peek()?.kind == Kind::End {
            break;
        }
        let token = lexer.next()?;
        *size = precision(&token)?;
    }
    out.push(0);
    out.extend_from_slice(&sizes);
    for value in [latitude, longitude, altitude] {
        out.extend_from_slice(&value.to_be_bytes());
    }
    Ok(())
}

/// Appends the text; `None` if the bytes have no text form.
pub fn write(wire: &[u8; 16], out: &mut String) -> Option<()> {
    let [version, size, horizontal, vertical, numbers @ ..] = wire;
    let (numbers, _) = numbers.as_chunks::<4>();
    let &[latitude, longitude, altitude] = numbers else { return None };
    if *version != 0 {
        return None;
    }
    write_angle(u32::from_be_bytes(latitude), 90, ['N', 'S'], out)?;
    write_angle(u32::from_be_bytes(longitude), 180, ['E', 'W'], out)?;
    let altitude = i64::from(u32::from_be_bytes(altitude)) - SEA_LEVEL;
    let sign = if altitude < 0 { "-" } else { "" };
    let altitude = altitude.unsigned_abs();
    write!(out, "{sign}{}.{:02}m", altitude / 100, altitude % 100).ok()?;
    for coded in [size, horizontal, vertical] {
        let (digit, power) = (u64::from(coded >> 4), u32::from(coded & 0xf));
        if digit > 9 || power > 9 || (digit == 0 && power > 0) {
            return None;
        }
        let centimetres = digit * 10_u64.pow(power);
        // From a metre on there is a single digit and zeros.
        match centimetres {
            ..100 => write!(out, " 0.{centimetres:02}m").ok()?,
            _ => write!(out, " {}m", centimetres / 100).ok()?,
        }
    }
    Some(())
}

/// `degrees [minutes [seconds]]` and one of two directions, the first of which is positive.
fn angle(lexer: &mut Lexer<'_>, most: u32, directions: [u8; 2]) -> Result<u32, Fault> {
    let (name, expected) = match most {
        90 => ("latitude", "a latitude such as `52 22 23.000 N`"),
        _ => ("longitude", "a longitude such as `4 53 32.000 E`"),
    };
    let first = lexer.expect_word(expected)?;
    let degrees: u32 = number(first.text).ok_or_else(|| first.instead_of(expected))?;
    let mut value = u64::from(degrees) * u64::from(DEGREE);
    for unit in [60 * SECOND, SECOND, 0] {
        let token = lexer.expect_word(expected)?;
        if let &[letter] = token.text {
            let letter = letter.to_ascii_uppercase();
            if directions.contains(&letter) {
                if value > u64::from(most * DEGREE) {
                    let message = format!("the {name} is more than {most} degrees");
                    return Err(Fault::new(first.span, message));
                }
                let value = value as u32;
                return Ok(if letter == directions[0] { MERIDIAN + value } else { MERIDIAN - value });
            }
        }
        let part = match unit {
            0 => None,
            SECOND => fixed(token.text, 3).filter(|&thousandths| thousandths < 60_000),
            _ => number::<u32>(token.text).filter(|&minutes| minutes < 60).map(|m| u64::from(m * unit)),
        };
        value += part.ok_or_else(|| token.instead_of(expected))?;
    }
    let end = lexer.next()?;
    Err(end.instead_of(expected))
}

fn write_angle(value: u32, most: u32, directions: [char; 2], out: &mut String) -> Option<()> {
    let angle = value.abs_diff(MERIDIAN);
    let direction = directions[usize::from(value < MERIDIAN)];
    let (degrees, minutes) = (angle / DEGREE, angle / (60 * SECOND) % 60);
    let (seconds, thousandths) = (angle / SECOND % 60, angle % SECOND);
    write!(out, "{degrees} {minutes} {seconds}.{thousandths:03} {direction} ").ok()?;
    (angle <= most * DEGREE).then_some(())
}

/// Metres with or without `m` and up to two decimals.
fn centimetres(text: &[u8]) -> Option<u64> {
    fixed(text.strip_suffix(b"m").unwrap_or(text), 2)
}

/// A number with up to `decimals` decimals, in units of the last one.
fn fixed(text: &[u8], decimals: usize) -> Option<u64> {
    let dot = text.iter().position(|&byte| byte == b'.').unwrap_or(text.len());
    let fraction = text.get(dot + 1..).unwrap_or_default();
    if fraction.len() > decimals || (dot < text.len() && fraction.is_empty()) {
        return None;
    }
    let mut value = u64::from(number::<u32>(&text[..dot])?);
    for at in 0..decimals {
        let digit = fraction.get(at).copied().unwrap_or(b'0');
        value = value * 10 + u64::from(char::from(digit).to_digit(10)?);
    }
    Some(value)
}

/// A size or precision as its leading digit and a power of ten of centimetres.
fn precision(token: &Token<'_>) -> Result<u8, Fault> {
    const EXPECTED: &str = "a size in metres, 0.00m to 90000000.00m";
    let mut value = match token.kind {
        Kind::Word => centimetres(token.text).filter(|&value| value <= 9_000_000_000),
        _ => None,
    }
    .ok_or_else(|| {
        let message = format!("found `{}`", shown(token.text));
        Fault::new(token.span, message).expected(EXPECTED)
    })?;
    let mut power = 0;
    while value >= 10 {
        value /= 10;
        power += 1;
    }
    Ok((value as u8) << 4 | power)
}
