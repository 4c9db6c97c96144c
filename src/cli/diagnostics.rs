//! Diagnostics as a compiler shows them: the line, a caret under the place, and what was expected there.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::text::file::diagnostic::{Diagnostic, Severity};

/// What a tab is shown as: one blank, so that columns keep their numbers.
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
        let origin = Origin::path(diagnostic.file.as_str()).line(line).char_column(column);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::file::read::read;

    fn shown(text: &str, colour: bool) -> String {
        let outcome = read(
            "zone",
            text.as_bytes(),
            None,
            &mut |_, _| Err("there is no such file".to_owned()),
            &mut |_| {},
        );
        render(&outcome.diagnostics, colour)
    }

    #[test]
    fn the_place_is_marked() {
        let shown = shown("$ORIGIN x.\n$TTL 1\na\tAAA 1\n\u{e9} A (\u{e9}\u{e9}\n)\nw.x A 192.0.2.1", false);
        let expected = "\
error: `AAA` is no record type
 --> zone:3:3
  |
3 | a AAA 1
  |   ^^^ expected `A` or `AAAA`

error: found `\u{e9}\u{e9}` in the A record
 --> zone:4:6
  |
4 | \u{e9} A (\u{e9}\u{e9}
  |      ^^ expected an IPv4 address such as 192.0.2.1

warning: this name ends in the zone's name twice
 --> zone:6:1
  |
6 | w.x A 192.0.2.1
  | ^^^ expected a final dot behind it, if it is complete
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_line_too_long_to_show_is_told_by_number() {
        let shown = shown(&format!("$ORIGIN x.\n$TTL 1\na {} A 1", " ".repeat(2_000)), false);
        assert!(shown.contains("zone:3:2006") && shown.contains("help: expected an IPv4 address"), "{shown}");
        assert!(shown.len() < 200);
    }

    #[test]
    fn colour_is_asked_for() {
        assert!(shown("a", true).contains("\u{1b}["));
        assert!(!shown("a", false).contains("\u{1b}["));
        assert_eq!(shown("", true), "");
    }
}
