//! What each server takes of EDNS, as far as that has been seen.
//!
//! Servers and the devices before them that answer options, or any OPT record, with an error or not at all are not rare, and
//! to find that out costs a question or more each time. What was found is kept for a while, so that a server that has been
//! repaired is asked with options again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::time::Mono;

use super::query::Level;

/// How long it is kept what a server takes; Unbound and others keep it as long.
pub const KEPT: Duration = Duration::from_secs(900);
/// Servers remembered. One forgotten before its time costs a few questions more.
const MAX_SERVERS: usize = 4_096;
/// After so many answers in a row that came only without EDNS, silence to it is the server's doing and not the network's.
const SILENCES: u8 = 2;

/// What it means when an option is missing in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omission {
    /// The server does not send it: it was asked for it, or objected to being asked.
    Absent,
    /// Nothing: the server has been silent to EDNS too often to be asked with it now, which the network may be to blame for.
    Unasked,
    /// Nothing, and by a mere accident perhaps: asked once more, the server may send it.
    Doubtful,
}

/// A memory of what servers take.
#[derive(Debug, Default)]
pub struct Support {
    servers: BTreeMap<SocketAddr, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    level: Level,
    until: Mono,
    /// Answers that came only without EDNS since one came with it.
    silences: u8,
}

impl Support {
    /// How much of EDNS a server is known to take.
    pub fn level(&self, now: Mono, server: SocketAddr) -> Option<Level> {
        self.servers.get(&server).filter(|seen| seen.until > now).map(|seen| seen.level)
    }

    /// A server gave an answer of use to a query with this much of EDNS. That it takes no more was found out when it was asked
    /// for more: answers to less do not prolong it.
    pub fn takes(&mut self, now: Mono, server: SocketAddr, level: Level) {
        let known = self.servers.get(&server).filter(|seen| seen.until > now && seen.level == level);
        let until = known.filter(|_| level < Level::Options).map_or(now + KEPT, |seen| seen.until);
        self.note(server, Seen { level, until, silences: 0 });
    }

    /// Whether it is silence by which a server is known to take no EDNS: not its own word.
    pub fn was_silent(&self, server: SocketAddr) -> bool {
        self.servers.get(&server).is_some_and(|seen| seen.silences >= SILENCES)
    }

    /// A server has objected to more than this: that it took more says nothing of what it takes now.
    pub fn objects(&mut self, server: SocketAddr, level: Level) {
        if self.servers.get(&server).is_some_and(|seen| seen.level > level) {
            self.servers.remove(&server);
        }
    }

    /// A server did not answer with EDNS and then did without. Returns whether that has happened often enough to be no
    /// accident.
    pub fn is_silent_to_edns(&mut self, now: Mono, server: SocketAddr) -> bool {
        if self.level(now, server).is_some_and(|level| level > Level::Plain) {
            return false;
        }
        let silences = self.servers.get(&server).map_or(0, |seen| seen.silences).saturating_add(1);
        let sure = silences >= SILENCES;
        let until = if sure { now + KEPT } else { now };
        self.note(server, Seen { level: Level::Plain, until, silences });
        sure
    }

    /// A server that was silent altogether speaks again: what its silence seemed to say of EDNS says nothing.
    pub fn forget_silence(&mut self, server: SocketAddr) {
        if self.servers.get(&server).is_some_and(|seen| seen.silences > 0) {
            self.servers.remove(&server);
        }
    }

    fn note(&mut self, server: SocketAddr, seen: Seen) {
        if self.servers.len() >= MAX_SERVERS && !self.servers.contains_key(&server) {
            self.servers.pop_first();
        }
        self.servers.insert(server, seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(number: u16) -> SocketAddr {
        ([127, 0, 0, 1], number).into()
    }

    #[test]
    fn what_was_seen_is_forgotten_after_a_while() {
        let mut support = Support::default();
        support.takes(Mono(0), server(1), Level::Edns);
        assert_eq!(support.level(Mono(0) + KEPT - Duration::from_micros(1), server(1)), Some(Level::Edns));
        assert_eq!(support.level(Mono(0) + KEPT, server(1)), None);
    }

    #[test]
    fn one_lost_datagram_is_no_proof_of_silence() {
        let mut support = Support::default();
        assert!(!support.is_silent_to_edns(Mono(0), server(1)));
        assert_eq!(support.level(Mono(1), server(1)), None);
        assert!(support.is_silent_to_edns(Mono(2), server(1)));
        assert_eq!(support.level(Mono(3), server(1)), Some(Level::Plain));
        // It is tried again when that is forgotten, and one more time is proof enough then.
        let later = Mono(2) + KEPT;
        assert_eq!(support.level(later, server(1)), None);
        assert!(support.is_silent_to_edns(later, server(1)));
        assert_eq!(support.level(later, server(1)), Some(Level::Plain));
        support.forget_silence(server(1));
        assert_eq!(support.level(later, server(1)), None);
        support.takes(later, server(1), Level::Options);
        support.forget_silence(server(1));
        assert_eq!(support.level(later, server(1)), Some(Level::Options));
        assert!(!support.is_silent_to_edns(later, server(1)), "it has answered with options since");
    }

    #[test]
    fn memory_is_bounded() {
        let mut support = Support::default();
        (0..u16::MAX).for_each(|number| support.takes(Mono(0), server(number), Level::Plain));
        assert_eq!(support.servers.len(), MAX_SERVERS);
        assert_eq!(support.level(Mono(1), server(u16::MAX - 1)), Some(Level::Plain));
    }
}
