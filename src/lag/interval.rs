//! Spans that are known within bounds, and how stale a secondary is by what it knows itself.

use std::time::Duration;

use serde::Serialize;

use crate::time::Mono;

/// A span that is known to lie between two bounds.
///
/// As JSON its parts are in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Interval {
    /// It is not shorter.
    #[serde(serialize_with = "seconds")]
    pub low: Duration,
    /// It is not longer; `None` when nothing bounds it.
    #[serde(serialize_with = "seconds_or_none")]
    pub high: Option<Duration>,
    /// The best single figure, within the bounds; `None` when there is nothing better than them.
    #[serde(serialize_with = "seconds_or_none")]
    pub estimate: Option<Duration>,
}

fn seconds<S: serde::Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(span.as_secs_f64())
}

fn seconds_or_none<S: serde::Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    span.map(|span| span.as_secs_f64()).serialize(serializer)
}

impl Interval {
    pub(super) fn new(low: Duration, high: Option<Duration>, estimate: Option<Duration>) -> Interval {
        // Bounds can only cross when a server contradicts another; what was seen weighs more than what was said.
        let high = high.map(|high| high.max(low));
        let estimate = estimate.map(|estimate| high.map_or(estimate, |high| estimate.min(high)).max(low));
        Interval { low, high, estimate }
    }

    /// The longer of two spans, as far as it is known.
    pub fn longer(self, other: Interval) -> Interval {
        let both = |one: Option<Duration>, other: Option<Duration>| Some(one?.max(other?));
        let (high, estimate) = (both(self.high, other.high), both(self.estimate, other.estimate));
        Interval { low: self.low.max(other.low), high, estimate }
    }

    /// The best single figure: the estimate, else the lower bound.
    pub fn best(&self) -> Duration {
        self.estimate.unwrap_or(self.low)
    }

    /// Whether a span lies within the bounds.
    pub fn contains(&self, span: Duration) -> bool {
        self.low <= span && self.high.is_none_or(|high| span <= high)
    }
}

/// The staleness of a server that follows a primary, as it can know it itself.
///
/// `fresh_at`: content is known to have been current then (the start of the last poll that found it so, less the primary's
/// own age). `is_verified`: nobody who was asked since failed to answer. `learned_at`: when it first learned of a newer version than
/// it serves, if there is one; `successor`: how long ago the version that follows the one it serves was published,
/// if it was told.
pub fn own_staleness(
    now: Mono,
    fresh_at: Option<Mono>,
    is_verified: bool,
    learned_at: Option<Mono>,
    successor: Option<Duration>,
) -> Interval {
    let high = fresh_at.map(|fresh_at| now.since(fresh_at));
    match learned_at {
        // Of one that is cut off nobody knows.
        None => Interval::new(Duration::ZERO, high, is_verified.then_some(Duration::ZERO)),
        Some(learned_at) => Interval::new(now.since(learned_at), high, successor),
    }
}
