//! Figures as they are printed, and whether they keep to a bound. What is judged is what is printed: a ratio that reads 0.60 meets a goal
//! of 0.60 although it was 0.604, for nobody can tell from the table that it was missed, and no run measures to half a hundredth.

/// A figure in three significant digits, and no more than two decimals. What did not happen within its limit is infinite.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        f64::INFINITY => "never".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.2}"),
    }
}

/// How many times `theirs` a figure is, in two decimals; `None` where that says nothing.
pub(crate) fn ratio(mine: f64, theirs: f64) -> Option<String> {
    let is_one = mine.is_finite() && theirs.is_finite() && theirs > 0.0;
    is_one.then(|| format!("{:.2}", mine / theirs))
}

/// Whether `mine` is at most `times` times `theirs`, by the ratio that is printed. Without one, what never happened is more than anything.
pub(crate) fn is_within(mine: f64, times: f64, theirs: f64) -> bool {
    ratio(mine, theirs).map_or(mine <= times * theirs, |ratio| read(&ratio) <= times)
}

/// The number that a printed figure shows.
pub(crate) fn shown(value: f64) -> f64 {
    read(&number(value))
}

/// What is no number is `never`.
fn read(printed: &str) -> f64 {
    printed.parse().unwrap_or(f64::INFINITY)
}
