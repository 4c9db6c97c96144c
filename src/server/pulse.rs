//! Whether the control thread still takes commands: told by atomics, so that asking costs it nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clock;

/// A command that takes longer than this is one that hangs.
const LONGEST: Duration = Duration::from_secs(10);

/// When the control thread began with the command that it is at; 0 while it waits for one.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// A command begins.
    pub(super) fn begin(&self) {
        self.0.store(clock::now().mono.0.max(1), Ordering::Relaxed);
    }

    /// It has ended.
    pub(super) fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// For how long the thread has been at one command, if that is too long.
    pub fn hangs_for(&self) -> Option<Duration> {
        let since = Some(self.0.load(Ordering::Relaxed)).filter(|since| *since != 0)?;
        let busy = clock::now().mono.since(crate::time::Mono(since));
        Some(busy).filter(|busy| *busy > LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_never_ends_shows() {
        let pulse = Pulse::default();
        assert_eq!(pulse.hangs_for(), None);
        pulse.begin();
        assert_eq!(pulse.hangs_for(), None);
        let long_ago = clock::now().mono.0 - 2 * LONGEST.as_micros() as u64;
        pulse.0.store(long_ago.max(1), Ordering::Relaxed);
        assert!(pulse.hangs_for().is_some_and(|busy| busy > LONGEST));
        pulse.end();
        assert_eq!(pulse.hangs_for(), None);
    }
}
