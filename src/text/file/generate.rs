//! `$GENERATE start-stop[/step] owner [ttl] [class] type rdata`, as in BIND: a pattern in which `$` stands for the
//! counter, and `${offset,width,base}` for the counter moved, padded and in another base.

use std::io::Write;

use crate::text::lexer::{Fault, Kind, Span, Token};
use crate::text::rdata::mnemonic::number;

/// The longest pattern, in bytes; a record is rarely longer than a line.
const MAX_PATTERN: usize = 4_096;
/// The widest number, in digits: no label is longer.
const MAX_WIDTH: usize = 63;

/// The numbers to go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    start: u32,
    stop: u32,
    step: u32,
}

/// A record with places for the counter.
#[derive(Clone, Debug, Default)]
pub struct Pattern {
    pieces: Vec<Piece>,
    length: usize,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(Vec<u8>),
    Counter(Counter),
}

#[derive(Clone, Copy, Debug)]
struct Counter {
    offset: i64,
    width: usize,
    base: Base,
}

#[derive(Clone, Copy, Debug)]
enum Base {
    Decimal,
    Octal,
    Hex {
        upper: bool,
    },
    /// Hexadecimal digits in reverse order with dots between, for `ip6.arpa`; the width counts the dots.
    Nibbles {
        upper: bool,
    },
}

impl Range {
    /// Reads `start-stop` or `start-stop/step`.
    pub fn read(token: &Token<'_>) -> Result<Range, Fault> {
        const EXPECTED: &str = "a range such as `1-100` or `0-254/2`";
        let parse = || {
            let text = (token.kind == Kind::Word).then_some(token.text)?;
            let dash = text.iter().position(|&byte| byte == b'-')?;
            let (stop, step) = match text.iter().position(|&byte| byte == b'/') {
                Some(slash) => (text.get(dash + 1..slash)?, number(&text[slash + 1..])?),
                None => (&text[dash + 1..], 1),
            };
            Some(Range { start: number(&text[..dash])?, stop: number(stop)?, step })
        };
        let range = parse().ok_or_else(|| token.instead_of(EXPECTED))?;
        if range.step == 0 || range.start > range.stop {
            return Err(Fault::new(token.span, "the range holds no number").expected(EXPECTED));
        }
        Ok(range)
    }

    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        u64::from((self.stop - self.start) / self.step) + 1
    }

    /// The numbers.
    pub fn numbers(self) -> impl Iterator<Item = u32> {
        (self.start..=self.stop).step_by(usize::try_from(self.step).unwrap_or(usize::MAX))
    }
}

impl Pattern {
    /// Adds the text of a token behind a blank, in its quotes if it has any.
    pub fn push(&mut self, token: &Token<'_>) -> Result<(), Fault> {
        let quote: &[u8] = if token.kind == Kind::Quoted { b"\"" } else { b"" };
        // Tokens without text make the pattern longer, too.
        self.length += 1 + 2 * quote.len();
        self.text(b" ");
        self.text(quote);
        self.push_bare(token)?;
        self.text(quote);
        Ok(())
    }

    /// Adds the text of a token as it is.
    pub fn push_bare(&mut self, token: &Token<'_>) -> Result<(), Fault> {
        self.length += token.text.len();
        if self.length > MAX_PATTERN {
            let message = format!("the pattern is longer than {MAX_PATTERN} bytes");
            return Err(Fault::new(token.span, message));
        }
        let mut rest = token.text;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = match (byte, tail) {
                // `$$` and `\$` are a `$`, which stays escaped for the reader of the record.
                (b'$', [b'$', tail @ ..]) => {
                    self.text(b"\\$");
                    tail
                }
                (b'\\', [next, tail @ ..]) => {
                    self.text(&[b'\\', *next]);
                    tail
                }
                (b'$', [b'{', tail @ ..]) => {
                    let end = tail.iter().position(|&byte| byte == b'}');
                    let counter = end.and_then(|end| Counter::read(&tail[..end]));
                    let (Some(end), Some(counter)) = (end, counter) else {
                        return Err(token.instead_of(
                            "`${offset,width,base}` with base d, o, x, X, n or N and width up to 63",
                        ));
                    };
                    self.pieces.push(Piece::Counter(counter));
                    &tail[end + 1..]
                }
                (b'$', tail) => {
                    self.pieces.push(Piece::Counter(Counter { offset: 0, width: 0, base: Base::Decimal }));
                    tail
                }
                (other, tail) => {
                    self.text(&[other]);
                    tail
                }
            };
        }
        Ok(())
    }

    /// Writes the record for one number into `out`, in place of what it held.
    pub fn expand(&self, counter: u32, span: Span, out: &mut Vec<u8>) -> Result<(), Fault> {
        out.clear();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Counter(form) => {
                    let value = u64::try_from(i64::from(counter) + form.offset).map_err(|_| {
                        Fault::new(span, format!("for {counter} the offset gives a number below 0"))
                            .expected("an offset that keeps the numbers at 0 or above")
                    })?;
                    form.write(value, out);
                }
            }
        }
        Ok(())
    }

    fn text(&mut self, bytes: &[u8]) {
        match self.pieces.last_mut() {
            Some(Piece::Text(text)) => text.extend_from_slice(bytes),
            _ => self.pieces.push(Piece::Text(bytes.to_vec())),
        }
    }
}

