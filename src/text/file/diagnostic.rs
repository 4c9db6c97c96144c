//! What a compiler would say about a file: where, what is wrong, and what was expected instead.

use std::fmt;
use std::str::Utf8Chunk;

use crate::text::lexer::Span;

/// The longest line, in bytes, that a diagnostic carries a copy of; what stands further right is only told by number.
const MAX_SOURCE_LINE: usize = 1_000;

/// Something to say about one place of a file.
///
/// Displayed as one line, `file:line:column: error: message (expected ...)`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Diagnostic {
    /// Whether the file is unusable.
    pub severity: Severity,
    /// The file, as the caller named it.
    pub file: String,
    /// The line, counted from 1.
    pub line: u32,
    /// The column of the first character, counted in characters from 1.
    pub column: u32,
    /// How many characters are meant, at least 1.
    pub length: u32,
    /// The line's text without its end; cut after 1,000 bytes, and empty when that cuts off the place itself or
    /// the text is not at hand.
    pub source_line: String,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What was expected, or what to do, as a noun phrase.
    pub expected: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file says something, but perhaps not what was meant.
    Warning,
    /// The file cannot be used.
    Error,
}

impl Diagnostic {
    /// A diagnostic about a stretch of `text`, the content of `file`.
    pub fn at(
        severity: Severity,
        file: &str,
        text: &[u8],
        span: Span,
        message: String,
        expected: Option<String>,
    ) -> Diagnostic {
        let line = text.get(span.line_start..).unwrap_or_default();
        let before = characters(text.get(span.line_start..span.start).unwrap_or_default());
        let length = characters(text.get(span.start..span.end).unwrap_or_default());
        let mut diagnostic = Diagnostic {
            severity,
            file: file.to_owned(),
            line: span.line,
            column: before.saturating_add(1),
            length: length.max(1),
            source_line: String::new(),
            message,
            expected,
        };
        if span.end - span.line_start.min(span.end) <= MAX_SOURCE_LINE {
            diagnostic.source_line = line_text(line);
        }
        diagnostic
    }

    /// Fills in the line from `text`, the content of the file, for a diagnostic that was made from a place alone.
    pub fn show_line(&mut self, text: &[u8]) {
        let index = usize::try_from(self.line.saturating_sub(1)).unwrap_or(usize::MAX);
        if let Some(line) = text.split(|&byte| byte == b'\n').nth(index) {
            self.source_line = line_text(line);
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic { severity, file, line, column, message, .. } = self;
        write!(f, "{file}:{line}:{column}: {severity}: {message}")?;
        match &self.expected {
            Some(expected) => write!(f, " (expected {expected})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// The first line of `text`, as far as it is shown.
fn line_text(text: &[u8]) -> String {
    let shown = &text[..text.len().min(MAX_SOURCE_LINE)];
    let end = shown.iter().position(|&byte| byte == b'\n').unwrap_or(shown.len());
    let line = shown[..end].strip_suffix(b"\r").unwrap_or(&shown[..end]);
    String::from_utf8_lossy(line).into_owned()
}

fn characters(text: &[u8]) -> u32 {
    // As many as the text has where it is shown, but counted in place: it may be all of a large file.
    let of = |chunk: Utf8Chunk<'_>| chunk.valid().chars().count() + usize::from(!chunk.invalid().is_empty());
    let count = if text.is_ascii() { text.len() } else { text.utf8_chunks().map(of).sum() };
    u32::try_from(count).unwrap_or(u32::MAX)
}
