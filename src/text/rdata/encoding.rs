//! Base 16, base 32 with the extended hex alphabet, and base 64 (RFC 4648), read from tokens and written to text.

/// Reads base 16 that may be split anywhere.
#[derive(Debug, Default)]
pub struct HexReader {
    half: Option<u8>,
}

impl HexReader {
    /// Appends what `text` stands for to `out`; false if it holds anything but hexadecimal digits.
    pub fn push(&mut self, text: &[u8], out: &mut Vec<u8>) -> bool {
        for &byte in text {
            let Some(digit) = hex_digit(byte) else { return false };
            match self.half.take() {
                Some(high) => out.push(high << 4 | digit),
                None => self.half = Some(digit),
            }
        }
        true
    }

    /// Whether the number of digits is even so far.
    pub fn is_whole(&self) -> bool {
        self.half.is_none()
    }
}

/// Reads base 64 that may be split anywhere.
#[derive(Debug, Default)]
pub struct Base64Reader {
    bits: u32,
    digits: u8,
    padding: u8,
}

impl Base64Reader {
    /// Appends what `text` stands for to `out`; false if it holds anything but base 64.
    pub fn push(&mut self, text: &[u8], out: &mut Vec<u8>) -> bool {
        for &byte in text {
            let digit = match BASE64_DIGITS[usize::from(byte)] {
                NO_DIGIT if byte == b'=' => {
                    self.padding += 1;
                    if self.digits + self.padding > 4 || self.digits < 2 {
                        return false;
                    }
                    continue;
                }
                NO_DIGIT => return false,
                digit => digit,
            };
            if self.padding > 0 {
                return false;
            }
            self.bits = self.bits << 6 | u32::from(digit);
            self.digits += 1;
            if self.digits == 4 {
                out.extend_from_slice(&self.bits.to_be_bytes()[1..]);
                (self.bits, self.digits) = (0, 0);
            }
        }
        true
    }

    /// Appends the last bytes; false if the text stops where it cannot, or left-over bits are not zero.
    pub fn finish(self, out: &mut Vec<u8>) -> bool {
        match (self.digits, self.padding) {
            (0, 0) => true,
            (2, 2) => {
                out.push((self.bits >> 4) as u8);
                self.bits & 0xf == 0
            }
            (3, 1) => {
                out.extend_from_slice(&((self.bits >> 2) as u16).to_be_bytes());
                self.bits & 3 == 0
            }
            _ => false,
        }
    }
}

/// Appends what base 32 text (extended hex alphabet, no padding, any case) stands for; false if it is not that.
pub fn read_base32(text: &[u8], out: &mut Vec<u8>) -> bool {
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text {
        let digit = match byte.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => digit - b'0',
            letter @ b'a'..=b'v' => letter - b'a' + 10,
            _ => return false,
        };
        bits = bits << 5 | u32::from(digit);
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    count < 5 && bits == 0
}

/// The value of a hexadecimal digit.
pub fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Appends upper-case base 16.
pub fn write_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 0xf)]));
    }
}

/// Appends upper-case base 32 in the extended hex alphabet, without padding.
pub fn write_base32(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";
    let (mut bits, mut count) = (0_u32, 0);
    for &byte in bytes {
        bits = (bits << 8 | u32::from(byte)) & 0xfff;
        count += 8;
        while count >= 5 {
            count -= 5;
            out.push(char::from(DIGITS[(bits >> count & 31) as usize]));
        }
    }
    if count > 0 {
        out.push(char::from(DIGITS[(bits << (5 - count) & 31) as usize]));
    }
}

/// Appends base 64 with padding.
pub fn write_base64(bytes: &[u8], out: &mut String) {
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            out.push(if digit <= chunk.len() { char::from(BASE64[value as usize]) } else { '=' });
        }
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const NO_DIGIT: u8 = 0xff;
const BASE64_DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut at = 0;
    while at < BASE64.len() {
        digits[BASE64[at] as usize] = at as u8;
        at += 1;
    }
    digits
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_rfc_4648() {
        let vectors = [
            ("", "", ""),
            ("f", "Zg==", "CO"),
            ("fo", "Zm8=", "CPNG"),
            ("foo", "Zm9v", "CPNMU"),
            ("foob", "Zm9vYg==", "CPNMUOG"),
            ("fooba", "Zm9vYmE=", "CPNMUOJ1"),
            ("foobar", "Zm9vYmFy", "CPNMUOJ1E8"),
        ];
        for (plain, base64, base32) in vectors {
            let mut text = String::new();
            write_base64(plain.as_bytes(), &mut text);
            assert_eq!(text, base64);
            text.clear();
            write_base32(plain.as_bytes(), &mut text);
            assert_eq!(text, base32);
            let (mut from_64, mut from_32) = (Vec::new(), Vec::new());
            let mut reader = Base64Reader::default();
            assert!(base64.as_bytes().chunks(3).all(|part| reader.push(part, &mut from_64)));
            assert!(reader.finish(&mut from_64) && read_base32(base32.as_bytes(), &mut from_32));
            assert_eq!((&from_64[..], &from_32[..]), (plain.as_bytes(), plain.as_bytes()));
        }
    }

    #[test]
    fn broken_text_is_refused() {
        for text in ["Z", "Zg", "Zg=", "Zg===", "Zh==", "Zg==Zg==", "=", "Z=g=", "Zm9=", "Zm 9"] {
            let mut reader = Base64Reader::default();
            let mut out = Vec::new();
            assert!(!(reader.push(text.as_bytes(), &mut out) && reader.finish(&mut out)), "{text}");
        }
        for text in ["C", "CP1", "W0", "CPNMUO"] {
            assert!(!read_base32(text.as_bytes(), &mut Vec::new()), "{text}");
        }
    }
}
