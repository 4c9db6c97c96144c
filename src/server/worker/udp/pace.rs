//! When many queries come, a worker that is quick answers each by itself: it is woken, receives and sends for one query what
//! it could as well do for fifty. So it rests a moment before it looks for the next, as network cards do before they
//! interrupt (ethtool's `rx-usecs`). When few come, nothing waits.

use std::time::Duration;

use crate::time::Mono;

/// The longest rest, and so what it adds to the time of an answer at most.
const LONGEST: Duration = Duration::from_micros(100);
/// A batch that is large enough: resting until it has come saves little more.
const ENOUGH: u32 = 64;
/// Queries that have to come during a rest for it to be worth the two system calls and the timer.
const WORTH: u32 = 8;
/// How long queries are counted before it is judged whether they are many: longer than chance makes them few or many.
const WINDOW: Duration = Duration::from_millis(1);

/// How often a socket is looked at.
pub(super) struct Pace {
    /// Since when queries are counted.
    since: Mono,
    count: u32,
    /// What to rest until it is judged again.
    rest: Option<Duration>,
}

impl Pace {
    /// Begins with a socket to which nothing has come yet.
    pub(super) fn new(now: Mono) -> Pace {
        Pace { since: now, count: 0, rest: None }
    }

    /// How long to rest before looking again, after `count` queries were received at `now`.
    pub(super) fn rest(&mut self, now: Mono, count: usize) -> Option<Duration> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.count = self.count.saturating_add(count);
        let passed = now.since(self.since);
        if passed >= WINDOW {
            let each = passed / self.count.max(1);
            let rest = LONGEST.min(each.saturating_mul(ENOUGH));
            *self = Pace { since: now, count: 0, rest: (rest >= each.saturating_mul(WORTH)).then_some(rest) };
        }
        self.rest.filter(|_| count < ENOUGH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rests of a worker to which so many queries come a second, evenly, and which takes no time itself.
    fn rests(rate: u64) -> Vec<Option<Duration>> {
        let start = Mono(1_000_000);
        let arrived = |now: Mono| now.since(start).as_micros() as u64 * rate / 1_000_000;
        let mut pace = Pace::new(start);
        let (mut now, mut seen) = (start, 0);
        let mut rests = Vec::new();
        while now.since(start) < 10 * WINDOW {
            while arrived(now) == seen {
                now = now + Duration::from_micros(1);
            }
            let count = arrived(now) - seen;
            seen = arrived(now);
            rests.push(pace.rest(now, count as usize));
            now = now + rests[rests.len() - 1].unwrap_or_default();
        }
        rests
    }

    #[test]
    fn few_queries_do_not_wait() {
        for rate in [1, 1_000, 20_000, 70_000] {
            assert!(rests(rate).iter().all(Option::is_none), "{rate}");
        }
    }

    #[test]
    fn many_wait_for_a_tenth_of_a_millisecond_at_most() {
        for rate in [100_000, 300_000, 600_000] {
            let rests = rests(rate);
            let judged = rests.iter().position(Option::is_some).unwrap();
            assert!(rests[judged..].iter().all(|rest| *rest == Some(LONGEST)), "{rate}: {rests:?}");
        }
        // One in a microsecond: enough have come after 64.
        assert!(rests(1_000_000).contains(&Some(Duration::from_micros(64))));
    }

    #[test]
    fn a_burst_after_silence_does_not_wait() {
        let mut pace = Pace::new(Mono(0));
        assert_eq!(pace.rest(Mono(1_000_000), 50), None);
        assert_eq!(pace.rest(Mono(1_000_010), 50), None);
    }

    #[test]
    fn who_is_behind_does_not_rest() {
        let mut pace = Pace::new(Mono(0));
        assert!(pace.rest(Mono(1_000), 200).is_none());
        assert!(pace.rest(Mono(1_100), 20).is_some());
        assert!(pace.rest(Mono(1_200), 64).is_none());
    }
}
