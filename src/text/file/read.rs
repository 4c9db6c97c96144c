//! Reads a zone file in one pass: records go to a closure, faults into a list, and no file is opened here.

use std::ops::ControlFlow;

use super::diagnostic::{Diagnostic, Severity};
use super::head::{self, MAX_TTL};
use super::suggest;
use crate::text::lexer::{Fault, Kind, Lexer, Token};
use crate::text::rdata::names::Names;
use crate::text::rdata::read as rdata;
use crate::wire::name::{MAX_NAME, Name, NameRef};
use crate::wire::rtype::Rtype;

mod directive;

/// Reading stops after this many errors: the later ones are mostly consequences of the first.
pub const MAX_ERRORS: usize = 20;
/// Warnings beyond this many are left out.
pub const MAX_WARNINGS: usize = 100;
/// How deep files may include each other.
pub const MAX_INCLUDE_DEPTH: usize = 16;
/// How many inclusions one zone may have, so that a few files that include each other twice cannot keep us for ever.
pub const MAX_INCLUDES: usize = 1_000;
/// How many records `$GENERATE` may make for one zone: enough for the reverse zone of 16 networks of /16.
pub const MAX_GENERATED: u64 = 1 << 20;
/// How much text `$GENERATE` may make for one zone, in bytes.
pub const MAX_GENERATED_TEXT: usize = 256 << 20;

/// A record of the file.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The owner, as written (case kept), completed with the origin.
    pub owner: &'a NameRef,
    /// The type; never a meta type. The class is always IN.
    pub rtype: Rtype,
    /// The TTL in seconds.
    pub ttl: u32,
    /// Uncompressed RDATA that has the layout of its type.
    pub rdata: &'a [u8],
    /// Where the record begins.
    pub at: Place,
}

/// Where a record begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Index into [`Outcome::files`].
    pub file: u16,
    /// The line, counted from 1.
    pub line: u32,
    /// The column of the first token, counted from 1.
    pub column: u32,
}

/// What there is to say about a file that was read.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The owner of the first SOA record, or else the first `$ORIGIN`.
    pub origin: Option<Name>,
    /// The files that were read, the first one first.
    pub files: Vec<String>,
    /// Faults in the order they were found; without an error among them, every record was reported.
    pub diagnostics: Vec<Diagnostic>,
}

impl Outcome {
    /// Whether there is no error among the diagnostics.
    pub fn is_ok(&self) -> bool {
        !self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// A diagnostic about the record at `at`, for faults that show only when the whole zone is known. It comes without
    /// the line's text; [`Diagnostic::show_line`] adds that.
    pub fn diagnostic(
        &self,
        severity: Severity,
        at: Place,
        message: String,
        expected: Option<String>,
    ) -> Diagnostic {
        Diagnostic {
            severity,
            file: self.files.get(usize::from(at.file)).cloned().unwrap_or_default(),
            line: at.line,
            column: at.column,
            length: 1,
            source_line: String::new(),
            message,
            expected,
        }
    }
}

/// What fetches an included file: given the path as written and the name of the file that includes it, it returns the
/// included file's name and content, or why it cannot be had.
pub type Include<'f> = dyn FnMut(&str, &str) -> Result<(String, Vec<u8>), String> + 'f;

/// What takes the records: reading goes on until it breaks.
pub type Each<'e> = dyn FnMut(&Entry<'_>) -> ControlFlow<()> + 'e;

/// Reads the zone file `text`, which messages call `file`, and calls `each` for every good record, in the file's order.
///
/// Relative names are below `origin` until the first `$ORIGIN`. A record that is wrong is skipped, and so are records
/// that take over a wrong owner.
pub fn read(
    file: &str,
    text: &[u8],
    origin: Option<&NameRef>,
    include: &mut Include<'_>,
    each: &mut dyn FnMut(&Entry<'_>),
) -> Outcome {
    let each = &mut |entry: &Entry<'_>| {
        each(entry);
        ControlFlow::Continue(())
    };
    read_while(file, text, origin, include, each)
}

/// Like [`read`], but stops as soon as `each` breaks: the outcome is then that of the text so far.
pub fn read_while(
    file: &str,
    text: &[u8],
    origin: Option<&NameRef>,
    include: &mut Include<'_>,
    each: &mut Each<'_>,
) -> Outcome {
    let mut reader = Reader {
        include,
        each,
        origin: origin.map(NameRef::to_name),
        apex: None,
        first_origin: None,
        default_ttl: None,
        last_ttl: None,
        soa_seen: false,
        owner: Vec::with_capacity(MAX_NAME),
        owner_faulty: false,
        rdata: Vec::with_capacity(MAX_NAME),
        warnings: Vec::new(),
        open: Vec::new(),
        includes: 0,
        generated: 0,
        generated_text: 0,
        errors: 0,
        is_stopped: false,
        outcome: Outcome::default(),
    };
    reader.file(file, text);
    reader.outcome.origin = reader.apex.or(reader.first_origin);
    reader.outcome
}

