//! The hierarchy that `peer_judge` judges: servers of five makes that pull one zone from each other, a watcher, a cache, and a way between
//! each two that talk to each other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use super::daemon::Daemon;
use super::path::{Path, Paths};
use super::tidemark::{self, Tidemark};
use super::zones::{self, Zone};
use super::{bind, knot, nsd, ports, unbound};

pub const ZONE: &str = "example.";
/// The lease of the secondaries: content is taken for current for one and a half of it.
const LEASE: &str = "1s";
/// By how many seconds the clock of [`CHAINED`] is ahead of all others.
pub const AHEAD: u32 = 10;

/// The servers of the zone. Those that pull from another than the primary are named by [`above`].
pub const NAMES: [&str; 10] = [
    "primary",
    "secondary",
    "chained, clock ahead",
    "behind Knot",
    "behind NSD",
    "of two primaries",
    "Knot",
    "NSD",
    "BIND",
    "Unbound",
];
pub const PRIMARY: usize = 0;
pub const SECONDARY: usize = 1;
pub const CHAINED: usize = 2;
pub const BEHIND_KNOT: usize = 3;
/// NSD tells nothing of how fresh it is.
pub const BEHIND_NSD: usize = 4;
/// It asks a secondary first, which may be behind, and then the primary.
pub const OF_TWO: usize = 5;
pub const KNOT: usize = 6;
pub const NSD: usize = 7;
pub const BIND: usize = 8;
pub const UNBOUND: usize = 9;
/// Who only asks.
pub const WATCHER: usize = 10;
pub const CACHE: usize = 11;
/// The servers of the cache.
const ASKED: [usize; 3] = [SECONDARY, KNOT, BIND];

/// From where each server pulls, the preferred one first.
pub fn above(server: usize) -> &'static [usize] {
    match server {
        CHAINED => &[SECONDARY],
        BEHIND_KNOT => &[KNOT],
        BEHIND_NSD => &[NSD],
        OF_TWO => &[SECONDARY, PRIMARY],
        _ => &[PRIMARY],
    }
}

/// What people call a server, the watcher or the cache.
pub fn name(who: usize) -> &'static str {
    match who {
        WATCHER => "watcher",
        CACHE => "cache",
        _ => NAMES[who],
    }
}

/// All of it, running.
pub struct Scene<'p> {
    pub addresses: [SocketAddr; NAMES.len()],
    pub tidemarks: Vec<Tidemark>,
    others: Vec<Daemon>,
    watcher: Tidemark,
    cache: Tidemark,
    /// To what each server pulls from, with the server's number; then to where it is told of changes, by its number less one; then from
    /// the watcher, and from the cache.
    pulling: Vec<(usize, Path)>,
    telling: Vec<Path>,
    watching: Vec<Path>,
    asking: Vec<Path>,
    /// When Knot was killed.
    pub crashes: Vec<Instant>,
    _paths: &'p Paths,
}

/// What a way is for.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Pulling,
    Telling,
    Watching,
    Asking,
}

