//! Spans of time as people write them: numbers, each with its unit, as in `30s`, `1h30m` or `1d`.

use std::ops::Range;
use std::time::Duration;

/// The units, and how many milliseconds each has.
const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

/// Why some text is no span, and which bytes of it are wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanError {
    /// There is no text.
    Empty,
    /// There is no number where one has to be.
    NoNumber(Range<usize>),
    /// A number has no unit.
    NoUnit(Range<usize>),
    /// What follows a number is no unit.
    BadUnit(Range<usize>),
    /// It is longer than can be said in milliseconds.
    TooLong(Range<usize>),
}

/// Reads the sum of all numbers with their units.
pub fn read(text: &str) -> Result<Duration, SpanError> {
    if text.is_empty() {
        return Err(SpanError::Empty);
    }
    let (mut total, mut at) = (0_u64, 0);
    while at < text.len() {
        let unit_at = at + run(&text[at..], |c| c.is_ascii_digit());
        let end = unit_at + run(&text[unit_at..], |c| !c.is_ascii_digit());
        let (number, unit) = (&text[at..unit_at], &text[unit_at..end]);
        if number.is_empty() {
            return Err(SpanError::NoNumber(at..end));
        }
        if unit.is_empty() {
            return Err(SpanError::NoUnit(at..end));
        }
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, millis) = known.ok_or(SpanError::BadUnit(unit_at..end))?;
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*millis));
        total = part.and_then(|part| total.checked_add(part)).ok_or(SpanError::TooLong(at..end))?;
        at = end;
    }
    Ok(Duration::from_millis(total))
}

/// How many bytes from the start of `text` on are of one kind.
fn run(text: &str, is_kind: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_kind(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_sums_and_errors_say_where() {
        for (text, millis) in
            [("1h30m", 5_400_000), ("1d", 86_400_000), ("1s500ms", 1_500), ("0s", 0), ("2w", 1_209_600_000)]
        {
            assert_eq!(read(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for (text, error) in [
            ("", SpanError::Empty),
            ("60", SpanError::NoUnit(0..2)),
            ("1h30", SpanError::NoUnit(2..4)),
            ("soon", SpanError::NoNumber(0..4)),
            ("5 m", SpanError::BadUnit(1..3)),
            ("1µ", SpanError::BadUnit(1..3)),
            ("1s99999999999999999999w", SpanError::TooLong(2..23)),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
    }
}
