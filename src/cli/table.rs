//! Tables for people: columns aligned, cut to the width of the terminal, in colour only there.

use std::borrow::Cow;
use std::io::{self, Write};

use clap::builder::styling::{AnsiColor, Style};
use console::{Term, measure_text_width, truncate_str};

/// Between two columns.
const GAP: &str = "  ";
/// A column is not cut below this many characters; a table that still does not fit is left to the terminal to wrap.
const NARROWEST: usize = 8;
/// Column titles.
const TITLE: Style = Style::new().bold();

/// Something good.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Something to look at.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// Something bad.
pub const BAD: Style = AnsiColor::Red.on_default();
/// Something beside the point.
pub const DIM: Style = Style::new().dimmed();

/// Rows under titled columns.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// A column's title, and on which side its cells stand.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    right: bool,
}

/// What stands in one place of a table. Control characters are shown as `?`, because names and texts from other servers
/// must not steer the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Column {
    /// A column of text.
    pub const fn left(title: &'static str) -> Column {
        Column { title, right: false }
    }

    /// A column of numbers.
    pub const fn right(title: &'static str) -> Column {
        Column { title, right: true }
    }
}

impl Cell {
    /// Text in a colour.
    pub fn styled(text: impl AsRef<str>, style: Style) -> Cell {
        let text = text.as_ref().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        Cell { text, style }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::styled(text, Style::new())
    }
}

impl Table {
    /// A table without rows.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Table {
        Table { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row. Cells that are missing are empty; cells without a column are not shown.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as lines, with ANSI escapes, each line at most `width` characters wide where one is given.
    pub fn render(&self, width: Option<usize>) -> String {
        let widths = self.widths(width);
        let mut out = String::new();
        let titles: Vec<Cell> = self.columns.iter().map(|column| Cell::styled(column.title, TITLE)).collect();
        for cells in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            let mut owed = 0;
            for (at, (column, &width)) in self.columns.iter().zip(&widths).enumerate() {
                let cell = cells.get(at).map_or((Cow::Borrowed(""), Style::new()), |cell| {
                    (truncate_str(&cell.text, width, "…"), cell.style)
                });
                let spare = width.saturating_sub(measure_text_width(&cell.0));
                // Blanks are owed until something follows them, so that no line ends in blanks.
                let before = owed + if column.right { spare } else { 0 };
                if cell.0.is_empty() {
                    owed = before + if column.right { 0 } else { spare } + GAP.len();
                    continue;
                }
                let (text, style) = cell;
                line.extend(std::iter::repeat_n(' ', before));
                line.push_str(&format!("{style}{text}{style:#}"));
                owed = if column.right { 0 } else { spare } + GAP.len();
            }
            out.push_str(&line);
            out.push('\n');
        }
        out
    }

    /// Writes the table to standard output: cut to its width and in colour on a terminal, whole and plain elsewhere
    /// (unless colour was asked for).
    pub fn print(&self) -> io::Result<()> {
        anstream::stdout().write_all(self.render(terminal_width()).as_bytes())
    }

    /// How wide each column becomes: the widest is cut first until all fit.
    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> =
            self.columns.iter().map(|column| measure_text_width(column.title)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(measure_text_width(&cell.text));
            }
        }
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        let Some(limit) = limit else { return widths };
        while widths.iter().sum::<usize>() + gaps > limit {
            match widths.iter_mut().max() {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                _ => break,
            }
        }
        widths
    }
}

/// The width of the terminal on standard output; `None` when there is none.
pub fn terminal_width() -> Option<usize> {
    let term = Term::stdout();
    if term.is_term() { term.size_checked().map(|(_, columns)| usize::from(columns)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(table: &Table, width: Option<usize>) -> String {
        console::strip_ansi_codes(&table.render(width)).into_owned()
    }

    fn table() -> Table {
        let mut table = Table::new([Column::left("ZONE"), Column::right("SERIAL"), Column::left("STATE")]);
        table.row(["example.".into(), "7".into(), Cell::styled("current", GOOD)]);
        table.row(["a-rather-long-name.example.".into(), "2026112100".into(), Cell::styled("behind", WARN)]);
        table
    }

    #[test]
    fn columns_are_aligned() {
        let expected = "\
ZONE                             SERIAL  STATE
example.                              7  current
a-rather-long-name.example.  2026112100  behind
";
        assert_eq!(plain(&table(), None), expected);
        assert_eq!(plain(&table(), Some(80)), expected);
    }

    #[test]
    fn the_widest_column_is_cut_to_fit() {
        let expected = "\
ZONE               SERIAL  STATE
example.                7  current
a-rather-lon…  2026112100  behind
";
        assert_eq!(plain(&table(), Some(34)), expected);
        assert!(plain(&table(), Some(1)).contains("a-rathe…"));
    }

    #[test]
    fn no_line_ends_in_blanks() {
        let mut table = table();
        table.row(["short.".into()]);
        table.row(["".into(), "".into(), "odd".into()]);
        let text = plain(&table, None);
        assert!(text.lines().all(|line| !line.ends_with(' ')), "{text}");
        assert!(text.ends_with("\nshort.\n                                         odd\n"), "{text}");
    }

    #[test]
    fn wide_characters_count_double_and_control_characters_are_disarmed() {
        let mut table = Table::new([Column::left("A"), Column::left("B")]);
        table.row(["日本".into(), "x".into()]);
        table.row(["\u{1b}[2Jé".into(), "y".into()]);
        assert_eq!(plain(&table, None), "A      B\n日本   x\n?[2Jé  y\n");
    }
}