impl<'p> Scene<'p> {
    pub fn build(paths: &'p Paths) -> Scene<'p> {
        let addresses: [SocketAddr; NAMES.len()] = ports::reserve_many();
        let below = 1..NAMES.len();
        let pairs = below.clone().flat_map(|server| above(server).iter().map(move |up| (server, *up)));
        let pulling: Vec<(usize, Path)> =
            pairs.map(|(server, up)| (server, paths.to(addresses[up]))).collect();
        let telling: Vec<Path> = below.clone().map(|server| paths.to(addresses[server])).collect();
        let watching: Vec<Path> = addresses.iter().map(|addr| paths.to(*addr)).collect();
        let told_by = |who: usize| -> Vec<SocketAddr> {
            let told = below.clone().filter(|server| above(*server).contains(&who));
            told.map(|server| telling[server - 1].addr).collect()
        };
        let secondary = |who: usize| {
            let ways = pulling.iter().filter(|(server, _)| *server == who);
            let primaries: Vec<SocketAddr> = ways.map(|(_, way)| way.addr).collect();
            Zone::secondary(ZONE, &primaries).lease(LEASE).notify(&told_by(who))
        };
        let head = Zone::primary(ZONE, text(1)).notify(&told_by(PRIMARY));
        let start = |who: usize| tidemark::start(addresses[who], &[secondary(who)]);
        let behind_nsd = secondary(BEHIND_NSD).behind_secondaries();
        let head = tidemark::start(addresses[PRIMARY], &[head]);
        let secondary_node = start(SECONDARY);
        let ahead = tidemark::start_ahead(addresses[CHAINED], &[secondary(CHAINED)], AHEAD);
        let others = vec![
            knot::start(addresses[KNOT], &[secondary(KNOT)]),
            nsd::start(addresses[NSD], &[secondary(NSD)]),
            bind::start(addresses[BIND], &[secondary(BIND)]),
            unbound::start(addresses[UNBOUND], &[secondary(UNBOUND)]),
        ];
        let behind_nsd = tidemark::start(addresses[BEHIND_NSD], &[behind_nsd]);
        let tidemarks = vec![head, secondary_node, ahead, start(BEHIND_KNOT), behind_nsd, start(OF_TWO)];
        let servers: Vec<String> = watching.iter().map(|way| format!("\"{}\"", way.addr)).collect();
        let watch = format!("watch = [{}]\n", servers.join(", "));
        let watched = Zone::secondary(ZONE, &[watching[PRIMARY].addr]).lease(LEASE);
        let watcher = tidemark::start_with(ports::reserve(), &[watched], &watch);
        let asking: Vec<Path> = ASKED.map(|server| paths.to(addresses[server])).into();
        let servers: Vec<SocketAddr> = asking.iter().map(|way| way.addr).collect();
        let cache = tidemark::start_cache(ports::reserve(), &[(ZONE, &servers)]);
        Scene {
            addresses,
            tidemarks,
            others,
            watcher,
            cache,
            pulling,
            telling,
            watching,
            asking,
            crashes: Vec::new(),
            _paths: paths,
        }
    }

    /// The nodes that can be asked what they say, and where.
    pub fn nodes(&self) -> Vec<(usize, SocketAddr)> {
        let nodes = self.tidemarks.iter().map(|node| node.http).enumerate();
        nodes.chain([(WATCHER, self.watcher.http), (CACHE, self.cache.http)]).collect()
    }

    /// Which server is behind which way.
    pub fn known(&self) -> BTreeMap<SocketAddr, usize> {
        let told = self.telling.iter().map(|way| way.addr).zip(1..);
        let asked = self.asking.iter().map(|way| way.addr).zip(ASKED);
        told.chain(self.watching.iter().map(|way| way.addr).zip(0..)).chain(asked).collect()
    }

    pub fn daemon(&mut self, server: usize) -> &mut Daemon {
        match server.checked_sub(self.tidemarks.len()) {
            None => &mut self.tidemarks[server].daemon,
            Some(other) => &mut self.others[other],
        }
    }

    /// How many ways there are of a kind.
    pub fn ways(&self, kind: Kind) -> usize {
        match kind {
            Kind::Pulling => self.pulling.len(),
            Kind::Telling => self.telling.len(),
            Kind::Watching => self.watching.len(),
            Kind::Asking => self.asking.len(),
        }
    }

    pub fn way(&self, kind: Kind, number: usize) -> &Path {
        match kind {
            Kind::Pulling => &self.pulling[number].1,
            Kind::Telling => &self.telling[number],
            Kind::Watching => &self.watching[number],
            Kind::Asking => &self.asking[number],
        }
    }
}

/// The zone file of a version.
pub fn text(serial: u32) -> String {
    zones::text(ZONE, serial, &[&format!("www A 192.0.2.{}", serial % 250 + 1)])
}
