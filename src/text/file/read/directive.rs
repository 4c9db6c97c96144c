//! Directives: lines that begin with `$`.

use super::{MAX_GENERATED, MAX_GENERATED_TEXT, MAX_INCLUDE_DEPTH, MAX_INCLUDES, Reader};
use crate::text::file::generate::{Pattern, Range};
use crate::text::file::{head, suggest};
use crate::text::lexer::{Fault, Kind, Lexer, Span, Token, shown};
use crate::text::rdata::mnemonic;
use crate::text::rdata::names::Names;
use crate::wire::name::{MAX_NAME, Name};

impl Reader<'_, '_, '_> {
    pub(super) fn directive(&mut self, word: &Token<'_>, lexer: &mut Lexer<'_>) -> Result<(), Fault> {
        let name = word.text.to_ascii_uppercase();
        match &name[..] {
            b"$ORIGIN" => {
                let token = lexer.next()?;
                if let Some(zone) = self.undotted(&token) {
                    self.begin_at(zone);
                    return Err(suggest::undotted(token.span));
                }
                let origin = self.name(&token)?;
                lexer.expect_end(|| "`$ORIGIN` directive".to_owned())?;
                if self.apex.is_none() && suggest::looks_complete(&token) {
                    self.warnings.push(suggest::relative(token.span, &origin));
                }
                self.first_origin.get_or_insert_with(|| origin.clone());
                self.origin = Some(origin);
                Ok(())
            }
            b"$TTL" => {
                let token = lexer.expect_word("a TTL such as 3600 or 1h")?;
                let ttl = head::ttl(&token)?;
                lexer.expect_end(|| "`$TTL` directive".to_owned())?;
                self.default_ttl = Some(head::bounded(ttl, token.span, &mut self.warnings));
                Ok(())
            }
            b"$INCLUDE" => self.include(lexer),
            b"$GENERATE" => self.generate(word, lexer),
            _ => {
                let message = format!("`{}` is no directive", shown(word.text));
                let expected = match suggest::directive(word.text) {
                    Some(meant) => meant,
                    None => format!(
                        "{}, or `\\$` for a name that begins with `$`",
                        suggest::DIRECTIVES.join(", ")
                    ),
                };
                Err(Fault::new(word.span, message).expected(expected))
            }
        }
    }

    fn name(&mut self, token: &Token<'_>) -> Result<Name, Fault> {
        let mut wire = Vec::with_capacity(MAX_NAME);
        let mut names = Names { apex: self.apex.as_deref(), ..Names::below(self.origin.as_deref()) };
        names.read(token, &mut wire)?;
        match (names.doubled, &self.apex) {
            (Some(span), None) => return Err(suggest::origin_doubled(span)),
            (doubled, _) => self.warnings.extend(doubled.map(suggest::doubled)),
        }
        Name::from_wire(&wire).map_err(|error| Fault::new(token.span, error.to_string()))
    }

    /// `$INCLUDE file [origin]`: the origin and the owner are the includer's again afterwards (RFC 1035 5.1).
    fn include(&mut self, lexer: &mut Lexer<'_>) -> Result<(), Fault> {
        let token = lexer.expect_text("the path of a file")?;
        let origin = match lexer.peek()?.kind {
            Kind::End => self.origin.clone(),
            _ => Some(self.name(&lexer.next()?)?),
        };
        lexer.expect_end(|| "`$INCLUDE` directive".to_owned())?;
        let refuse = |message: String| Err(Fault::new(token.span, message));
        let Ok(path) = std::str::from_utf8(token.text) else {
            return refuse("the path is not UTF-8".to_owned());
        };
        if self.open.len() > MAX_INCLUDE_DEPTH {
            return refuse(format!("files include each other more than {MAX_INCLUDE_DEPTH} deep"));
        }
        self.includes += 1;
        if self.includes > MAX_INCLUDES {
            return refuse(format!("more than {MAX_INCLUDES} files are included"));
        }
        let includer = self.open.last().map_or("", |&index| &self.outcome.files[usize::from(index)]);
        let (name, text) = match (self.include)(path, includer) {
            Ok(included) => included,
            Err(reason) => return refuse(format!("cannot include `{}`: {reason}", shown(token.text))),
        };
        if self.open.iter().any(|&index| self.outcome.files[usize::from(index)] == name) {
            return refuse(format!("`{name}` includes itself"));
        }
        let owner = self.owner.clone();
        let outer_origin = std::mem::replace(&mut self.origin, origin);
        self.file(&name, &text);
        self.origin = outer_origin;
        self.owner = owner;
        Ok(())
    }

    fn generate(&mut self, word: &Token<'_>, lexer: &mut Lexer<'_>) -> Result<(), Fault> {
        let token = lexer.next()?;
        let range = Range::read(&token)?;
        if range.count() > MAX_GENERATED - self.generated {
            let message = format!("`$GENERATE` makes more than {MAX_GENERATED} records in this zone");
            return Err(Fault::new(token.span, message));
        }
        self.generated += range.count();
        let owner = lexer.expect_word("an owner name with `$` in it")?;
        let mut pattern = Pattern::default();
        pattern.push_bare(&owner)?;
        let mut span = Span { end: owner.span.end, ..word.span };
        let mut typed = false;
        loop {
            let token = lexer.next()?;
            if token.kind == Kind::End {
                break;
            }
            if token.span.line == span.line {
                span.end = token.span.end;
            }
            // As in BIND, data that is one quoted string is the text inside it.
            if typed && token.kind == Kind::Quoted && lexer.peek()?.kind == Kind::End {
                pattern.push(&Token { kind: Kind::Word, ..token })?;
                typed = false;
                continue;
            }
            typed = !typed && mnemonic::rtype(token.text).is_some();
            pattern.push(&token)?;
        }
        let mut line = Vec::new();
        for counter in range.numbers() {
            if self.is_stopped {
                break;
            }
            pattern.expand(counter, span, &mut line)?;
            self.generated_text += line.len();
            if self.generated_text > MAX_GENERATED_TEXT {
                let message =
                    format!("`$GENERATE` makes more than {MAX_GENERATED_TEXT} bytes of text in this zone");
                return Err(Fault::new(span, message));
            }
            let mut made = Lexer::new(&line);
            let place = self.place(word);
            let record = made.next().and_then(|first| self.record(first, false, place, &mut made));
            // What holds for one of the records holds for all of them: the first is warned about.
            self.warnings.truncate(1);
            if let Some(warning) = self.warnings.first_mut() {
                warning.span = span;
            }
            record.map_err(|fault| self::made(fault, span, counter, &line))?;
        }
        Ok(())
    }
}

/// A fault in a record that `$GENERATE` made, told at the directive.
#[cold]
fn made(fault: Fault, span: Span, counter: u32, line: &[u8]) -> Fault {
    let message = format!("{}: `{}`, made for {counter}", fault.message, shown(line));
    Fault { span, message, ..fault }
}
