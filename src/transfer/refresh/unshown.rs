//! A serial that a primary announced and does not show, because a cache or a balancer answers for it, or because somebody else sent the
//! NOTIFY: it is asked for again for a while, and what it came to is told once.

use std::net::SocketAddr;
use std::time::Duration;

use crate::zone::serial::Serial;

/// How long after the round that a NOTIFY set off it is asked for again, and twice as long each time, ...
const AGAIN: Duration = Duration::from_secs(1);
/// ... so often.
const ROUNDS: u32 = 4;

/// The serial announced last that is not served here.
#[derive(Debug)]
pub(super) struct Unshown {
    /// Who announced it.
    pub(super) primary: SocketAddr,
    pub(super) serial: Serial,
    /// How many rounds are over that asked for it, since it was announced.
    rounds: u32,
    /// What its primary showed last.
    shown: Option<Serial>,
    is_told: bool,
}

impl Unshown {
    /// What is known once a primary has announced a serial. The same one again is asked for anew once that was over, and not told twice.
    pub(super) fn announced(before: Option<Unshown>, primary: SocketAddr, serial: Serial) -> Unshown {
        let fresh = Unshown { primary, serial, rounds: 0, shown: None, is_told: false };
        match before.filter(|before| before.serial == serial) {
            Some(before) if before.rounds < ROUNDS => before,
            Some(before) if before.primary == primary => Unshown { rounds: 0, ..before },
            _ => fresh,
        }
    }

    /// Takes note of what a primary's SOA shows.
    pub(super) fn shows(&mut self, primary: SocketAddr, serial: Serial) {
        if primary.ip() == self.primary.ip() {
            self.shown = Some(serial);
        }
    }

    /// Takes note of the end of a round that did not bring it: how long to wait before it is asked for again, unless that is over.
    pub(super) fn next_round(&mut self) -> Option<Duration> {
        let wait = (self.rounds < ROUNDS).then(|| AGAIN * (1 << self.rounds));
        self.rounds += u32::from(wait.is_some());
        wait
    }

    /// The older serial that its primary shows.
    pub(super) fn older(&self) -> Option<Serial> {
        self.shown.filter(|shown| self.serial.is_newer_than(*shown))
    }

    /// Whether that has not been told.
    pub(super) fn is_to_be_told(&mut self) -> bool {
        !std::mem::replace(&mut self.is_told, true)
    }
}
