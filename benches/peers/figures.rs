//! The table: a figure for each server, ratios, and whether each goal is met.

use std::fmt::Write as _;
use std::ops::Range;

use super::server::Make;
use super::verdict::{is_within, number, ratio, shown};

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// Whose values it may have.
    pub(crate) columns: &'static [Make],
    /// What was measured, with its unit.
    pub(crate) what: String,
    /// The value of each server that has one.
    pub(crate) values: Vec<(Make, f64)>,
    /// What tidemark's value has to be.
    pub(crate) goals: Vec<Goal>,
}

/// A bound on tidemark's value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// At most so many times another server's.
    Times(f64, Make),
    /// At most this, whatever the others do.
    AtMost(f64),
    /// More than this.
    MoreThan(f64),
}

impl Figure {
    /// A row without goals.
    pub(crate) fn new(what: impl Into<String>) -> Figure {
        Figure::of(&Make::ALL, what)
    }

    /// A row of other columns.
    pub(crate) fn of(columns: &'static [Make], what: impl Into<String>) -> Figure {
        Figure { columns, what: what.into(), values: Vec::new(), goals: Vec::new() }
    }

    /// Adds a server's value.
    pub(crate) fn put(&mut self, make: Make, value: f64) {
        self.values.push((make, value));
    }

    /// The same with goals.
    pub(crate) fn goals(mut self, goals: &[Goal]) -> Figure {
        self.goals.extend(goals);
        self
    }

    /// A server's value.
    pub(crate) fn value(&self, make: Make) -> Option<f64> {
        self.values.iter().find(|(other, _)| *other == make).map(|&(_, value)| value)
    }

    /// Whether all goals are met by the figures as they are printed; `None` without goals or figures.
    pub(crate) fn met(&self) -> Option<bool> {
        let mine = self.value(Make::Tidemark)?;
        let met = |goal: &Goal| match *goal {
            Goal::Times(times, make) => self.value(make).map(|theirs| is_within(mine, times, theirs)),
            Goal::AtMost(limit) => Some(shown(mine) <= shown(limit)),
            Goal::MoreThan(limit) => Some(shown(mine) > shown(limit)),
        };
        let all: Vec<bool> = self.goals.iter().filter_map(met).collect();
        (!all.is_empty()).then(|| all.iter().all(|&met| met))
    }

    /// Whether the row says how tidemark stands, rather than where that comes from.
    fn is_main(&self) -> bool {
        !self.goals.is_empty() || self.what.contains("kq/s")
    }

    fn ratio(&self, make: Make) -> String {
        match (self.value(Make::Tidemark), self.value(make)) {
            (Some(mine), Some(theirs)) => ratio(mine, theirs).unwrap_or_default(),
            _ => String::new(),
        }
    }

    fn verdict(&self) -> String {
        self.met().map_or("", |met| if met { "met" } else { "MISSED" }).to_owned()
    }

    fn goal(&self) -> String {
        let goals: Vec<String> = self
            .goals
            .iter()
            .map(|goal| match goal {
                Goal::Times(times, make) => format!("{times:.2} x {}", make.name()),
                Goal::AtMost(limit) => format!("at most {}", number(*limit)),
                Goal::MoreThan(limit) => format!("more than {}", number(*limit)),
            })
            .collect();
        goals.join(", ")
    }
}

/// All rows as Markdown tables, one for each set of columns.
pub(crate) fn table(figures: &[Figure]) -> String {
    tables(figures, |make| !matches!(make, Make::Tidemark | Make::Bind))
}

/// The main rows as narrower ones.
pub(crate) fn brief(figures: &[Figure]) -> String {
    let main: Vec<Figure> = figures.iter().filter(|figure| figure.is_main()).cloned().collect();
    tables(&main, |_| false)
}

/// Tables with the values of all, and the ratios to some.
fn tables(figures: &[Figure], is_compared: impl Fn(Make) -> bool) -> String {
    let mut sets: Vec<&[Make]> = Vec::new();
    for figure in figures {
        if !sets.contains(&figure.columns) {
            sets.push(figure.columns);
        }
    }
    let one = |columns: &&[Make]| {
        let compared: Vec<Make> = columns.iter().copied().filter(|&make| is_compared(make)).collect();
        let mut head = vec![String::new()];
        head.extend(columns.iter().map(|make| make.name().to_owned()));
        head.extend(compared.iter().map(|make| format!("/ {}", make.name())));
        head.extend(["goal: at most".to_owned(), String::new()]);
        let row = |figure: &Figure| {
            let mut row = vec![figure.what.clone()];
            row.extend(columns.iter().map(|&make| figure.value(make).map(number).unwrap_or_default()));
            row.extend(compared.iter().map(|&make| figure.ratio(make)));
            row.extend([figure.goal(), figure.verdict()]);
            row
        };
        let rows = figures.iter().filter(|figure| figure.columns == *columns).map(row).collect();
        markdown(head, rows, 1..1 + columns.len() + compared.len())
    };
    sets.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// A table with its columns aligned, these to the right.
fn markdown(head: Vec<String>, mut rows: Vec<Vec<String>>, right: Range<usize>) -> String {
    let columns = head.len();
    rows.insert(0, head);
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cell = |(at, (cell, &width)): (usize, (&String, &usize))| {
            if right.contains(&at) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        };
        let cells: Vec<String> = row.iter().zip(&widths).enumerate().map(cell).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
        if number == 0 {
            let rule = |(at, &width): (usize, &usize)| {
                if right.contains(&at) {
                    format!("{}:", "-".repeat(width + 1))
                } else {
                    "-".repeat(width + 2)
                }
            };
            let rules: Vec<String> = widths.iter().enumerate().map(rule).collect();
            let _ = writeln!(text, "|{}|", rules.join("|"));
        }
    }
    text
}

/// All rows as JSON.
pub(crate) fn json(figures: &[Figure]) -> serde_json::Value {
    let row = |figure: &Figure| {
        let values: serde_json::Map<String, serde_json::Value> =
            figure.values.iter().map(|&(make, value)| (make.name().to_owned(), value.into())).collect();
        serde_json::json!({ "figure": figure.what, "values": values, "goal": figure.goal(), "met": figure.met() })
    };
    figures.iter().map(row).collect()
}

/// The one in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        length if length.is_multiple_of(2) => (values[length / 2 - 1] + values[length / 2]) / 2.0,
        length => values[length / 2],
    }
}
