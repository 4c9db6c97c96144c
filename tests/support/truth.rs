//! What was true, made of what observers saw: which serial a server served when, and how far behind that was.
//!
//! Nothing here is known to the moment. A change lies between the question that still got the old answer and the answer that was new; of
//! a server that was silent meanwhile, only what it served before and after is known. So every truth is a range.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::observer::{Observer, Transition};

/// What one server served.
pub struct Served(Vec<Span>);

/// A time in which a server is known to have served this serial.
struct Span {
    serial: u32,
    from: Instant,
    to: Instant,
}

impl Served {
    /// By what an observer saw until now.
    pub fn by(observer: &Observer) -> Served {
        let (seen, now) = (observer.transitions(), Instant::now());
        let next = seen.iter().skip(1).map(|next| next.after).chain([now]);
        let span =
            |(seen, to): (&Transition, Instant)| Some(Span { serial: seen.serial?, from: seen.at, to });
        Served(seen.iter().zip(next).filter_map(span).collect())
    }

    /// Between which moments something newer than a serial was first served; `None` if it was not.
    fn followed(&self, serial: u32) -> Option<(Instant, Instant)> {
        let at = self.0.iter().position(|span| span.serial > serial)?;
        let before = at.checked_sub(1).map_or(self.0[at].from, |before| self.0[before].to);
        Some((before, self.0[at].from))
    }

    /// The last moment at which a serial, or a newer one, may not have been served yet, and since when it was shown for so long that
    /// whoever keeps asking saw it.
    pub fn shows(&self, serial: u32, long: Duration) -> Option<(Instant, Instant)> {
        let (after, _) = self.followed(serial.checked_sub(1)?)?;
        let is_shown =
            |span: &&Span| span.serial >= serial && span.to.saturating_duration_since(span.from) >= long;
        Some((after, self.0.iter().find(is_shown)?.from))
    }

    /// When this server was first seen to serve something after a moment, and when to serve something else than that.
    pub fn came_back(&self, after: Instant) -> Option<(Instant, Option<Instant>)> {
        let mut later = self.0.iter().skip_while(|span| span.from <= after);
        let back = later.next()?;
        Some((back.from, later.find(|span| span.serial != back.serial).map(|span| span.from)))
    }

    /// How long, of all moments from `from` to `to`, this server has been behind what is published at `head`. `None` where it is not
    /// known what it served.
    pub fn staleness(&self, head: &Served, from: Instant, to: Instant) -> Option<RangeInclusive<Duration>> {
        let oldest = self.0.iter().filter(|span| span.from <= from).map(|span| span.serial).max()?;
        let newest = self.0.iter().filter(|span| span.to >= to).map(|span| span.serial).min()?;
        let least =
            head.followed(newest).map_or(Duration::ZERO, |(_, by)| from.saturating_duration_since(by));
        let most =
            head.followed(oldest).map_or(Duration::ZERO, |(after, _)| to.saturating_duration_since(after));
        Some(least..=most.max(least))
    }
}