impl Counter {
    /// Reads `offset[,width[,base]]`.
    fn read(text: &[u8]) -> Option<Counter> {
        let mut parts = text.split(|&byte| byte == b',');
        let offset = parts.next()?;
        let offset = match offset.strip_prefix(b"-") {
            Some(digits) => -i64::from(number::<u32>(digits)?),
            None => i64::from(number::<u32>(offset)?),
        };
        let width = parts.next().map_or(Some(0), number::<u32>)?;
        let width = usize::try_from(width).ok().filter(|&width| width <= MAX_WIDTH)?;
        let base = match parts.next().unwrap_or(b"d") {
            b"d" => Base::Decimal,
            b"o" => Base::Octal,
            b"x" => Base::Hex { upper: false },
            b"X" => Base::Hex { upper: true },
            b"n" => Base::Nibbles { upper: false },
            b"N" => Base::Nibbles { upper: true },
            _ => return None,
        };
        parts.next().is_none().then_some(Counter { offset, width, base })
    }

    fn write(&self, mut value: u64, out: &mut Vec<u8>) {
        let width = self.width;
        // Writing to a Vec cannot fail.
        let _ = match self.base {
            Base::Decimal => write!(out, "{value:0width$}"),
            Base::Octal => write!(out, "{value:0width$o}"),
            Base::Hex { upper: false } => write!(out, "{value:0width$x}"),
            Base::Hex { upper: true } => write!(out, "{value:0width$X}"),
            Base::Nibbles { upper } => {
                let start = out.len();
                loop {
                    let digit = char::from_digit((value & 0xf) as u32, 16).unwrap_or('0');
                    out.push(if upper { digit.to_ascii_uppercase() } else { digit } as u8);
                    value >>= 4;
                    if value == 0 && out.len() - start >= width {
                        return;
                    }
                    out.push(b'.');
                    if value == 0 && out.len() - start >= width {
                        return;
                    }
                }
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Token<'_> {
        Token { kind: Kind::Word, text: text.as_bytes(), span: Span::default() }
    }

    fn expanded(pattern: &str, counter: u32) -> String {
        let mut read = Pattern::default();
        read.push_bare(&word(pattern)).unwrap();
        let mut out = Vec::new();
        read.expand(counter, Span::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn patterns() {
        for (pattern, counter, text) in [
            ("host-$", 7, "host-7"),
            ("$.${1}.${-3}", 7, "7.8.4"),
            ("${0,3}-${0,4,x}-${0,0,X}-${0,2,o}", 30, "030-001e-1E-36"),
            ("${0,7,n}", 0x1a2, "2.a.1.0"),
            ("${0,1,N}", 0xab, "B.A"),
            ("$$\\$\\\\$", 5, "\\$\\$\\\\5"),
        ] {
            assert_eq!(expanded(pattern, counter), text);
        }
        for pattern in ["${", "${}", "${x}", "${0,64}", "${0,1,q}", "${0,1,d,}", "${1"] {
            assert!(Pattern::default().push_bare(&word(pattern)).is_err(), "{pattern}");
        }
        let mut below = Pattern::default();
        below.push_bare(&word("${-1}")).unwrap();
        assert!(below.expand(0, Span::default(), &mut Vec::new()).is_err());
    }

    #[test]
    fn a_pattern_ends_somewhere() {
        for token in [word("a"), Token { kind: Kind::Quoted, text: b"", span: Span::default() }] {
            let mut pattern = Pattern::default();
            let taken = (0..MAX_PATTERN).take_while(|_| pattern.push(&token).is_ok()).count();
            assert!((1_000..MAX_PATTERN).contains(&taken), "{taken}");
        }
    }

    #[test]
    fn ranges() {
        let numbers = |text| Range::read(&word(text)).map(|range| (range.count(), range.numbers().last()));
        assert_eq!(numbers("1-10"), Ok((10, Some(10))));
        assert_eq!(numbers("0-9/4"), Ok((3, Some(8))));
        assert_eq!(numbers("4294967295-4294967295"), Ok((1, Some(u32::MAX))));
        for text in ["1", "2-1", "1-2/0", "-1", "1-", "a-b", "1/2-3", "1-2/"] {
            assert!(numbers(text).is_err(), "{text}");
        }
    }
}
