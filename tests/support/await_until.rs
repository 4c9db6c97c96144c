//! Waiting for a condition of a foreign process, which sends no event that could be awaited.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often a condition is looked at: short against every time these tests measure, long against a context switch.
const INTERVAL: Duration = Duration::from_millis(10);

/// Returns as soon as `condition` holds; panics, naming `what`, when it does not within `limit`.
pub fn await_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    assert!(becomes_true(limit, &mut condition), "waited {limit:?} in vain for: {what}");
}

/// True as soon as `condition` holds, false when it did not hold within `limit`.
pub fn becomes_true(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        sleep(INTERVAL);
    }
}
