//! Transfers that failed and would fail again: a primary is asked for its serial as often as before, and less often for what it has.

use std::net::SocketAddr;

use rand::rngs::StdRng;

use crate::time::Mono;
use crate::zone::serial::Serial;
use crate::zone::soa::Timers;

use super::super::query::Kind;
use super::super::reason::Reason;
use super::super::timers;

/// A transfer that was turned away is asked for again when its hold ends, so often; then it is up to the polls.
const SOON_AGAIN: u32 = 7;

/// One primary's version that could not be had.
#[derive(Debug)]
struct Hold {
    primary: SocketAddr,
    serial: Serial,
    /// How often in a row.
    failures: u32,
    until: Mono,
    /// The primary did not give it, as one does that gives many zones at once and few at a time, or whose transfers follow its SOA after
    /// a while, or there was no room for it here: that may soon be otherwise.
    is_turned_away: bool,
    /// The differences did not come in time, and another primary was turned to before the whole zone could be asked for.
    is_without_ixfr: bool,
}

/// The holds of one zone, at most one per primary.
#[derive(Debug, Default)]
pub(super) struct Holds(Vec<Hold>);

impl Holds {
    /// Takes note that a primary's transfer of a version failed. What cannot be used is the same when it comes again, so that it is held
    /// back for RETRY; whatever else went wrong, for a pause that grows with the number of failures.
    pub(super) fn failed(
        &mut self,
        now: Mono,
        (primary, serial): (SocketAddr, Serial),
        (asked, reason): (Kind, Reason),
        timers: Timers,
        rng: &mut StdRng,
    ) {
        let before = self.0.iter().find(|hold| hold.primary == primary && hold.serial == serial);
        let failures = before.map_or(1, |hold| hold.failures.saturating_add(1));
        let wait = match reason.is_of_content() {
            true => timers::shortest_retry(timers),
            false => timers::pause(failures, rng),
        };
        let is_turned_away = matches!(
            reason,
            Reason::Rcode(_)
                | Reason::Refused
                | Reason::Truncated
                | Reason::NotGiven { .. }
                | Reason::NoRoom { .. }
        );
        let is_without_ixfr = asked == Kind::Ixfr && reason == Reason::Timeout;
        self.forget(primary);
        self.0.push(Hold { primary, serial, failures, until: now + wait, is_turned_away, is_without_ixfr });
    }

    /// Whether a primary is to be asked for the whole zone, because its differences did not come in time when they were asked for last.
    pub(super) fn is_without_ixfr(&self, primary: SocketAddr) -> bool {
        self.0.iter().any(|hold| hold.primary == primary && hold.is_without_ixfr)
    }

    /// Whether a version is held back.
    pub(super) fn holds(&self, now: Mono, primary: SocketAddr, serial: Serial) -> bool {
        let mut holds = self.0.iter();
        holds.any(|hold| hold.primary == primary && hold.serial == serial && hold.until > now)
    }

    /// When the first of those that were turned away lately is to be asked for again.
    pub(super) fn soon(&self, now: Mono) -> Option<Mono> {
        let soon = |hold: &&Hold| hold.is_turned_away && hold.failures <= SOON_AGAIN && hold.until > now;
        self.0.iter().filter(soon).map(|hold| hold.until).min()
    }

    /// Takes note that a primary's transfer came.
    pub(super) fn forget(&mut self, primary: SocketAddr) {
        self.0.retain(|hold| hold.primary != primary);
    }

    /// Lets everything be asked for at once, because somebody says that it is worth it; the next pauses are as long as they would be.
    pub(super) fn lift(&mut self, now: Mono) {
        self.0.iter_mut().for_each(|hold| hold.until = hold.until.min(now));
    }
}
