//! The tokens of master files (RFC 1035 5.1): words, quoted strings, and the end of each record, with comments and
//! parentheses taken care of. Text is bytes; nothing is copied.

/// The deepest nesting of parentheses; more than one level is never needed, and BIND accepts it all the same.
pub const MAX_PARENTHESES: u32 = 16;
/// The longest token, in bytes: RDATA is at most 65535 bytes, and an escape takes four for one.
pub const MAX_TOKEN: usize = 4 * 65_535;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads tokens from text.
#[derive(Clone, Copy, Debug)]
pub struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    /// Where the last token ended.
    seen: usize,
    line: u32,
    line_start: usize,
    depth: u32,
    /// The outermost parenthesis that is open, while `depth` is not 0.
    opened: Span,
    /// Whether a string of this record went on over the end of a line.
    multi_line: bool,
    /// The first `;` of this record that stands right behind a word.
    cut_word: Option<Span>,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text without blanks, escapes still in it.
    Word,
    /// Text between quotes, without them, escapes still in it.
    Quoted,
    /// The end of the record: a line's end outside parentheses, or the end of the text. Repeats until
    /// [`Lexer::next_record`].
    End,
}

/// A token. Only a quoted string may span lines.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its text, empty at the end of a record.
    pub text: &'a [u8],
    /// Where it stands, with its quotes.
    pub span: Span,
}

/// A stretch of text; its line is the one that it begins on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of its first byte in the text.
    pub start: usize,
    /// Offset behind its last byte.
    pub end: usize,
    /// Its line, counted from 1.
    pub line: u32,
    /// Offset of its line's first byte.
    pub line_start: usize,
}

/// What is wrong at a place of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub span: Span,
    /// What is wrong, as a clause without a full stop.
    pub message: String,
    /// What was expected, as a noun phrase.
    pub expected: Option<String>,
}

impl Fault {
    /// A fault that says nothing about what was expected.
    pub fn new(span: Span, message: impl Into<String>) -> Fault {
        Fault { span, message: message.into(), expected: None }
    }

    /// The fault with what was expected in its place.
    pub fn expected(self, expected: impl Into<String>) -> Fault {
        Fault { expected: Some(expected.into()), ..self }
    }
}

impl<'a> Token<'a> {
    /// The fault of a token that is not what should stand here.
    pub fn instead_of(&self, expected: impl Into<String>) -> Fault {
        let message = match self.kind {
            Kind::Word => format!("found `{}`", shown(self.text)),
            Kind::Quoted => format!("found the quoted string \"{}\"", shown(self.text)),
            Kind::End => "the record ends too early".to_owned(),
        };
        Fault::new(self.span, message).expected(expected)
    }
}

/// Text from a file as it goes into a message: printable and not too long.
pub fn shown(text: &[u8]) -> String {
    const LONGEST: usize = 60;
    // A clipped character at the cut only turns into a replacement character.
    let clipped = String::from_utf8_lossy(&text[..text.len().min(LONGEST)]);
    let mut shown: String = clipped.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.len() > LONGEST {
        shown.push_str("...");
    }
    shown
}

impl<'a> Lexer<'a> {
    /// Starts at the beginning of `text`.
    pub fn new(text: &'a [u8]) -> Lexer<'a> {
        let opened = Span::default();
        Lexer {
            text,
            at: 0,
            seen: 0,
            line: 1,
            line_start: 0,
            depth: 0,
            opened,
            multi_line: false,
            cut_word: None,
        }
    }

    /// Skips a byte order mark, which is the first thing in the text if there is one; returns where it stands.
    pub fn skip_byte_order_mark(&mut self) -> Option<Span> {
        let mark = self.text.starts_with(BYTE_ORDER_MARK) && self.at == 0;
        mark.then(|| {
            let span = self.span(0, BYTE_ORDER_MARK.len());
            (self.at, self.seen, self.line_start) = (span.end, span.end, span.end);
            span
        })
    }

    /// Whether a string of the record that was read last went on over the end of a line.
    pub fn has_multi_line_string(&self) -> bool {
        self.multi_line
    }

    /// The first `;` of the record that was read last that begins a comment right behind a word.
    pub fn cut_word(&self) -> Option<Span> {
        self.cut_word
    }

    /// The text of a token that was read.
    pub fn text_of(&self, span: Span) -> &'a [u8] {
        &self.text[span.start..span.end]
    }

    /// The line that is being read, counted from 1.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// Whether a blank comes next: at the start of a record it means "the owner of the record before".
    pub fn at_blank(&self) -> bool {
        matches!(self.text.get(self.at), Some(b' ' | b'\t'))
    }

