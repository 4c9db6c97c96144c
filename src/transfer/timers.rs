//! When a secondary asks again, and for how long it may go on without an answer: the numbers of the SOA (RFC 1035 3.3.13,
//! RFC 1034 4.3.5) within bounds, spread a little so that secondaries do not ask in step.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::zone::soa::Timers;

/// The shortest REFRESH and RETRY kept to: a SOA of zeros must not make a secondary ask without pause.
pub const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// The longest REFRESH and RETRY kept to: four weeks, as others have it.
pub const MAX_INTERVAL: Duration = Duration::from_secs(28 * 86_400);
/// The shortest EXPIRE kept to: time for one round of questions.
pub const MIN_EXPIRE: Duration = Duration::from_secs(2);
/// The shortest time between two rounds that nothing but time sets off.
pub const SHORTEST: Duration = Duration::from_millis(200);
/// The shortest time after which a refresh is overdue.
const LEAST_OVERDUE: Duration = Duration::from_secs(300);
/// The first pause between attempts while there is no content.
pub const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between attempts while there is no content.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Intervals are shortened by up to this share of theirs: zones that begin together, at a restart, are soon asked about evenly.
const SPREAD: f64 = 0.2;

/// How long after a successful round the next one begins.
pub fn refresh(timers: Timers, rng: &mut StdRng) -> Duration {
    spread(longest_refresh(timers), rng)
}

/// How long after a successful round the next one begins at the latest.
pub fn longest_refresh(timers: Timers) -> Duration {
    interval(timers.refresh)
}

/// How long after a failed round the next one begins, while there is content.
pub fn retry(timers: Timers, rng: &mut StdRng) -> Duration {
    spread(interval(timers.retry), rng)
}

/// How long after a failed round the next one begins at the soonest, while there is content.
pub fn shortest_retry(timers: Timers) -> Duration {
    interval(timers.retry).mul_f64(1.0 - SPREAD)
}

/// A secondary of whatever make that has not refreshed its content for so long has tried to, and failed: REFRESH and RETRY, or the five
/// minutes that some take for the least REFRESH.
pub fn overdue(timers: Timers) -> Duration {
    (longest_refresh(timers) + interval(timers.retry)).max(LEAST_OVERDUE)
}

/// How long after the `failed`th failed round in a row the next one begins, while there is no content.
pub fn pause(failed: u32, rng: &mut StdRng) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failed.saturating_sub(1).min(16));
    spread(doubled.min(LONGEST_PAUSE), rng)
}

/// For how long content may be served after it was known to be current: EXPIRE, or what the primary said is left of it
/// there, whichever is shorter (RFC 7314 section 4).
pub fn expire(timers: Timers, left: Option<u32>) -> Duration {
    let seconds = left.map_or(timers.expire, |left| left.min(timers.expire));
    Duration::from_secs(u64::from(seconds)).max(MIN_EXPIRE)
}

fn interval(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds)).clamp(MIN_INTERVAL, MAX_INTERVAL)
}

/// A span shortened by a little, as all intervals are.
pub fn spread(span: Duration, rng: &mut StdRng) -> Duration {
    span.mul_f64(1.0 - SPREAD * rng.random::<f64>())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn bounds_hold() {
        let mut rng = StdRng::seed_from_u64(1);
        let zero = Timers::default();
        let huge = Timers { refresh: u32::MAX, retry: 3_600, expire: 100, ..zero };
        assert!(
            refresh(zero, &mut rng) <= MIN_INTERVAL
                && retry(zero, &mut rng) >= MIN_INTERVAL.mul_f64(1.0 - SPREAD)
        );
        assert!(refresh(huge, &mut rng) <= MAX_INTERVAL);
        assert!((2_880..=3_600).contains(&retry(huge, &mut rng).as_secs()));
        assert_eq!(expire(zero, None), MIN_EXPIRE);
        assert_eq!(expire(huge, Some(7)), Duration::from_secs(7));
        assert_eq!(expire(huge, Some(700)), Duration::from_secs(100));
        assert!(pause(1, &mut rng) <= FIRST_PAUSE && pause(2, &mut rng) > FIRST_PAUSE);
        assert!(pause(u32::MAX, &mut rng) <= LONGEST_PAUSE);
    }
}
