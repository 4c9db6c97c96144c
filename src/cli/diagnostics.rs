//! Diagnostics as a compiler shows them: the line, a caret under the place, and what was expected there.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::zone::file::diagnostic::{Diagnostic, Severity};

/// The widest tab a caret line is aligned for; sources are shown with tabs as blanks.
const TAB: &str = " ";

/// All diagnostics, one block each, for a terminal; plain text unless `colour`.
pub fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut shown = String::new();
    for diagnostic in diagnostics {
        if !shown.is_empty() {
            shown.push_str("\n\n");
        }
        shown.push_str(&block(&renderer, diagnostic));
    }
    if !shown.is_empty() {
        shown.push('\n');
    }
    shown
}

fn block(renderer: &Renderer, diagnostic: &Diagnostic) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str());
    let line = usize::try_from(diagnostic.line).unwrap_or(usize::MAX);
    let expected = diagnostic.expected.as_ref().map(|expected| format!("expected {expected}"));
    let group: Group<'_> = if diagnostic.source_line.is_empty() {
        let column = usize::try_from(diagnostic.column).unwrap_or(usize::MAX);
        let origin = annotate_snippets::Origin::path(diagnostic.file.as_str()).line(line).char_column(column);
        let group = title.element(origin);
        match &expected {
            Some(expected) => group.element(Level::HELP.message(expected.as_str())),
            None => group,
        }
    } else {
        let source = diagnostic.source_line.replace('\t', TAB);
        let offset = |column: u32| {
            let at = usize::try_from(column).unwrap_or(usize::MAX);
            source.char_indices().nth(at).map_or(source.len(), |(offset, _)| offset)
        };
        let start = diagnostic.column.saturating_sub(1);
        let span = offset(start)..offset(start.saturating_add(diagnostic.length));
        let annotation = AnnotationKind::Primary.span(span).label(expected.as_deref());
        title.element(
            Snippet::source(source.clone())
                .line_start(line)
                .path(diagnostic.file.as_str())
                .annotation(annotation),
        )
    };
    renderer.render(&[group])
}