    /// The next token of this record.
    ///
    /// After a fault, calling again goes on behind it.
    #[allow(clippy::should_implement_trait)] // It never runs out, so it is no iterator.
    pub fn next(&mut self) -> Result<Token<'a>, Fault> {
        loop {
            let Some(&byte) = self.text.get(self.at) else {
                if self.depth > 0 {
                    self.depth = 0;
                    return Err(unclosed(self.opened));
                }
                return Ok(self.end());
            };
            match byte {
                b' ' | b'\t' => self.at += 1,
                b'\r' => {
                    self.at += 1;
                    // Half of a line's end, or what is left of one at the end of the file.
                    if !matches!(self.text.get(self.at), None | Some(b'\n')) {
                        let span = self.span(self.at - 1, self.at);
                        return Err(Fault::new(span, "a carriage return within the line")
                            .expected("lines that end in LF or CRLF"));
                    }
                }
                0 => {
                    let start = self.at;
                    while self.text.get(self.at) == Some(&0) {
                        self.at += 1;
                    }
                    let message = "a NUL byte; the file is no text, or is damaged";
                    return Err(Fault::new(self.span(start, start + 1), message));
                }
                b'\n' if self.depth == 0 => return Ok(self.end()),
                b'\n' => self.new_line(),
                b';' => {
                    let is_cut = self.at == self.seen
                        && self.at > self.line_start
                        && !matches!(self.text[self.at - 1], b'(' | b')' | b'"');
                    if is_cut && self.cut_word.is_none() {
                        self.cut_word = Some(self.span(self.at, self.at + 1));
                    }
                    self.at = self.line_end(self.at);
                }
                b'(' => {
                    let span = self.span(self.at, self.at + 1);
                    self.at += 1;
                    if self.depth == MAX_PARENTHESES {
                        let message = format!("more than {MAX_PARENTHESES} parentheses inside each other");
                        return Err(Fault::new(span, message));
                    }
                    if self.depth == 0 {
                        self.opened = span;
                    }
                    self.depth += 1;
                    self.seen = self.at;
                }
                b')' => {
                    self.at += 1;
                    if self.depth == 0 {
                        let span = self.span(self.at - 1, self.at);
                        return Err(Fault::new(span, "`)` without a `(` before it"));
                    }
                    self.depth -= 1;
                    self.seen = self.at;
                }
                b'"' => return self.quoted(),
                _ => {
                    let word = self.word();
                    return limited(word);
                }
            }
        }
    }

    /// The next token, where `key="a value"` is one word (RFC 9460 2.1).
    pub fn next_pair(&mut self) -> Result<Token<'a>, Fault> {
        let token = self.next()?;
        if token.kind == Kind::Word && token.text.ends_with(b"=") && self.text.get(self.at) == Some(&b'"') {
            let value = self.quoted()?;
            let span = Span { end: value.span.end, ..token.span };
            return Ok(Token { kind: Kind::Word, text: &self.text[span.start..span.end], span });
        }
        Ok(token)
    }

    /// The next token, which must be a word.
    pub fn expect_word(&mut self, expected: &'static str) -> Result<Token<'a>, Fault> {
        let token = self.next()?;
        if token.kind == Kind::Word { Ok(token) } else { Err(token.instead_of(expected)) }
    }

    /// The next token, which must be a word or a quoted string.
    pub fn expect_text(&mut self, expected: &'static str) -> Result<Token<'a>, Fault> {
        let token = self.next()?;
        if token.kind == Kind::End { Err(token.instead_of(expected)) } else { Ok(token) }
    }

    /// Reads on to see that the record ends here; `what` it is a record of goes into the fault.
    pub fn expect_end(&mut self, what: impl FnOnce() -> String) -> Result<(), Fault> {
        let token = self.next()?;
        if token.kind == Kind::End {
            return Ok(());
        }
        let message = format!("`{}` is left over behind the {}", shown(token.text), what());
        let expected = if self.depth > 0 { "`)`" } else { "the end of the line" };
        Err(Fault::new(token.span, message).expected(expected))
    }

    /// The place right behind the last token.
    pub fn behind(&self) -> Span {
        self.end().span
    }

    /// Whether the next token is the word `\#`, which begins RDATA in the notation of RFC 3597.
    pub fn at_generic(&mut self) -> bool {
        while self.at_blank() {
            self.at += 1;
        }
        // Nearly always the first byte tells.
        matches!(self.text.get(self.at), Some(b'\\' | b'(' | b'\r' | b'\n'))
            && self.peek().is_ok_and(|token| token.kind == Kind::Word && token.text == b"\\#")
    }

    /// The next token without taking it.
    pub fn peek(&self) -> Result<Token<'a>, Fault> {
        let mut ahead = *self;
        ahead.next()
    }

    /// Goes from the end of a record to the start of the next; false when the text ends.
    pub fn next_record(&mut self) -> bool {
        (self.multi_line, self.cut_word) = (false, None);
        if self.text.get(self.at) == Some(&b'\n') {
            self.new_line();
        }
        self.at < self.text.len()
    }

    /// Goes on to the end of the record that began on `first_line` and was found wrong at `fault`.
    ///
    /// If its parenthesis is never closed, the next line behind the fault that starts with something is taken for the
    /// next record, and the fault of the parenthesis is returned.
    pub fn recover(&mut self, fault: &Fault, first_line: u32) -> Option<Fault> {
        let opened = self.opened;
        let was_open = fault.span == opened && self.depth == 0 && *fault == unclosed(opened);
        if !was_open && !self.skip() {
            return None;
        }
        let opened = self.opened;
        self.depth = 0;
        (self.at, self.line, self.line_start) =
            (fault.span.line_start, fault.span.line, fault.span.line_start);
        loop {
            let starts_record = !matches!(
                self.text.get(self.at),
                None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b')' | b'(')
            );
            if starts_record && self.line > first_line {
                // `next_record` is called next and must not move.
                return Some(unclosed(opened));
            }
            self.at = self.line_end(self.at);
            if self.at == self.text.len() {
                return Some(unclosed(opened));
            }
            self.new_line();
        }
    }

    /// Goes on to the end of the record as [`Lexer::next`] would, token after token and fault after fault, without a word about
    /// either: there may be billions. Whether the text ends inside a parenthesis.
    fn skip(&mut self) -> bool {
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'\n' if self.depth == 0 => return false,
                b'\n' => self.new_line(),
                b';' => self.at = self.line_end(self.at),
                b'(' => {
                    if self.depth == 0 {
                        self.opened = self.span(self.at, self.at + 1);
                    }
                    self.depth = (self.depth + 1).min(MAX_PARENTHESES);
                    self.at += 1;
                }
                b')' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.at += 1;
                }
                // Whatever is wrong with it, what comes behind it is found.
                b'"' => drop(self.quoted()),
                b'\\' => {
                    let escapes = !matches!(self.text.get(self.at + 1), None | Some(b'\r' | b'\n'));
                    self.at += 1 + usize::from(escapes);
                }
                _ => self.at += 1,
            }
        }
        std::mem::take(&mut self.depth) > 0
    }

    fn word(&mut self) -> Token<'a> {
        let start = self.at;
        let mut at = start;
        while let Some(&byte) = self.text.get(at) {
            if !ENDS_WORD[usize::from(byte)] {
                at += 1;
            } else if byte == b'\\' {
                let escapes = !matches!(self.text.get(at + 1), None | Some(b'\r' | b'\n'));
                at += 1 + usize::from(escapes);
            } else {
                break;
            }
        }
        (self.at, self.seen) = (at, at);
        Token { kind: Kind::Word, text: &self.text[start..at], span: self.span(start, at) }
    }

    /// A quoted string, in which any byte may stand, the end of a line too (RFC 1035 5.1).
    fn quoted(&mut self) -> Result<Token<'a>, Fault> {
        let start = self.at;
        let mut span = self.span(start, start);
        let mut at = start + 1;
        let (mut line, mut line_start) = (self.line, self.line_start);
        loop {
            match self.text.get(at) {
                Some(b'"') => break,
                // The end of a line behind it is counted in the next round.
                Some(b'\\') => at += 1 + usize::from(!matches!(self.text.get(at + 1), None | Some(b'\n'))),
                Some(b'\n') if at - start <= MAX_TOKEN => {
                    at += 1;
                    (line, line_start) = (line.saturating_add(1), at);
                }
                None | Some(b'\n') => {
                    self.at = self.line_end(start);
                    let span = Span { end: self.at, ..span };
                    return Err(Fault::new(span, "the string is never closed").expected("a closing `\"`"));
                }
                Some(_) => at += 1,
            }
        }
        self.multi_line |= line != self.line;
        (self.at, self.seen) = (at + 1, at + 1);
        (self.line, self.line_start) = (line, line_start);
        span.end = at + 1;
        limited(Token { kind: Kind::Quoted, text: &self.text[start + 1..at], span })
    }

    /// The end of the record, told right behind its last token.
    fn end(&self) -> Token<'a> {
        let at = self.seen.max(self.line_start);
        Token { kind: Kind::End, text: &[], span: self.span(at, at) }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span { start, end, line: self.line, line_start: self.line_start }
    }

    fn new_line(&mut self) {
        self.at += 1;
        self.line = self.line.saturating_add(1);
        self.line_start = self.at;
    }

    fn line_end(&self, from: usize) -> usize {
        self.text[from..]
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(self.text.len(), |length| from + length)
    }
}

/// Bytes at which a word stops, or needs a closer look (`\`).
const ENDS_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let ends = b" \t\r\n;()\"\\\0";
    let mut at = 0;
    while at < ends.len() {
        table[ends[at] as usize] = true;
        at += 1;
    }
    table
};

fn limited(token: Token<'_>) -> Result<Token<'_>, Fault> {
    if token.text.len() <= MAX_TOKEN {
        return Ok(token);
    }
    Err(Fault::new(token.span, "longer than any record can be"))
}

fn unclosed(opened: Span) -> Fault {
    Fault::new(opened, "the parenthesis is never closed").expected("a `)` at the end of the record")
}

#[cfg(test)]
mod tests;
