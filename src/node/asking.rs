//! What the servers of a zone show that a primary without history asks them for.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::time::Mono;
use crate::zone::serial::Serial;
use crate::zone::stamp::Stamp;

/// A node that comes to look so much later than it wanted to has been busy: what has arrived meanwhile it takes in after that, within as
/// long.
const LATE: Duration = Duration::from_millis(100);

/// What is waited for, and what has come.
#[derive(Debug)]
pub(super) struct Asking {
    /// For how long, once all have been asked: a node with very many zones comes to their servers one after the other.
    limit: Duration,
    /// When to look whether that is over.
    pub(super) until: Mono,
    /// Whether the node was late for that.
    was_late: bool,
    awaited: BTreeSet<SocketAddr>,
    newest: Option<Sighting>,
}

/// A version that a server showed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    pub(super) server: SocketAddr,
    pub(super) serial: Serial,
    /// By which its content can be told from that of the file.
    pub(super) stamp: Option<Stamp>,
}

impl Asking {
    /// Nothing has come.
    pub(super) fn new(now: Mono, servers: Vec<SocketAddr>, limit: Duration) -> Asking {
        let awaited = servers.into_iter().collect();
        Asking { limit, until: now + limit, was_late: false, awaited, newest: None }
    }

    /// How many have not said anything.
    pub(super) fn awaited(&self) -> usize {
        self.awaited.len()
    }

    /// Takes note of what a server showed, or that it showed nothing.
    pub(super) fn heard(&mut self, server: SocketAddr, shown: Option<(Serial, Option<Stamp>)>) {
        self.awaited.remove(&server);
        let says_more = |newest: Sighting, serial: Serial, stamp: &Option<Stamp>| {
            serial.is_newer_than(newest.serial) || serial == newest.serial && stamp.is_some()
        };
        if let Some((serial, stamp)) = shown
            && self.newest.is_none_or(|newest| says_more(newest, serial, &stamp))
        {
            self.newest = Some(Sighting { server, serial, stamp });
        }
    }

    /// Waits for no more servers.
    pub(super) fn close(&mut self) {
        self.awaited.clear();
        self.until = Mono(u64::MAX);
    }

    /// Whether nothing more is waited for. `asked` tells since when a server has been asked, `None` while it has not.
    pub(super) fn is_over(&mut self, now: Mono, asked: impl Fn(SocketAddr) -> Option<Mono>) -> bool {
        if self.awaited.is_empty() {
            return true;
        }
        if now < self.until {
            return false;
        }
        let asked: Option<Vec<Mono>> = self.awaited.iter().map(|server| asked(*server)).collect();
        let last = asked.and_then(|asked| asked.into_iter().max());
        let until = last.unwrap_or(now) + self.limit;
        if until > now {
            self.until = until;
            return false;
        }
        if now.since(self.until) > LATE && !self.was_late {
            (self.was_late, self.until) = (true, now + LATE);
            return false;
        }
        true
    }

    /// The newest version that was shown.
    pub(super) fn newest(&self) -> Option<Sighting> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(3);

    fn at(millis: u64) -> Mono {
        Mono(millis * 1_000)
    }

    fn asking() -> (Asking, [SocketAddr; 2]) {
        let servers = [1, 2].map(|last| SocketAddr::from(([192, 0, 2, last], 53)));
        (Asking::new(at(0), servers.to_vec(), LIMIT), servers)
    }

    #[test]
    fn the_limit_counts_from_when_the_last_server_was_asked() {
        let (mut asking, servers) = asking();
        assert!(!asking.is_over(at(2_999), |_| Some(at(0))));
        // The second one has not been asked.
        let asked = |server| (server == servers[0]).then_some(at(0));
        assert!(!asking.is_over(at(3_000), asked));
        assert_eq!(asking.until, at(6_000));
        let asked = |server| Some(if server == servers[0] { at(0) } else { at(5_000) });
        assert!(!asking.is_over(at(6_000), asked));
        assert_eq!(asking.until, at(8_000));
        assert!(asking.is_over(at(8_000), asked));
    }

    #[test]
    fn nothing_is_waited_for_once_all_have_answered() {
        let (mut asking, servers) = asking();
        servers.iter().for_each(|server| asking.heard(*server, None));
        assert!(asking.is_over(at(1), |_| None));
    }

    #[test]
    fn a_node_that_was_busy_takes_in_first_what_has_arrived() {
        let (mut asking, _) = asking();
        assert!(!asking.is_over(at(9_000), |_| Some(at(0))));
        // However late it is then.
        assert!(asking.is_over(at(20_000), |_| Some(at(0))));
    }
}
