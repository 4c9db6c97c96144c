//! No zone waits for another: while a large zone is pulled, edited and compared, the node goes on to answer `/health`, to
//! acknowledge NOTIFY and to serve changes of another, small zone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use support::zones::Zone;
use support::{http, ports, soa, tidemark, zones};

/// Large enough that putting it together, or comparing it, takes several times what is allowed below on any machine.
const RECORDS: u32 = 400_000;
const LARGE: &str = "large.";
const SMALL: &str = "small.";
/// How long a large zone may take.
const LIMIT: Duration = Duration::from_secs(120);
/// What is promised of each kind. The median of a change has room for the builders of the zone, which have the same cores; most of all
/// while the zone is pulled, which is over after a few changes.
const HEALTH: Duration = Duration::from_millis(50);
const MEDIAN: Duration = Duration::from_millis(20);
const MEDIAN_AT_FIRST: Duration = Duration::from_millis(60);

fn large(serial: u32) -> String {
    let mut text = zones::text(LARGE, serial, &[]);
    for host in 0..RECORDS {
        let [_, b, c, d] = host.to_be_bytes();
        // Every record is another one in each version.
        writeln!(text, "h{host} {} A 10.{b}.{c}.{d}", 60 + serial).unwrap();
    }
    text
}

fn small(serial: u32) -> String {
    zones::text(SMALL, serial, &[])
}

/// How long each kind of small request took.
#[derive(Default)]
struct Waits {
    health: Vec<Duration>,
    change: Vec<Duration>,
}

impl Waits {
    /// Asks for health, and edits the small zone, until the large one has reached `serial`.
    fn until(&mut self, node: &tidemark::Tidemark, addr: SocketAddr, serial: u32, small_serial: &mut u32) {
        let begun = Instant::now();
        let mut probe = soa::Client::new(addr, SMALL);
        while soa::serial(addr, LARGE) != Some(serial) {
            assert!(begun.elapsed() < LIMIT, "the large zone did not reach serial {serial}");
            let asked = Instant::now();
            assert_eq!(http::get(node.http, "/health").unwrap().status, 200);
            self.health.push(asked.elapsed());
            *small_serial += 1;
            let edited = Instant::now();
            node.daemon.publish(SMALL, &small(*small_serial));
            while probe.ask().and_then(|answer| answer.serial) != Some(*small_serial) {
                assert!(edited.elapsed() < LIMIT, "the small zone's edit was not served");
            }
            self.change.push(edited.elapsed());
        }
    }

    /// `/health` never waits. A change waits for the journal, which a large entry holds up; most changes meet none.
    fn judge(mut self, what: &str, most: Duration) {
        for (kind, waits) in [("/health", &mut self.health), ("a small zone's change", &mut self.change)] {
            waits.sort();
            let (median, slowest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
            println!("{what}: {kind}: {} times, median {median:?}, slowest {slowest:?}", waits.len());
        }
        let health = self.health.iter().max().copied().unwrap_or_default();
        assert!(health <= HEALTH, "{what}: /health took {health:?}");
        let change = self.change[self.change.len() / 2];
        assert!(change <= most, "{what}: half of the small zone's changes took more than {change:?}");
    }
}

#[test]
fn a_large_zone_keeps_no_other_waiting() {
    let [primary, node] = ports::reserve_many();
    let source = tidemark::start(primary, &[Zone::primary(LARGE, large(1)).notify(&[node])]);
    source.daemon.await_serial(LARGE, 1, LIMIT);
    // Configured besides the zone that the start waits for.
    let pulled = format!("[[zone]]\nname = \"{LARGE}\"\nprimaries = [\"{primary}\"]\n");
    let secondary = tidemark::start_with(node, &[Zone::primary(SMALL, small(1))], &pulled);
    let mut small_serial = 1;
    let mut waits = Waits::default();
    waits.until(&secondary, node, 1, &mut small_serial);
    waits.judge("pulled for the first time", MEDIAN_AT_FIRST);
    // Many changes at once: the secondary pulls them, and compares.
    source.daemon.publish(LARGE, &large(2));
    let mut waits = Waits::default();
    waits.until(&secondary, node, 2, &mut small_serial);
    waits.judge("changed at its primary", MEDIAN);
}

#[test]
fn the_file_of_a_large_zone_keeps_no_other_waiting() {
    let addr = ports::reserve();
    let zones = [Zone::primary(LARGE, large(1)), Zone::primary(SMALL, small(1))];
    let node = tidemark::start(addr, &zones);
    node.daemon.await_serial(LARGE, 1, LIMIT);
    let mut small_serial = 1;
    for serial in [2, 3] {
        node.daemon.publish(LARGE, &large(serial));
        let mut waits = Waits::default();
        waits.until(&node, addr, serial, &mut small_serial);
        waits.judge("edited", MEDIAN);
    }
}
