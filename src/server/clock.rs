//! The one place that reads clocks.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::{Mono, Now, Utc};

/// Where the monotonic clock begins, 115 days: what is dated back from now (a primary's age, a stored copy's last poll) still
/// has a reading, and zero stays free to stand for "never".
const START: u64 = 10_000_000_000_000;

/// The present.
pub fn now() -> Now {
    Now { mono: mono(), utc: utc() }
}

/// The present on the clock for spans, for half the price.
pub fn mono() -> Mono {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let elapsed = BEGIN.get_or_init(Instant::now).elapsed();
    Mono(START + u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX - START))
}

fn utc() -> Utc {
    // A clock before 1970 reads as 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Utc(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// The moment on tokio's clock when ours will show `deadline`.
pub fn until(deadline: Mono) -> tokio::time::Instant {
    tokio::time::Instant::now() + deadline.since(mono())
}
