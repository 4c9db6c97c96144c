//! A secondary of very many zones: the start is one transfer for each and no more, and no zone waits for another's primary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use support::await_until::await_until;
use support::daemon::Daemon;
use support::metrics::Series;
use support::tidemark::{self, Tidemark};
use support::zones::{self, Zone};
use support::{bind, dig, knot, nsd, ports};

const ZONES: usize = 2_000;
/// Time for all of them, with a debug build beside other programs.
const LIMIT: Duration = Duration::from_secs(60);
/// Zones at the primary that hangs.
const HUNG: usize = 6_000;
/// What the zone at the healthy primary takes at most meanwhile.
const SOON: Duration = Duration::from_secs(20);
/// Connections to one primary (`ask::admission::TRANSFERS`).
const TRANSFERS: usize = 16;

fn name(number: usize) -> String {
    format!("z{number:04}.example.")
}

fn transfers(node: &Tidemark, wanted: impl Fn(&Series<'_>) -> bool) -> f64 {
    let page = node.metrics();
    let all = page.lines().filter_map(Series::parse);
    let mine = all.filter(|series| {
        series.name == "tidemark_transfers_total" && series.label("direction") == Some("in")
    });
    mine.filter(wanted).map(|series| series.value).sum()
}

fn failed(node: &Tidemark) -> f64 {
    transfers(node, |series| series.label("result") != Some("ok"))
}

fn of_kind(node: &Tidemark, kind: &str) -> f64 {
    transfers(node, |series| series.label("kind") == Some(kind) && series.label("result") == Some("ok"))
}

fn follow_all(start: fn(SocketAddr, &[Zone]) -> Daemon) {
    let [primary_addr, addr] = ports::reserve_many();
    let zones: Vec<Zone> = (0..ZONES)
        .map(|number| Zone::primary(&name(number), zones::text(&name(number), 1, &["www A 192.0.2.1"])))
        .collect();
    let primary = start(primary_addr, &zones);
    primary.await_serial(&name(ZONES - 1), 1, LIMIT);

    let zones: Vec<Zone> = (0..ZONES).map(|number| Zone::secondary(&name(number), &[primary_addr])).collect();
    let begun = Instant::now();
    let mut node = tidemark::start(addr, &zones);
    await_until("all zones to arrive", LIMIT, || of_kind(&node, "axfr") >= ZONES as f64);
    println!("{ZONES} zones from empty: {:?}", begun.elapsed());
    assert_eq!((of_kind(&node, "axfr"), failed(&node)), (ZONES as f64, 0.0), "{}", node.daemon.log());
    for number in [0, 1, ZONES / 2, ZONES - 1] {
        assert_eq!(dig::short(addr, &[&format!("www.{}", name(number)), "A"]), ["192.0.2.1"]);
    }

    // What it has it serves at once; then it asks about each zone once, and every question is answered.
    node.daemon.kill();
    let begun = Instant::now();
    node.daemon.restart();
    for number in [0, 1, ZONES / 2, ZONES - 1] {
        assert_eq!(dig::soa_serial(addr, &name(number)), Some(1));
    }
    println!("{ZONES} zones served after a restart: {:?}", begun.elapsed());
    await_until("all zones to be confirmed", LIMIT, || of_kind(&node, "soa") >= ZONES as f64);
    println!("{ZONES} zones confirmed: {:?}", begun.elapsed());
    assert_eq!((of_kind(&node, "axfr"), failed(&node)), (0.0, 0.0), "{}", node.daemon.log());
}

#[test]
fn all_zones_of_knot_arrive() {
    follow_all(knot::start);
}

#[test]
fn all_zones_of_nsd_arrive() {
    follow_all(nsd::start);
}

#[test]
fn a_primary_that_hangs_delays_no_zone_of_another() {
    let [primary_addr, addr] = ports::reserve_many();
    // The kernel accepts for it, and nobody ever says a word.
    let (_silent, listener) = ports::bind();
    let hung = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let text = |serial| zones::text("example.", serial, &["www A 192.0.2.1"]);
    let healthy = tidemark::start(primary_addr, &[Zone::primary("example.", text(1)).notify(&[addr])]);

    let slow = (0..HUNG).map(|number| Zone::secondary(&name(number), &[hung]));
    let zones: Vec<Zone> = slow.chain([Zone::secondary("example.", &[primary_addr])]).collect();
    let begun = Instant::now();
    let node = tidemark::launch(addr, &zones);
    node.daemon.await_serial("example.", 1, LIMIT);
    println!("first transfer beside {HUNG} zones at a hung primary: {:?}", begun.elapsed());
    assert!(begun.elapsed() < SOON, "the first transfer took {:?}", begun.elapsed());

    let edited = Instant::now();
    healthy.daemon.publish("example.", &text(2));
    node.daemon.await_serial("example.", 2, LIMIT);
    assert!(edited.elapsed() < SOON, "an edit took {:?}", edited.elapsed());

    let mut connections = Vec::new();
    while let Ok((connection, _)) = listener.accept() {
        connections.push(connection);
    }
    assert!((1..=TRANSFERS).contains(&connections.len()), "{} connections", connections.len());
    // Nothing failed for want of something to send it with, and no zone but those that were asked about can have failed.
    assert!(failed(&node) <= TRANSFERS as f64, "{}", node.daemon.log());
}

/// Zones that change at once at a primary that allows few transfers.
const CHANGED: usize = 200;

#[test]
fn a_primary_that_allows_few_transfers_gives_all_its_changes_soon() {
    let [primary_addr, addr] = ports::reserve_many();
    let text = |number, serial| {
        // Nobody who was turned away may wait for the zone's own timers.
        zones::text(&name(number), serial, &["www A 192.0.2.1"]).replace(" 1800 1 ", " 1800 900 ")
    };
    let zones: Vec<Zone> =
        (0..CHANGED).map(|number| Zone::primary(&name(number), text(number, 1)).notify(&[addr])).collect();
    let mut primary = bind::start_with(primary_addr, &zones, "minimal-responses yes; transfers-out 3;");
    let zones: Vec<Zone> =
        (0..CHANGED).map(|number| Zone::secondary(&name(number), &[primary_addr])).collect();
    let begun = Instant::now();
    let node = tidemark::start(addr, &zones);
    let have = |serial: u32| {
        let page = node.metrics();
        let serials =
            page.lines().filter_map(Series::parse).filter(|series| series.name == "tidemark_zone_serial");
        serials.filter(|series| series.value == f64::from(serial)).count()
    };
    await_until("all zones to arrive", LIMIT, || have(1) == CHANGED);
    println!("{CHANGED} zones from empty: {:?}", begun.elapsed());
    for number in 0..CHANGED {
        zones::write(&primary.zone_file(&name(number)), &text(number, 2));
    }
    let begun = Instant::now();
    primary.process().signal(libc::SIGHUP);
    await_until("all changes to arrive", LIMIT, || have(2) == CHANGED);
    let took = begun.elapsed();
    println!("{CHANGED} changes: {took:?}, {} transfers turned away", failed(&node));
    assert!(failed(&node) > 0.0, "the primary has turned nothing away");
    assert!(took < SOON, "{took:?}");
}
