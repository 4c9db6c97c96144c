//! What was seen at a server, and what is kept of that.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::time::{Mono, Now, Utc};
use crate::zone::digest::Digest;
use crate::zone::serial::Serial;
use crate::zone::stamp::Told;

/// Changes kept per server, for [`Ledger::propagation`](crate::lag::Ledger::propagation).
pub(super) const MAX_STEPS: usize = 64;

/// What was seen at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The server.
    pub server: SocketAddr,
    /// The serial it showed.
    pub serial: Serial,
    /// When it was asked.
    pub sent: Mono,
    /// When its answer was here.
    pub received: Mono,
    /// When it was asked, in civil time.
    pub sent_utc: Utc,
    /// The serial whose successors it was asked for.
    pub asked: Option<Serial>,
    /// What it told of versions.
    pub told: Option<Told>,
    /// For how long at most what it shows may not have been current, by EXPIRE (RFC 7314), of one that tells nothing better.
    pub unconfirmed: Option<Duration>,
}

/// What is kept of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    pub(super) source: bool,
    /// Since when it says that it would not know of a newer version than it serves.
    pub(super) unverified: Option<Mono>,
    /// Whether it says that what it showed last is the newest version, and does not merely believe so.
    pub(super) vouches: bool,
    pub(super) last: Option<Step>,
    /// The content of what it showed last, if it tells.
    pub(super) digest: Option<Digest>,
    /// Each change of the serial that it showed, oldest first.
    pub(super) steps: VecDeque<Step>,
    /// The last serial whose step is no longer kept.
    pub(super) forgotten: Option<Serial>,
}

/// A server was first seen at a serial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) serial: Serial,
    /// The last question before it whose answer still showed another serial.
    pub(super) not_before: Option<Mono>,
    pub(super) by: Mono,
    /// Halfway between the question and its answer: the best guess of when the server answered.
    pub(super) about: Now,
    /// When the last question left that it was shown in answer to.
    pub(super) sent: Mono,
}

impl Server {
    /// Takes in what it showed, and the content if it tells.
    pub(super) fn show(&mut self, sighting: &Sighting, digest: Option<Digest>) {
        let &Sighting { serial, sent, received, sent_utc, .. } = sighting;
        // Answers may come in another order than questions went out.
        if self.last.is_some_and(|last| sent < last.sent) {
            return;
        }
        self.digest = digest;
        // Without a digest it spoke of another version.
        self.vouches = digest.is_some() && sighting.told.as_ref().is_some_and(Told::vouches);
        self.unverified = match &sighting.told {
            Some(told) if !told.is_verified => self.unverified.or(Some(sent)),
            _ => None,
        };
        if let Some(last) = self.last.as_mut().filter(|last| last.serial == serial) {
            last.sent = sent;
            return;
        }
        let not_before = self.last.map(|last| last.sent);
        let half = received.since(sent) / 2;
        let about = Now { mono: sent + half, utc: sent_utc + half };
        let step = Step { serial, not_before, by: received, about, sent };
        self.last = Some(step);
        self.steps.push_back(step);
        if self.steps.len() > MAX_STEPS {
            self.forgotten = self.steps.pop_front().map(|step| step.serial);
        }
    }
}
