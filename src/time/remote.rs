//! Another machine's clock, as far as it was read from here, by the timestamps that NTP takes (RFC 5905 section 8). A node answers at
//! once, so that its two are one.
//!
//! What a clock showed in an answer it showed at some moment between the question and the answer: half of the time between them is how
//! wrong a reading can be. Readings are kept on this machine's monotonic clock, so that setting its civil clock changes nothing.

use std::time::Duration;

use super::{Mono, Now, Utc};

/// Two clocks are taken to drift apart by one part in so many at most: twice what a kernel corrects a clock by (500 ppm).
const DRIFT: u32 = 1_000;
/// A node may have looked at its clock a little before the request was read, for several requests at once.
const EARLY: Duration = Duration::from_micros(100);

/// A reading of another machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteClock {
    /// When it showed `showed`, ...
    at: Mono,
    showed: Utc,
    /// ... give or take this.
    error: Duration,
}

/// How far another machine's clock is ahead of the civil clock of this one. As JSON in seconds.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Offset {
    /// Seconds ahead; less than none when it is behind.
    pub seconds: f64,
    /// The figure may be wrong by so many seconds.
    pub error: f64,
}

impl RemoteClock {
    /// What a clock showed in the answer to a question that left at `sent`, by one who knows it but for `error`.
    pub fn read(sent: Mono, received: Mono, showed: Utc, error: Duration) -> RemoteClock {
        let half = received.since(sent) / 2;
        RemoteClock { at: sent + half, showed, error: error + half + EARLY }
    }

    /// What it shows at a moment.
    pub fn shows(&self, at: Mono) -> Utc {
        self.showed + at.since(self.at) - self.at.since(at)
    }

    /// How wrong [`RemoteClock::shows`] can be at a moment.
    pub fn error(&self, at: Mono) -> Duration {
        self.error + (at.since(self.at) + self.at.since(at)) / DRIFT
    }

    /// How far it is ahead of this machine's civil clock.
    pub fn offset(&self, now: Now) -> Offset {
        let (theirs, ours) = (self.shows(now.mono), now.utc);
        let seconds = theirs.since(ours).as_secs_f64() - ours.since(theirs).as_secs_f64();
        Offset { seconds, error: self.error(now.mono).as_secs_f64() }
    }

    /// Takes in a reading that came after this one. A less exact one counts where the two contradict each other: the clock was set. One that
    /// was set by less than both may be wrong goes unnoticed until the newer readings are the more exact ones.
    pub fn take(known: &mut Option<RemoteClock>, newer: RemoteClock) {
        let at = newer.at;
        let is_better = known.is_none_or(|known| {
            let (before, after) = (known.shows(at), newer.showed);
            let apart = before.since(after) + after.since(before);
            newer.error <= known.error(at) || apart > known.error(at) + newer.error
        });
        if is_better {
            *known = Some(newer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn reading(sent: u64, took: u64, showed: u64) -> RemoteClock {
        RemoteClock::read(Mono(sent), Mono(sent + took), Utc(showed), Duration::ZERO)
    }

    #[test]
    fn a_clock_is_known_to_half_of_a_round_trip() {
        // Ten seconds ahead of a machine whose monotonic clock began at its civil second 100; the answer left after 3 ms of 8.
        let clock = reading(5_000_000, 8_000, 115_003_000);
        let now = Now { mono: Mono(6_000_000), utc: Utc(106_000_000) };
        let Offset { seconds, error } = clock.offset(now);
        assert!((seconds - 10.0).abs() <= error && error < 0.006, "{seconds} +- {error}");
        let behind = reading(5_000_000, 0, 95_000_000).offset(now);
        assert!((behind.seconds + 10.0).abs() <= behind.error, "{behind:?}");
        assert_eq!(clock.shows(Mono(5_004_000)), Utc(115_003_000));
        assert_eq!(clock.shows(Mono(4_004_000)), Utc(114_003_000));
    }

    #[test]
    fn the_most_exact_reading_counts_until_it_has_drifted_or_is_contradicted() {
        let exact = reading(0, 1_000, 1_000_500);
        let mut known = None;
        RemoteClock::take(&mut known, exact);
        let loose = reading(1_000_000, 100_000, 2_060_000);
        RemoteClock::take(&mut known, loose);
        assert_eq!(known, Some(exact), "a longer round trip tells less");
        // In a minute and a half a drift of one in a thousand is more than the round trip.
        let later = reading(90_000_000, 100_000, 91_060_000);
        RemoteClock::take(&mut known, later);
        assert_eq!(known, Some(later));
        let set = reading(91_000_000, 400_000, 31_000_000);
        RemoteClock::take(&mut known, set);
        assert_eq!(known, Some(set), "it was set back by a minute");
        assert!(set.error(Mono(92_000_000)) < SECOND);
    }
}
