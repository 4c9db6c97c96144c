//! RDATA from text to wire form, field by field.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::encoding::{Base64Reader, HexReader, hex_digit, read_base32};
use super::labels::explain;
use super::mnemonic::{self, number};
use super::names::Names;
use super::{a6, amtrelay, apl, atma, content, duration, loc, nxt, strings, svcb};
use crate::text::lexer::{Fault, Kind, Lexer, Token};
use crate::wire::name::NameRef;
use crate::wire::rdata::{self as layout, Field};
use crate::wire::rtype::Rtype;

/// The longest RDATA: its length has 16 bits.
pub const MAX_RDATA: usize = 65_535;

/// Reads the RDATA of a `rtype` record up to the end of the record and appends its wire form to `out`; the notation of
/// RFC 3597 (`\# length hex`) is understood for every type. On a fault, part of it may have been appended.
pub fn read(
    rtype: Rtype,
    lexer: &mut Lexer<'_>,
    names: &mut Names<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let start = out.len();
    if lexer.at_generic() {
        return generic(rtype, lexer, out);
    }
    for (index, &field) in layout::fields(rtype).iter().enumerate() {
        let mut reader = Reader { rtype, lexer: &mut *lexer, names: &mut *names, out: &mut *out, start };
        reader.field(field).map_err(|fault| explain(fault, rtype, index))?;
    }
    lexer.expect_end(|| format!("{rtype} record"))?;
    content::check(rtype, &out[start..]).map_err(|expected| {
        let message = format!("the data of the {rtype} record has a wrong length or form");
        Fault::new(lexer.behind(), message).expected(expected)
    })
}

/// Reads RDATA that stands alone, as on a command line; names in it are completed with `origin`.
pub fn parse(rtype: Rtype, text: &str, origin: Option<&NameRef>) -> Result<Vec<u8>, Fault> {
    let mut rdata = Vec::new();
    let mut lexer = Lexer::new(text.as_bytes());
    read(rtype, &mut lexer, &mut Names::below(origin), &mut rdata)?;
    if lexer.next_record() {
        return Err(Fault::new(lexer.peek()?.span, "a second line"));
    }
    Ok(rdata)
}

/// One record's RDATA on its way; it begins at `start` of `out`.
struct Reader<'r, 't, 'n> {
    rtype: Rtype,
    lexer: &'r mut Lexer<'t>,
    names: &'r mut Names<'n>,
    out: &'r mut Vec<u8>,
    start: usize,
}

