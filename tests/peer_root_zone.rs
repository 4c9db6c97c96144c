//! Real input: successive versions of the root zone, from a primary over two tidemark secondaries and those of three other makes.
//!
//! ```text
//! tidemark primary -> tidemark secondary -> tidemark chained
//!                  -> BIND, Knot, NSD
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use support::daemon::Daemon;
use support::observer::{Observer, Transition};
use support::replay::{self, Version};
use support::tidemark::{self, Tidemark};
use support::zones::Zone;
use support::{bind, dig, knot, nsd, ports};

/// Long against everything here, also when two cores carry a dozen servers.
const LIMIT: Duration = Duration::from_secs(30);
/// How far, in seconds, most reported moments may lie before the observed ones: a node reads the clock when its journal is safe,
/// right before it serves the change.
const CLOCK: f64 = 0.005;
/// How far any may: a node may lose the processor, or wait for the disk, in between.
const BUSY: f64 = 2.0;

/// In bytes: differences between successive versions are far smaller, the whole zone is half a million.
const LARGEST_STEP: u64 = 100_000;

/// Everything that carries the zone.
struct World {
    primary: Tidemark,
    secondary: Tidemark,
    chained: Tidemark,
    foreign: [(&'static str, Daemon); 3],
}

impl World {
    fn start(first: &Version) -> World {
        let [primary, secondary, chained, b, k, n] = ports::reserve_many();
        let from_primary = || Zone::secondary(".", &[primary]);
        World {
            primary: tidemark::start(
                primary,
                &[Zone::primary(".", &*first.text).notify(&[secondary, b, k, n])],
            ),
            secondary: tidemark::start(secondary, &[from_primary().notify(&[chained])]),
            chained: tidemark::start(chained, &[Zone::secondary(".", &[secondary])]),
            foreign: [
                ("bind", bind::start(b, &[from_primary()])),
                ("knot", knot::start(k, &[from_primary()])),
                ("nsd", nsd::start(n, &[from_primary()])),
            ],
        }
    }

    fn nodes(&self) -> [(&'static str, &Tidemark); 3] {
        [("primary", &self.primary), ("secondary", &self.secondary), ("chained", &self.chained)]
    }

    fn servers(&self) -> Vec<(&'static str, SocketAddr)> {
        let ours = self.nodes().map(|(name, node)| (name, node.daemon.addr));
        ours.into_iter().chain(self.foreign.each_ref().map(|(name, daemon)| (*name, daemon.addr))).collect()
    }

    /// Every server gives exactly the records of the file.
    fn assert_content(&self, version: &Version) {
        let expected = dig::file_records(".", &version.file);
        for (name, addr) in self.servers() {
            let found = dig::axfr(addr, ".");
            let (missing, added): (Vec<_>, Vec<_>) = (
                expected.difference(&found).take(3).collect(),
                found.difference(&expected).take(3).collect(),
            );
            assert!(
                missing.is_empty() && added.is_empty(),
                "{name} at {}: lacks {missing:?}, has {added:?}",
                version.serial
            );
        }
    }
}

#[test]
fn every_server_follows_step_by_step() {
    let versions = replay::versions();
    let world = World::start(&versions[0]);
    let observers: Vec<(&str, Observer)> =
        world.servers().into_iter().map(|(name, addr)| (name, Observer::watch(addr, "."))).collect();
    for (_, observer) in &observers {
        observer.await_serial(versions[0].serial, LIMIT);
    }
    world.assert_content(&versions[0]);
    let full_before = transfers_out(&world.primary, "axfr");

    println!(
        "lag by hop in ms, from the primary's publication; in brackets when the change was seen from outside"
    );
    let mut early = Vec::new();
    for version in &versions[1..] {
        let given_before = transfers_out(&world.primary, "axfr");
        let edited = seconds(SystemTime::now());
        world.primary.daemon.publish(".", &version.text);
        let seen: Vec<(&str, Transition)> = observers
            .iter()
            .map(|(name, observer)| (*name, observer.await_serial(version.serial, LIMIT)))
            .collect();
        assert_eq!(transfers_out(&world.primary, "axfr"), given_before, "a step travelled as AXFR");
        early.extend(report(&world, version, edited, &seen));
        world.assert_content(version);
    }

    early.sort_by(f64::total_cmp);
    assert!(early[early.len() / 2] < CLOCK, "reported before observed, in seconds: {early:?}");

    let steps = versions.len() - 1;
    for (name, node) in &world.nodes()[1..] {
        let pulled = |kind| {
            node.metric("tidemark_transfers_total", &[("direction", "in"), ("kind", kind), ("result", "ok")])
        };
        assert_eq!(pulled("ixfr"), Some(steps as f64), "{name}");
        assert_eq!(pulled("axfr"), Some(1.0), "{name}");
        assert_eq!(applied_count(node), steps as f64, "{name}");
    }
    // Each transfer began with a question for the SOA, asked by all who have the zone from here.
    assert!(transfers_out(&world.primary, "soa") >= steps as f64, "polls are counted");
    for (name, server) in &world.foreign {
        let pulled = server.transfers_received();
        let whole = pulled.iter().filter(|bytes| **bytes > LARGEST_STEP).count();
        assert_eq!((pulled.len(), whole), (steps + 1, 1), "{name} pulled transfers of {pulled:?} bytes");
    }
    for (name, observer) in &observers {
        let expected: Vec<u32> = versions.iter().map(|version| version.serial).collect();
        assert_eq!(observer.serials(), expected, "{name}");
    }
    assert!(full_before >= 4.0, "each secondary began with a full transfer");
}

/// Prints the lags that the nodes report of this step, and holds them against what was observed; returns by how much the
/// secondaries' reports come before the time in which the change was seen.
fn report(world: &World, version: &Version, edited: f64, seen: &[(&str, Transition)]) -> Vec<f64> {
    let mut early = Vec::new();
    let zone = [("zone", ".")];
    let published = world.primary.metric("tidemark_zone_published_timestamp_seconds", &zone).unwrap();
    let mut line = format!("{}:", version.serial);
    for (name, transition) in seen {
        let (after, at) = bracket(transition);
        let ms = |moment: f64| (moment - published) * 1e3;
        let node = world.nodes().into_iter().find(|(node, _)| node == name);
        let Some((_, node)) = node else {
            line += &format!("  {name} [{:.0} to {:.0}]", ms(after), ms(at));
            continue;
        };
        let applied = node.metric("tidemark_zone_applied_timestamp_seconds", &zone).unwrap();
        line += &format!("  {name} {:.1} [{:.1} to {:.1}]", ms(applied), ms(after), ms(at));
        assert_eq!(node.metric("tidemark_zone_serial", &zone), Some(f64::from(version.serial)), "{name}");
        assert_eq!(
            node.metric("tidemark_zone_published_timestamp_seconds", &zone),
            Some(published),
            "{name} was not told when the primary published"
        );
        // The primary dates a version from when it took the change in, before it works out the differences.
        let earliest = if *name == "primary" { edited } else { after - BUSY };
        assert!(
            (earliest..=at + CLOCK).contains(&applied),
            "{name} says it applied {} at {applied}, seen from outside between {after} and {at}",
            version.serial
        );
        early.push((after - applied).max(0.0));
    }
    println!("{line}");
    // Of the secondaries.
    early.split_off(1)
}

/// Between which moments a change was made, in seconds since 1970.
fn bracket(transition: &Transition) -> (f64, f64) {
    (seconds(transition.utc - (transition.at - transition.after)), seconds(transition.utc))
}

fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn transfers_out(node: &Tidemark, kind: &str) -> f64 {
    node.metric("tidemark_transfers_total", &[("direction", "out"), ("kind", kind), ("result", "ok")])
        .unwrap()
}

fn applied_count(node: &Tidemark) -> f64 {
    node.metric("tidemark_propagation_duration_seconds_count", &[("hop", "publish_to_applied")]).unwrap()
}
