//! Why a configuration was refused: each place, what is wrong there, and what to do.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// So many errors of a configuration are told; the others are counted.
const MAX_TOLD: usize = 20;

/// A configuration that cannot be used. Nothing has been changed when this is returned.
#[derive(Clone, Debug)]
pub struct Errors {
    /// In the order of the file; at least one.
    told: Vec<Error>,
    more: usize,
}

/// One thing that is wrong with it.
#[derive(Clone, Debug)]
pub struct Error(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    path: PathBuf,
    /// The whole file, or nothing when it could not be read.
    text: Arc<str>,
    message: String,
    place: Option<Mark>,
    other: Option<Mark>,
    help: Option<String>,
}

/// A part of the file with a note beside it.
#[derive(Clone, Debug)]
struct Mark {
    span: Range<usize>,
    label: String,
}

impl Errors {
    /// The first of them.
    pub fn first(&self) -> Option<&Error> {
        self.told.first()
    }

    /// Those that are told.
    pub fn iter(&self) -> impl Iterator<Item = &Error> {
        self.told.iter()
    }

    /// All of these, if there are any.
    pub fn of(errors: impl IntoIterator<Item = Error>) -> Option<Errors> {
        let mut found = Found::default();
        errors.into_iter().for_each(|error| found.add(error));
        found.finish()
    }

    /// How many there are, told or not.
    pub fn count(&self) -> usize {
        self.told.len() + self.more
    }

    /// All that are told as they are shown to people: a block each, and behind them how many there are besides. No final newline.
    /// `colour` adds ANSI escapes.
    pub fn render(&self, colour: bool) -> String {
        let mut blocks: Vec<String> = self.told.iter().map(|error| error.render(colour)).collect();
        if self.more > 0 {
            blocks.push(format!("and {} more errors; mend these first", self.more));
        }
        blocks.join("\n\n")
    }
}

impl From<Error> for Errors {
    fn from(error: Error) -> Errors {
        Errors { told: vec![error], more: 0 }
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Errors {}

/// Errors while they are being found.
#[derive(Debug, Default)]
pub(super) struct Found {
    told: Vec<Error>,
    more: usize,
}

impl Found {
    /// Takes one in.
    pub(super) fn add(&mut self, error: Error) {
        match self.is_full() {
            true => self.more += 1,
            false => self.told.push(error),
        }
    }

    /// Whether as many were found as are told.
    pub(super) fn is_full(&self) -> bool {
        self.told.len() >= MAX_TOLD
    }

    /// All of them; `None` where nothing is wrong.
    pub(super) fn finish(self) -> Option<Errors> {
        let Found { mut told, more } = self;
        told.sort_by_key(|error| error.0.place.as_ref().map(|place| place.span.start));
        (!told.is_empty()).then_some(Errors { told, more })
    }
}

impl Error {
    /// A message about the file at `path` as a whole.
    pub(super) fn new(path: &Path, text: &Arc<str>, message: impl Into<String>) -> Error {
        Error(Box::new(Parts {
            path: path.to_path_buf(),
            text: Arc::clone(text),
            message: message.into(),
            place: None,
            other: None,
            help: None,
        }))
    }

    /// Points at bytes of the text, with a note that may be empty.
    pub(super) fn at(mut self, span: Range<usize>, label: impl Into<String>) -> Error {
        self.0.place = Some(self.0.mark(span, label.into()));
        self
    }

    /// Points at a second place that has to do with it.
    pub(super) fn and(mut self, span: Range<usize>, label: impl Into<String>) -> Error {
        self.0.other = Some(self.0.mark(span, label.into()));
        self
    }

    /// Says what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Error {
        self.0.help = Some(help.into());
        self
    }

    /// What is wrong, in one line without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do about it: the note beside its place, and the next step.
    pub fn advice(&self) -> Option<String> {
        let label = self.0.place.as_ref().map(|mark| mark.label.as_str()).filter(|label| !label.is_empty());
        let parts: Vec<&str> = label.into_iter().chain(self.0.help.as_deref()).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Where it is, in a word: the file, with line and column where there are any.
    pub fn location(&self) -> String {
        let path = self.0.path.display();
        self.place().map_or_else(|| path.to_string(), |(line, column)| format!("{path}:{line}:{column}"))
    }

    /// Line and column, both counted from 1 and the column in characters; `None` when it is about the whole file.
    pub fn place(&self) -> Option<(usize, usize)> {
        let start = self.0.place.as_ref()?.span.start;
        let before = self.0.text.get(..start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
    }

    /// The whole message as it is shown to people, with source line and caret, several lines without a final newline.
    /// `colour` adds ANSI escapes.
    pub fn render(&self, colour: bool) -> String {
        let parts = &*self.0;
        let path = parts.path.display().to_string();
        let mut group = Group::with_title(Level::ERROR.primary_title(parts.message.as_str()));
        match &parts.place {
            Some(place) => {
                let mut marks = vec![AnnotationKind::Primary.span(place.span.clone()).label(label(place))];
                if let Some(other) = &parts.other {
                    marks.push(AnnotationKind::Context.span(other.span.clone()).label(label(other)));
                }
                group = group.element(Snippet::source(&*parts.text).path(path.as_str()).annotations(marks));
            }
            None => group = group.element(Origin::path(path.as_str())),
        }
        if let Some(help) = &parts.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Error {}

impl Parts {
    /// A mark inside the text and on character boundaries whatever `span` says, so that it can be drawn.
    fn mark(&self, span: Range<usize>, label: String) -> Mark {
        let (mut start, mut end) = (span.start.min(self.text.len()), span.end.min(self.text.len()));
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        Mark { span: start..end.max(start), label }
    }
}

fn label(mark: &Mark) -> Option<&str> {
    (!mark.label.is_empty()).then_some(&mark.label)
}
