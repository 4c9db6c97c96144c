//! SIGKILL of any tidemark node at random moments while the root zone changes, a hundred times.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::RngExt;

use support::observer::Observer;
use support::replay::{self, Version};
use support::tidemark;
use support::zones::{self, Zone};
use support::{bind, dig, knot, nsd, ports, seed, soa};

const LIMIT: Duration = Duration::from_secs(30);
const KILLS: u32 = 100;
/// From an edit to the kill, at most: the edit has reached every server in half that time, so that kills hit each stage of it
/// and the time after it.
const LONGEST_PAUSE: Duration = Duration::from_millis(120);
/// After every so many kills the whole content is looked at, not just its serial.
const LOOK_INSIDE: u32 = 10;
/// A name that exists in every version with the version's serial as its text.
const MARK: &str = "tidemark-test.";

/// An endless row of versions: the published ones over and over, under growing serials.
struct Series {
    bases: Vec<(Version, BTreeSet<String>)>,
    first: u32,
    next: u32,
}

impl Series {
    fn new() -> Series {
        let bases = replay::versions().into_iter().map(|version| {
            let records = dig::file_records(".", &version.file);
            (version, records)
        });
        let bases: Vec<_> = bases.collect();
        let first = bases[0].0.serial;
        Series { bases, first, next: first }
    }

    fn base(&self, serial: u32) -> &(Version, BTreeSet<String>) {
        &self.bases[(serial - self.first) as usize % self.bases.len()]
    }

    /// The text of the next version, and its serial.
    fn next(&mut self) -> (u32, String) {
        let serial = self.next;
        self.next += 1;
        let (version, _) = self.base(serial);
        let text = version.text.replacen(&version.serial.to_string(), &serial.to_string(), 1);
        (serial, format!("{text}{MARK} 60 IN TXT \"{serial}\"\n"))
    }

    fn was_published(&self, serial: u32) -> bool {
        (self.first..self.next).contains(&serial)
    }

    /// What AXFR of a version must give.
    fn records(&self, serial: u32) -> BTreeSet<String> {
        let (version, records) = self.base(serial);
        let renumbered = |record: &String| match record.starts_with(". 86400 SOA ") {
            true => record.replacen(&version.serial.to_string(), &serial.to_string(), 1),
            false => record.clone(),
        };
        records.iter().map(renumbered).chain([format!("{MARK} 60 TXT \"{serial}\"")]).collect()
    }

    /// What a server gives is one published version and no mixture; returns its serial.
    fn assert_content(&self, addr: SocketAddr) -> u32 {
        let found = dig::axfr(addr, ".");
        let soa = found.iter().find(|record| record.starts_with(". 86400 SOA ")).unwrap();
        let serial = soa.split(' ').nth(5).unwrap().parse().unwrap();
        assert!(self.was_published(serial), "{addr} serves {serial}");
        let expected = self.records(serial);
        let lacks: Vec<_> = expected.difference(&found).take(3).collect();
        let has: Vec<_> = found.difference(&expected).take(3).collect();
        assert!(lacks.is_empty() && has.is_empty(), "{addr} at {serial} lacks {lacks:?} and has {has:?}");
        serial
    }
}

fn await_all(observers: &[Observer], serial: u32) {
    for observer in observers {
        observer.await_serial(serial, LIMIT);
    }
}

#[test]
fn a_hundred_crashes_lose_nothing() {
    let mut random = seed::generator();
    let mut series = Series::new();
    let [primary, secondary, chained, b, k, n] = ports::reserve_many();
    let of = |addr, notify: &[SocketAddr]| Zone::secondary(".", &[addr]).notify(notify);
    let (first, text) = series.next();
    let mut nodes = [
        tidemark::start(primary, &[Zone::primary(".", text).notify(&[secondary, b, k, n])]).daemon,
        tidemark::start(secondary, &[of(primary, &[chained])]).daemon,
        tidemark::start(chained, &[of(secondary, &[])]).daemon,
    ];
    let foreign = [
        bind::start(b, &[of(primary, &[])]),
        knot::start(k, &[of(primary, &[])]),
        nsd::start(n, &[of(primary, &[])]),
    ];
    let addrs = [primary, secondary, chained, b, k, n];
    let observers = addrs.map(|addr| Observer::watch(addr, "."));
    await_all(&observers, first);

    let begun = Instant::now();
    let mut kills = [0; 3];
    let mut served_again = Duration::ZERO;
    for number in 0..KILLS {
        let (_, text) = series.next();
        nodes[0].publish(".", &text);
        // No event is awaited here: the moment is to be any.
        sleep(random.random_range(Duration::ZERO..LONGEST_PAUSE));
        let victim = random.random_range(0..nodes.len());
        let node = &mut nodes[victim];
        node.kill();
        // The observer's thread may be about to note what the node has said last; nothing comes after this question.
        let asked = observers[victim].polls();
        support::await_until::await_until("the observer to ask again", LIMIT, || {
            observers[victim].polls() >= asked + 2
        });
        let before = observers[victim].serials().last().copied().unwrap();
        let restarted = Instant::now();
        node.restart();
        let serves = soa::serial(node.addr, ".");
        served_again = served_again.max(restarted.elapsed());
        let serves = serves.unwrap_or_else(|| panic!("kill {number}: node {victim} serves nothing"));
        assert!(series.was_published(serves), "kill {number}: node {victim} serves {serves}");
        assert!(serves >= before, "kill {number}: node {victim} served {before}, now {serves}");
        kills[victim] += 1;
        if number % LOOK_INSIDE == 0 {
            assert!(series.assert_content(node.addr) >= serves);
        }
    }
    let done: u32 = kills.iter().sum();
    println!(
        "{done} kills ({} of the primary, {} of the secondary, {} of the chained) in {:.1} s over {} versions; \
         serving again within {} ms at most",
        kills[0],
        kills[1],
        kills[2],
        begun.elapsed().as_secs_f64(),
        series.next - first,
        served_again.as_millis()
    );
    assert_eq!(done, KILLS);

    let (last, text) = series.next();
    zones::write(&nodes[0].zone_file("."), &text);
    await_all(&observers, last);
    addrs.iter().for_each(|addr| assert_eq!(series.assert_content(*addr), last, "{addr}"));
    for (observer, addr) in observers.iter().zip(addrs) {
        let serials = observer.serials();
        // NSD was seen to give the version before once more, and then the new one again: it is several processes.
        let is_known = |at: usize| addr == n && at >= 2 && serials[at] == serials[at - 2];
        let is_back = |at: usize| serials[at] < serials[at - 1] && !is_known(at);
        assert!(!(1..serials.len()).any(is_back), "{addr} went backwards: {serials:?}");
        assert!(serials.iter().all(|serial| series.was_published(*serial)), "{addr}: {serials:?}");
    }
    drop(foreign);
}