struct Reader<'f, 'i, 'e> {
    include: &'f mut Include<'i>,
    each: &'f mut Each<'e>,
    origin: Option<Name>,
    /// The owner of the first SOA.
    apex: Option<Name>,
    first_origin: Option<Name>,
    /// `$TTL` (RFC 2308 section 4).
    default_ttl: Option<u32>,
    /// The last TTL that was stated (RFC 1035 5.1), or that an SOA took from its minimum.
    last_ttl: Option<u32>,
    /// Whether an SOA was read, or what is wrong with one was told.
    soa_seen: bool,
    /// The last owner in wire form; empty before the first.
    owner: Vec<u8>,
    owner_faulty: bool,
    /// The RDATA being read.
    rdata: Vec<u8>,
    /// Warnings about the record being read.
    warnings: Vec<Fault>,
    /// The files being read, outermost first, as indices into `outcome.files`.
    open: Vec<u16>,
    includes: usize,
    generated: u64,
    generated_text: usize,
    errors: usize,
    /// Whether `each` wants no more.
    is_stopped: bool,
    outcome: Outcome,
}

impl Reader<'_, '_, '_> {
    /// Reads one file from its start to its end, or to the last error that is reported.
    fn file(&mut self, name: &str, text: &[u8]) {
        let known = self.outcome.files.iter().position(|file| file == name);
        let index = known.unwrap_or_else(|| {
            self.outcome.files.push(name.to_owned());
            self.outcome.files.len() - 1
        });
        // There are at most MAX_INCLUDES files, and one.
        self.open.push(index as u16);
        let mut lexer = Lexer::new(text);
        if let Some(span) = lexer.skip_byte_order_mark() {
            let fault =
                Fault::new(span, "the file begins with a byte order mark, which no name server takes");
            self.report(Severity::Error, text, fault.expected("a file without it"));
        }
        loop {
            let begin = lexer.line();
            let entry = self.entry(&mut lexer);
            for warning in std::mem::take(&mut self.warnings) {
                self.report(Severity::Warning, text, warning);
            }
            if let Err(fault) = entry {
                match lexer.recover(&fault, begin) {
                    // Behind an open parenthesis everything looks wrong; the parenthesis is what to mend.
                    Some(unclosed) if fault.span.line > unclosed.span.line || fault == unclosed => {
                        self.report(Severity::Error, text, unclosed);
                    }
                    Some(unclosed) => {
                        self.report(Severity::Error, text, fault);
                        self.report(Severity::Error, text, unclosed);
                    }
                    None => self.report(Severity::Error, text, fault),
                }
            }
            if self.is_stopped || self.errors >= MAX_ERRORS || !lexer.next_record() {
                break;
            }
        }
        self.open.pop();
    }

    fn report(&mut self, severity: Severity, text: &[u8], fault: Fault) {
        let Fault { span, message, expected } = fault;
        match severity {
            Severity::Error if self.errors >= MAX_ERRORS => return,
            Severity::Error => self.errors += 1,
            Severity::Warning if self.outcome.diagnostics.len() >= MAX_WARNINGS + self.errors => return,
            Severity::Warning => {}
        }
        let file = self.open.last().map_or("", |&index| &self.outcome.files[usize::from(index)]);
        let mut diagnostic = Diagnostic::at(severity, file, text, span, message, expected);
        if self.errors == MAX_ERRORS && severity == Severity::Error {
            diagnostic.message.push_str(&format!("; reading stopped after {MAX_ERRORS} errors"));
        }
        self.outcome.diagnostics.push(diagnostic);
    }

    /// Reads a record, a directive or an empty line.
    fn entry(&mut self, lexer: &mut Lexer<'_>) -> Result<(), Fault> {
        let same_owner = lexer.at_blank();
        let first = lexer.next()?;
        if first.kind == Kind::End {
            return Ok(());
        }
        if !same_owner && first.kind == Kind::Word && first.text.starts_with(b"$") {
            return self.directive(&first, lexer);
        }
        let place = self.place(&first);
        let behind = same_owner.then_some(*lexer);
        self.record(first, same_owner, place, lexer).map_err(|fault| match behind {
            Some(behind) if !self.owner.is_empty() => head::behind_blank(fault, &first, behind),
            _ => fault,
        })
    }

    fn place(&self, first: &Token<'_>) -> Place {
        let column = first.span.start - first.span.line_start + 1;
        Place {
            file: self.open.last().copied().unwrap_or_default(),
            line: first.span.line,
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }

    /// Reads a record whose first token, the owner unless that is the same as before, was read.
    fn record<'t>(
        &mut self,
        first: Token<'t>,
        same_owner: bool,
        at: Place,
        lexer: &mut Lexer<'t>,
    ) -> Result<(), Fault> {
        let mut names = Names { apex: self.apex.as_deref(), ..Names::below(self.origin.as_deref()) };
        let mut token = first;
        if !same_owner {
            self.owner.clear();
            self.owner_faulty = true;
            names.read(&first, &mut self.owner)?;
            self.owner_faulty = false;
            token = lexer.next()?;
        } else if self.owner.is_empty() && !self.owner_faulty {
            return Err(Fault::new(
                first.span,
                "the line begins with a blank, but there is no owner before it to repeat",
            )
            .expected("an owner name at the start of the line"));
        }
        let (owner_doubled, owner_at_sign) = (names.doubled.take(), names.at_sign.take());
        let (stated_ttl, rtype) = head::read(token, lexer)?;
        let stated_ttl = stated_ttl.map(|ttl| head::bounded(ttl, token.span, &mut self.warnings));
        // `com` below `$ORIGIN com.` may be meant for the zone `com.com.`.
        let is_meant = || self.origin.as_ref().is_some_and(|origin| origin.labels().count() == 1);
        self.soa_seen |= rtype == Rtype::SOA;
        if rtype == Rtype::SOA
            && !same_owner
            && let Some(zone) = self.undotted(&first)
        {
            self.begin_at(zone);
            return Err(suggest::undotted(first.span));
        }
        if let (Rtype::SOA, None, Some(span)) = (rtype, &self.apex, owner_doubled)
            && (self.first_origin.is_none() || !is_meant())
        {
            return Err(suggest::soa_doubled(span));
        }
        self.rdata.clear();
        rdata::read(rtype, lexer, &mut names, &mut self.rdata)?;
        if self.rdata.len() > rdata::MAX_RDATA {
            let message = format!("the {rtype} record is longer than {} bytes", rdata::MAX_RDATA);
            return Err(Fault::new(first.span, message));
        }
        if lexer.has_multi_line_string() {
            let message = "a string of this record goes on over the end of its line";
            self.warnings.push(Fault::new(first.span, message).expected("a `\"` on the same line"));
        }
        if rtype == Rtype::TXT {
            self.warnings.extend(lexer.cut_word().map(suggest::cut_text));
        }
        let at_sign = |part, span| suggest::at_sign(span, lexer.text_of(span), part, rtype);
        self.warnings.extend(owner_at_sign.map(|span| at_sign("owner", span)));
        self.warnings.extend(names.at_sign.map(|span| match rtype {
            Rtype::SOA => suggest::mailbox(span),
            _ => at_sign("name", span),
        }));
        for span in [owner_doubled, names.doubled].into_iter().flatten() {
            self.warnings.push(suggest::doubled(span));
        }
        let ttl = match (stated_ttl.or(self.default_ttl).or(self.last_ttl), rtype) {
            (Some(ttl), _) => ttl,
            (None, Rtype::SOA) => {
                // Its minimum is the last field.
                let minimum = self.rdata.last_chunk().map_or(0, |&minimum| u32::from_be_bytes(minimum));
                self.last_ttl = Some(minimum.min(MAX_TTL));
                minimum.min(MAX_TTL)
            }
            // It would have had one of the SOA that is to be mended.
            (None, _) if self.soa_seen => 0,
            (None, _) => {
                return Err(Fault::new(first.span, "no TTL is known for this record")
                    .expected("a TTL before the type, or a `$TTL` line above"));
            }
        };
        if stated_ttl.is_some() {
            self.last_ttl = stated_ttl;
        }
        if self.owner_faulty {
            return Ok(());
        }
        // A faulty owner leaves before this, so the bytes are a name.
        let Ok(owner) = NameRef::read(&self.owner) else { return Ok(()) };
        if rtype == Rtype::SOA && self.apex.is_none() {
            self.apex = Some(owner.to_name());
            if !same_owner && self.first_origin.is_none() && suggest::looks_complete(&first) {
                self.warnings.push(suggest::relative(first.span, owner));
            }
        }
        self.is_stopped = (self.each)(&Entry { owner, rtype, ttl, rdata: &self.rdata, at }).is_break();
        Ok(())
    }

    /// The zone that an `$ORIGIN` or the owner of an SOA gives but for its final dot, where nothing has told of the zone before but
    /// for a name of one label, as a file's name often is by chance.
    fn undotted(&self, token: &Token<'_>) -> Option<Name> {
        let is_vague = self.origin.as_ref().is_none_or(|origin| origin.labels().count() == 1);
        if self.apex.is_some() || self.first_origin.is_some() || !is_vague || !suggest::looks_complete(token)
        {
            return None;
        }
        let mut wire = Vec::with_capacity(MAX_NAME);
        Names::below(Some(&Name::root())).read(token, &mut wire).ok()?;
        let zone = Name::from_wire(&wire).ok()?;
        // One that ends in the name of one label is told of as doubled.
        self.origin.as_ref().is_none_or(|origin| !zone.is_in(origin)).then_some(zone)
    }

    /// Goes on as if the zone's name had its final dot, so that what else is wrong is found.
    fn begin_at(&mut self, zone: Name) {
        self.first_origin = Some(zone.clone());
        self.origin = Some(zone);
    }
}

#[cfg(test)]
mod tests;