impl<'t> Reader<'_, 't, '_> {
    fn field(&mut self, field: Field) -> Result<(), Fault> {
        match field {
            Field::CompressibleName | Field::Name | Field::CasedName => {
                let token = self.lexer.next()?;
                self.names.read(&token, self.out)
            }
            Field::U8 => self.u8(),
            Field::U16 => {
                let value: u16 = self.parsed("a number from 0 to 65535", number)?;
                self.out.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }
            Field::U32 => {
                let value: u32 = self.parsed("a number from 0 to 4294967295", number)?;
                self.out.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }
            Field::Seconds => {
                let value = self.parsed("seconds, such as `3600` or `1h30m`", duration::read_seconds)?;
                self.out.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }
            Field::Time => {
                let value = self.parsed("a time written YYYYMMDDHHmmSS", duration::read_time)?;
                self.out.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }
            Field::Type => {
                let value = self.parsed("a record type", mnemonic::rtype)?;
                self.out.extend_from_slice(&value.0.to_be_bytes());
                Ok(())
            }
            Field::Algorithm => self.algorithm(),
            Field::CertType => {
                let value = self.parsed("a certificate type such as `PKIX` or 1", mnemonic::cert_type)?;
                self.out.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }
            Field::Hex | Field::Base64 if self.is_deletion()? => {
                self.lexer.next()?;
                self.out.push(0);
                Ok(())
            }
            Field::Ipv4 => self.ipv4(),
            Field::Ipv6 => self.ipv6(),
            Field::String => self.one_string(),
            Field::OptString => self.optional_string(),
            Field::Strings => self.each("a string", |reader, token| reader.string(&token)),
            Field::LongString => self.long_string(),
            Field::Hex => self.hex(None),
            Field::Base64 | Field::OptBase64 | Field::DashBase64 => self.base64(field),
            Field::Salt => self.salt(),
            Field::Hash => {
                const EXPECTED: &str = "a hash in base 32 (0 to 9, A to V)";
                let token = self.lexer.expect_word(EXPECTED)?;
                self.prefixed(&token, EXPECTED, |out| read_base32(token.text, out))
            }
            Field::Bitmap => self.bitmap(),
            Field::Loc => loc::read(self.lexer, self.out),
            Field::Apl => self.until_end(|reader, token| apl::read(&token, reader.out)),
            Field::U64 => {
                let value = self
                    .parsed("a number of 64 bits, or two of 32 with a dot between", mnemonic::long_number)?;
                self.out.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }
            Field::Scheme => {
                let value = self.parsed("a scheme such as `NOTIFY` or 1", mnemonic::scheme)?;
                self.out.push(value);
                Ok(())
            }
            Field::NxtBitmap => nxt::read(self.lexer, self.out),
            Field::Atma => atma::read(self.lexer, self.out),
            Field::Amtrelay => amtrelay::read(self.lexer, self.names, self.out),
            Field::A6 => a6::read(self.lexer, self.names, self.out),
            // Read with the field before it, which says whether there is one.
            Field::EndName => Ok(()),
            Field::Nsap => self.nsap(),
            Field::Nid => self.nid(),
            Field::Eui(length) => self.eui(length),
            Field::Ipseckey => self.ipseckey(),
            Field::Hip => self.hip(),
            Field::SvcParams => svcb::read_params(self.lexer, self.out),
            Field::Wks => self.wks(),
            Field::Unknown => {
                let token = self.lexer.next()?;
                Err(token.instead_of("`\\#`, a length and hexadecimal digits (RFC 3597)"))
            }
        }
    }

    /// The next word, as `parse` understands it.
    fn parsed<T>(
        &mut self,
        expected: &'static str,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, Fault> {
        let token = self.lexer.expect_word(expected)?;
        parse(token.text).ok_or_else(|| token.instead_of(expected))
    }

    fn one_string(&mut self) -> Result<(), Fault> {
        let token = self.lexer.expect_text("a string")?;
        // A property tag is not free text (RFC 8659 4.1).
        if self.rtype == Rtype::CAA
            && (token.text.is_empty() || !token.text.iter().all(u8::is_ascii_alphanumeric))
        {
            return Err(token.instead_of("a property tag such as `issue` or `iodef`"));
        }
        self.string(&token)
    }

    fn optional_string(&mut self) -> Result<(), Fault> {
        let token = self.lexer.peek()?;
        if token.kind == Kind::End {
            return Ok(());
        }
        self.lexer.next()?;
        self.string(&token)
    }

    fn long_string(&mut self) -> Result<(), Fault> {
        let token = self.lexer.expect_text("a quoted string")?;
        // RFC 7553 4.4; the value of CAA needs none (RFC 8659 4.1.1).
        if self.rtype == Rtype::URI && token.kind != Kind::Quoted {
            return Err(token.instead_of("the URI in quotes"));
        }
        strings::read(&token, token.text, self.out)?;
        self.fits(&token)
    }

    fn u8(&mut self) -> Result<(), Fault> {
        let value = self.parsed("a number from 0 to 255", number)?;
        self.out.push(value);
        Ok(())
    }

    fn algorithm(&mut self) -> Result<(), Fault> {
        let value = self.parsed("a DNSSEC algorithm such as 13 or `ECDSAP256SHA256`", mnemonic::algorithm)?;
        self.out.push(value);
        Ok(())
    }

