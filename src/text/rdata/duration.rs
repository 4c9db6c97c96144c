//! Seconds in zone files: TTLs with BIND's units, and the absolute times of RRSIG (RFC 4034 3.2).

use std::fmt::Write;

use crate::time::{date_from_days, days_from_date, span};

/// Seconds from a number or from numbers with the units w, d, h, m, s (`1h30m`); `None` if it is not that or does not
/// fit 32 bits.
pub fn read_seconds(text: &[u8]) -> Option<u32> {
    // A bare number counts seconds, but only when it stands alone: `1h30` is more likely a slip.
    if !text.is_empty() && text.iter().all(u8::is_ascii_digit) {
        let mut digits = text.iter().map(|digit| u32::from(digit - b'0'));
        return digits.try_fold(0_u32, |value, digit| value.checked_mul(10)?.checked_add(digit));
    }
    // Nobody writes a TTL in milliseconds.
    let units = std::str::from_utf8(text).ok()?.to_ascii_lowercase();
    let span = span::read(&units).ok().filter(|_| !units.contains("ms"))?;
    u32::try_from(span.as_secs()).ok()
}

/// Seconds since 1970 from `YYYYMMDDHHmmSS` or from a number of up to ten digits.
pub fn read_time(text: &[u8]) -> Option<u32> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    if text.len() != 14 {
        return if text.len() <= 10 { u32::try_from(number).ok() } else { None };
    }
    let part = |below: u64, size: u64| (number / below % size) as i64;
    let (year, month, day) = (part(10_000_000_000, 10_000), part(100_000_000, 100), part(1_000_000, 100));
    let (hour, minute, second) = (part(10_000, 100), part(100, 100), part(1, 100));
    let days = days_from_date(year, month, day);
    if date_from_days(days) != (year, month, day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    // Times are compared as serial numbers of 32 bits (RFC 4034 3.1.5), so later centuries wrap.
    (seconds >= 0).then_some(seconds as u32)
}

/// Appends a time as `YYYYMMDDHHmmSS`, taken to be in 1970 to 2106.
pub fn write_time(time: u32, out: &mut String) {
    let (year, month, day) = date_from_days(i64::from(time / 86_400));
    let (hour, minute, second) = (time / 3_600 % 24, time / 60 % 60, time % 60);
    // Writing to a String cannot fail.
    let _ = write!(out, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds() {
        let cases: [(&str, Option<u32>); 11] = [
            ("0", Some(0)),
            ("1h30m", Some(5_400)),
            ("1W2D3H4M5S", Some(788_645)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("10000w", None),
            ("1h30", None),
            ("h", None),
            ("", None),
            ("1.5h", None),
            ("1000ms", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(read_seconds(text.as_bytes()), seconds, "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, time) in [
            ("19700101000000", 0),
            ("20000229235959", 951_868_799),
            ("20180212000000", 1_518_393_600),
            ("21060207062815", u32::MAX),
        ] {
            assert_eq!(read_time(text.as_bytes()), Some(time));
            let mut written = String::new();
            write_time(time, &mut written);
            assert_eq!(written, text);
        }
        assert_eq!(read_time(b"1518393600"), Some(1_518_393_600));
        assert_eq!(read_time(b"21060207062816"), Some(0));
        for text in
            ["20180230000000", "20181301000000", "20180101240000", "19691231235959", "201802120000", ""]
        {
            assert_eq!(read_time(text.as_bytes()), None, "{text}");
        }
    }
}
