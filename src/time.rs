//! Time as an argument: nothing below `server/` and `cli/` reads a clock.
//!
//! [`Now`] carries both clocks, because they answer different questions: [`Mono`] measures spans (timers, ages) and
//! never jumps; [`Utc`] names moments that other machines understand. [`Hlc`] is the publication stamp: a hybrid
//! logical clock (Kulkarni et al., 2014), so that stamps grow even when the wall clock is set back.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

pub mod remote;
pub mod span;

/// A moment on this process's monotonic clock, in microseconds since an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

/// A moment in civil time, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Utc(pub u64);

/// The present, as the caller sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// For spans and deadlines.
    pub mono: Mono,
    /// For stamps that leave this machine.
    pub utc: Utc,
}

impl Now {
    /// The present at a later reading of the monotonic clock, as if the civil one had not been set since.
    pub fn at(self, mono: Mono) -> Now {
        Now { mono, utc: self.utc + mono.since(self.mono) }
    }
}

impl Mono {
    /// The span from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;

    fn add(self, span: Duration) -> Mono {
        Mono(self.0.saturating_add(micros(span)))
    }
}

impl Sub<Duration> for Mono {
    type Output = Mono;

    fn sub(self, span: Duration) -> Mono {
        Mono(self.0.saturating_sub(micros(span)))
    }
}

impl Utc {
    /// The span from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Utc) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since the epoch.
    pub fn seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Seconds since the epoch with their fraction, as Prometheus wants timestamps.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Year, month and day.
    pub fn date(self) -> (u32, u32, u32) {
        let (year, month, day) = date_from_days((self.seconds() / 86_400) as i64);
        (year as u32, month as u32, day as u32)
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counted in years that start in March so that leap days come last.
pub fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (month * 153 + 2) / 5
        + day
        - 1
        - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
pub fn date_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

impl serde::Serialize for Utc {
    /// As it is displayed.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Add<Duration> for Utc {
    type Output = Utc;

    fn add(self, span: Duration) -> Utc {
        Utc(self.0.saturating_add(micros(span)))
    }
}

impl Sub<Duration> for Utc {
    type Output = Utc;

    fn sub(self, span: Duration) -> Utc {
        Utc(self.0.saturating_sub(micros(span)))
    }
}

impl fmt::Display for Utc {
    /// RFC 3339 with milliseconds: `2026-11-21T05:02:25.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let second = self.seconds() % 86_400;
        let milli = self.0 / 1_000 % 1_000;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{milli:03}Z",
            second / 3_600,
            second / 60 % 60,
            second % 60
        )
    }
}

/// A hybrid logical clock reading: 48 bits of time (seconds and 1/65536 fractions, as in NTP) and a 16-bit counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hlc(pub u64);

impl Hlc {
    /// The reading for a wall-clock moment, with counter 0.
    pub fn at(utc: Utc) -> Hlc {
        let fraction = (utc.0 % 1_000_000) * 65_536 / 1_000_000;
        Hlc((utc.seconds() << 32) | (fraction << 16))
    }

    /// The next stamp to issue: the wall clock where it has moved on, else one tick after `self`.
    pub fn next(self, utc: Utc) -> Hlc {
        Hlc::at(utc).max(Hlc(self.0.saturating_add(1)))
    }

    /// The wall-clock moment this reading stands for, exact to 1/65536 s.
    pub fn utc(self) -> Utc {
        let seconds = self.0 >> 32;
        let fraction = (self.0 >> 16) & 0xffff;
        Utc(seconds * 1_000_000 + (fraction * 1_000_000).div_ceil(65_536))
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_prints_as_rfc_3339() {
        assert_eq!(Utc(1_518_700_000_123_456).to_string(), "2018-02-15T13:06:40.123Z");
        assert_eq!(Utc(951_782_400_000_000).date(), (2000, 2, 29));
    }

    #[test]
    fn hlc_grows_when_the_clock_is_set_back() {
        let first = Hlc::default().next(Utc(2_000_000));
        let second = first.next(Utc(1_000_000));
        assert!(second > first);
        assert_eq!(second.utc(), Utc(2_000_000));
    }

    #[test]
    fn hlc_keeps_sixteen_microseconds() {
        let utc = Utc(1_763_700_000_654_321);
        assert!(Hlc::at(utc).utc().0.abs_diff(utc.0) < 16);
    }
}
