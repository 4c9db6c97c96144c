//! Who told of versions newer than what is served. Each primary takes back only what it told of itself, by what it shows when it is
//! asked later: another one may know of more, or may lag behind.

use std::net::SocketAddr;

use crate::time::Mono;
use crate::zone::serial::Serial;

/// What the primaries told of last, one entry for each that did.
#[derive(Debug, Default)]
pub(super) struct Tellings(Vec<Telling>);

#[derive(Clone, Copy, Debug)]
struct Telling {
    primary: SocketAddr,
    serial: Serial,
    /// When it was told of last; `None` for what a former life heard.
    at: Option<Mono>,
    /// Whether it may as well have been another primary.
    is_shared: bool,
}

impl Tellings {
    /// Takes note of a version that was told of by one of these primaries: the address of a NOTIFY may be that of several, and nobody
    /// knows whom a former life heard.
    pub(super) fn heard(&mut self, primaries: &[SocketAddr], serial: Serial, at: Option<Mono>) {
        let is_shared = primaries.len() > 1;
        for primary in primaries {
            let telling = Telling { primary: *primary, serial, at, is_shared };
            match self.0.iter_mut().find(|known| known.primary == *primary) {
                Some(known) if known.serial.is_newer_than(serial) => {}
                Some(known) => *known = telling,
                None => self.0.push(telling),
            }
        }
    }

    /// Takes note that a primary showed nothing newer to a question that left when `asked`. What was heard in the same moment was heard
    /// before: a round begins with what it is to ask for.
    pub(super) fn taken_back(&mut self, primary: SocketAddr, asked: Mono) {
        self.0.retain(|telling| telling.primary != primary || telling.at.is_some_and(|at| at > asked));
    }

    /// Takes note that a version was announced from the address of several primaries and asked for in vain, though one of them answers:
    /// those that do not answer would keep for ever what may be forged.
    pub(super) fn not_shown(&mut self, serial: Serial) {
        self.0.retain(|telling| !telling.is_shared || telling.serial != serial);
    }

    /// Takes note of what is served.
    pub(super) fn served(&mut self, serial: Serial) {
        self.0.retain(|telling| telling.serial.is_newer_than(serial));
    }

    /// The newest version that was told of, and when that was last; `None` for the moment of what only a former life heard.
    pub(super) fn newest(&self) -> Option<(Serial, Option<Mono>)> {
        self.0.iter().map(|telling| (telling.serial, telling.at)).reduce(|a, b| match a.0 == b.0 {
            true => (a.0, a.1.max(b.1)),
            false if a.0.is_newer_than(b.0) => a,
            false => b,
        })
    }

    /// Whether this primary told of something, and nobody else did.
    pub(super) fn are_only_of(&self, primary: SocketAddr) -> bool {
        !self.0.is_empty() && self.0.iter().all(|telling| telling.primary == primary)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