    fn ipv4(&mut self) -> Result<(), Fault> {
        let address: Ipv4Addr = self.parsed("an IPv4 address such as 192.0.2.1", from_text)?;
        self.out.extend_from_slice(&address.octets());
        Ok(())
    }

    fn ipv6(&mut self) -> Result<(), Fault> {
        let address: Ipv6Addr = self.parsed("an IPv6 address such as 2001:db8::1", from_text)?;
        self.out.extend_from_slice(&address.octets());
        Ok(())
    }

    /// Calls `each` with the tokens up to the end of the record.
    fn until_end(
        &mut self,
        mut each: impl FnMut(&mut Self, Token<'t>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        loop {
            let token = self.lexer.next()?;
            if token.kind == Kind::End {
                return Ok(());
            }
            each(self, token)?;
            self.fits(&token)?;
        }
    }

    /// The same, where there must be one at least.
    fn each(
        &mut self,
        expected: &'static str,
        mut each: impl FnMut(&mut Self, Token<'t>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let first = self.lexer.expect_text(expected)?;
        each(self, first)?;
        self.until_end(each)
    }

    fn fits(&self, token: &Token<'_>) -> Result<(), Fault> {
        if self.out.len() - self.start <= MAX_RDATA {
            return Ok(());
        }
        Err(Fault::new(token.span, format!("the {} record is longer than {MAX_RDATA} bytes", self.rtype)))
    }

    /// Appends what `fill` appends, with its length in a byte before it.
    fn prefixed(
        &mut self,
        token: &Token<'_>,
        expected: &str,
        fill: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> Result<(), Fault> {
        let at = self.out.len();
        self.out.push(0);
        if !fill(self.out) {
            return Err(token.instead_of(expected));
        }
        self.out[at] = u8::try_from(self.out.len() - at - 1)
            .map_err(|_| Fault::new(token.span, "longer than 255 bytes").expected(expected))?;
        Ok(())
    }

    fn string(&mut self, token: &Token<'_>) -> Result<(), Fault> {
        let at = self.out.len();
        self.out.push(0);
        strings::read(token, token.text, self.out)?;
        let length = self.out.len() - at - 1;
        self.out[at] = u8::try_from(length).map_err(|_| {
            Fault::new(token.span, format!("a string of {length} bytes"))
                .expected("strings of up to 255 bytes")
        })?;
        Ok(())
    }

    /// Hexadecimal up to the end, which must make `length` bytes if that is known.
    fn hex(&mut self, length: Option<usize>) -> Result<(), Fault> {
        const EXPECTED: &str = "pairs of hexadecimal digits";
        let at = self.out.len();
        let mut digits = HexReader::default();
        let mut last = self.lexer.peek()?;
        let read = |reader: &mut Self, token: Token<'t>| {
            last = token;
            let good = token.kind == Kind::Word && digits.push(token.text, reader.out);
            if good { Ok(()) } else { Err(token.instead_of(EXPECTED)) }
        };
        match length {
            Some(_) => self.until_end(read)?,
            None => self.each(EXPECTED, read)?,
        }
        if !digits.is_whole() {
            return Err(Fault::new(last.span, "an odd number of hexadecimal digits").expected(EXPECTED));
        }
        match length {
            Some(length) if length != self.out.len() - at => {
                let found = self.out.len() - at;
                Err(Fault::new(last.span, format!("the data has {found} bytes, not {length}"))
                    .expected(format!("{} hexadecimal digits", 2 * length)))
            }
            _ => Ok(()),
        }
    }

    fn base64(&mut self, field: Field) -> Result<(), Fault> {
        const EXPECTED: &str = "base 64";
        let mut last = self.lexer.peek()?;
        // A KEY may say that there is no key (RFC 2535 3.1.2), and an IPSECKEY may have none (RFC 4025 2.6).
        let no_key = self.rtype == Rtype::KEY && self.out[self.start] & 0xc0 == 0xc0;
        let optional = no_key || field == Field::OptBase64;
        if field == Field::DashBase64 && last.text == b"-" {
            self.lexer.next()?;
            return Ok(());
        }
        if optional && last.kind == Kind::End {
            return Ok(());
        }
        let mut digits = Base64Reader::default();
        self.each(EXPECTED, |reader, token| {
            last = token;
            let good = token.kind == Kind::Word && digits.push(token.text, reader.out);
            if good { Ok(()) } else { Err(token.instead_of(EXPECTED)) }
        })?;
        if digits.finish(self.out) {
            return Ok(());
        }
        Err(Fault::new(last.span, "the base 64 is cut short or badly padded").expected("whole base 64"))
    }

    /// Whether a 0 comes that stands for a byte: in what asks a parent to delete its DS records (RFC 8078 section 4).
    fn is_deletion(&mut self) -> Result<bool, Fault> {
        let token = self.lexer.peek()?;
        Ok(token.text == b"0" && content::is_deletion(self.rtype, &self.out[self.start..]))
    }

    fn salt(&mut self) -> Result<(), Fault> {
        const EXPECTED: &str = "a salt in hexadecimal, or `-` for none";
        let token = self.lexer.expect_word(EXPECTED)?;
        if token.text == b"-" {
            self.out.push(0);
            return Ok(());
        }
        let mut digits = HexReader::default();
        self.prefixed(&token, EXPECTED, |out| digits.push(token.text, out) && digits.is_whole())
    }

    fn bitmap(&mut self) -> Result<(), Fault> {
        // Nearly all types are in window 0; the others wait in a list.
        let mut first = [0_u8; 32];
        let mut others: Vec<u16> = Vec::new();
        self.until_end(|_, token| {
            let rtype = (token.kind == Kind::Word).then(|| mnemonic::rtype(token.text)).flatten();
            let Rtype(number) = rtype.ok_or_else(|| token.instead_of("a record type"))?;
            match number {
                ..=255 => first[usize::from(number / 8)] |= 0x80 >> (number % 8),
                _ if others.len() > usize::from(u16::MAX) => {
                    return Err(Fault::new(token.span, "more types than there are"));
                }
                _ => others.push(number),
            }
            Ok(())
        })?;
        let mut window = |window: u8, bits: &[u8; 32]| {
            if let Some(last) = bits.iter().rposition(|&byte| byte != 0) {
                self.out.extend_from_slice(&[window, last as u8 + 1]);
                self.out.extend_from_slice(&bits[..=last]);
            }
        };
        window(0, &first);
        others.sort_unstable();
        for chunk in others.chunk_by(|a, b| a >> 8 == b >> 8) {
            let mut bits = [0; 32];
            for number in chunk {
                bits[usize::from(number % 256 / 8)] |= 0x80 >> (number % 8);
            }
            window((chunk[0] >> 8) as u8, &bits);
        }
        Ok(())
    }

    fn nsap(&mut self) -> Result<(), Fault> {
        const EXPECTED: &str = "`0x` and pairs of hexadecimal digits";
        let token = self.lexer.expect_word(EXPECTED)?;
        let digits = token.text.strip_prefix(b"0x").or_else(|| token.text.strip_prefix(b"0X"));
        let mut reader = HexReader::default();
        let good = digits.is_some_and(|digits| {
            !digits.is_empty() && digits.split(|&byte| byte == b'.').all(|part| reader.push(part, self.out))
        });
        if good && reader.is_whole() { Ok(()) } else { Err(token.instead_of(EXPECTED)) }
    }

    fn nid(&mut self) -> Result<(), Fault> {
        const EXPECTED: &str = "an identifier such as 2001:db8:1140:1000";
        let token = self.lexer.expect_word(EXPECTED)?;
        let mut groups = 0;
        for group in token.text.split(|&byte| byte == b':') {
            let value =
                group.iter().try_fold(0_u16, |value, &byte| Some(value << 4 | u16::from(hex_digit(byte)?)));
            match value {
                Some(value) if (1..=4).contains(&group.len()) && groups < 4 => {
                    self.out.extend_from_slice(&value.to_be_bytes());
                }
                _ => return Err(token.instead_of(EXPECTED)),
            }
            groups += 1;
        }
        if groups == 4 { Ok(()) } else { Err(token.instead_of(EXPECTED)) }
    }

    fn eui(&mut self, length: u8) -> Result<(), Fault> {
        let expected = match length {
            6 => "an address such as 00-00-5e-00-53-2a",
            _ => "an address such as 00-00-5e-ef-10-00-00-2a",
        };
        let token = self.lexer.expect_word(expected)?;
        let at = self.out.len();
        for pair in token.text.split(|&byte| byte == b'-') {
            let mut reader = HexReader::default();
            if pair.len() != 2 || !reader.push(pair, self.out) {
                return Err(token.instead_of(expected));
            }
        }
        if self.out.len() - at == usize::from(length) { Ok(()) } else { Err(token.instead_of(expected)) }
    }

    fn ipseckey(&mut self) -> Result<(), Fault> {
        let kind: u8 =
            self.parsed("a gateway type from 0 to 3", |text| number(text).filter(|kind| *kind <= 3))?;
        self.out.push(kind);
        self.u8()?;
        match kind {
            1 => self.ipv4()?,
            2 => self.ipv6()?,
            3 => self.field(Field::CasedName)?,
            _ => self.parsed("`.`, as there is no gateway", |text| (text == b".").then_some(()))?,
        }
        self.base64(Field::OptBase64)
    }

    fn hip(&mut self) -> Result<(), Fault> {
        let at = self.out.len();
        let algorithm = self.parsed("a public key algorithm, 0 to 255", number)?;
        self.out.extend_from_slice(&[0, algorithm, 0, 0]);
        const HIT: &str = "a host identity tag in hexadecimal";
        let token = self.lexer.expect_word(HIT)?;
        let mut digits = HexReader::default();
        if !(digits.push(token.text, self.out) && digits.is_whole()) {
            return Err(token.instead_of(HIT));
        }
        let hit = self.out.len() - at - 4;
        self.out[at] = u8::try_from(hit).map_err(|_| token.instead_of(HIT))?;
        const KEY: &str = "a public key in base 64, without blanks";
        let token = self.lexer.expect_word(KEY)?;
        let mut digits = Base64Reader::default();
        if !(digits.push(token.text, self.out) && digits.finish(self.out)) {
            return Err(token.instead_of(KEY));
        }
        let key = u16::try_from(self.out.len() - at - 4 - hit).map_err(|_| token.instead_of(KEY))?;
        self.out[at + 2..at + 4].copy_from_slice(&key.to_be_bytes());
        self.until_end(|reader, token| reader.names.read(&token, reader.out))
    }

    fn wks(&mut self) -> Result<(), Fault> {
        let protocol = self.parsed("an IP protocol such as TCP or 6", mnemonic::protocol)?;
        self.out.push(protocol);
        let at = self.out.len();
        self.until_end(|reader, token| {
            let port = (token.kind == Kind::Word).then(|| mnemonic::service(token.text)).flatten();
            let port = usize::from(port.ok_or_else(|| token.instead_of("a port number or service name"))?);
            if reader.out.len() <= at + port / 8 {
                reader.out.resize(at + port / 8 + 1, 0);
            }
            reader.out[at + port / 8] |= 0x80 >> (port % 8);
            Ok(())
        })
    }
}

/// `\# length hex` (RFC 3597 section 5).
fn generic(rtype: Rtype, lexer: &mut Lexer<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    let mark = lexer.next()?;
    let mut names = Names::below(None);
    let mut reader = Reader { rtype, lexer, names: &mut names, out, start };
    let length: u16 = reader.parsed("the length in bytes, 0 to 65535", number)?;
    reader.hex(Some(usize::from(length)))?;
    layout::check(rtype, &out[start..])
        .map_err(|error| Fault::new(mark.span, format!("these bytes are no {rtype} record: {error}")))
}

fn from_text<T: FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
