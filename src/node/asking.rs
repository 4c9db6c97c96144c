//! What the servers of a zone show that a primary without history asks them for.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::time::Mono;
use crate::zone::serial::Serial;
use crate::zone::stamp::Stamp;

/// What is waited for, and what has come.
#[derive(Debug)]
pub(super) struct Asking {
    /// Until when.
    pub(super) until: Mono,
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
    pub(super) fn new(servers: Vec<SocketAddr>, until: Mono) -> Asking {
        Asking { until, awaited: servers.into_iter().collect(), newest: None }
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

    /// Whether nothing more is waited for.
    pub(super) fn is_over(&self, now: Mono) -> bool {
        self.awaited.is_empty() || self.until <= now
    }

    /// The newest version that was shown.
    pub(super) fn newest(&self) -> Option<Sighting> {
        self.newest
    }
}
