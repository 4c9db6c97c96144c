//! tidemark as a secondary of other makes, and in the midst of a chain of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use support::await_until::await_until;
use support::daemon::Daemon;
use support::observer::Observer;
use support::tidemark::{self, Tidemark};
use support::zones::{self, Zone};
use support::{bind, dig, http, knot, metrics, nsd, ports, process};

/// Long against every wait here, short enough to be watched.
const LIMIT: Duration = Duration::from_secs(30);
/// A NOTIFY honoured "at once" leaves no room for a timer: REFRESH is half an hour in these zones, RETRY a second. Knot sends
/// its NOTIFY a second after the change.
const AT_ONCE: Duration = Duration::from_secs(5);

type Start = fn(SocketAddr, &[Zone]) -> Daemon;

/// The zone with a body large enough that differences and the whole are told apart by their size.
fn version(serial: u32) -> String {
    let records: Vec<String> = (0..200).map(|number| format!("host-{number} A 192.0.2.{number}")).collect();
    let www = format!("www A 198.51.100.{serial}");
    let records: Vec<&str> = records.iter().map(String::as_str).chain([&*www]).collect();
    zones::text("example.", serial, &records)
}

fn transfers(node: &Tidemark, kind: &str) -> f64 {
    let labels = [("direction", "in"), ("kind", kind), ("result", "ok")];
    node.metric("tidemark_transfers_total", &labels).unwrap()
}

fn failed_polls(node: &Tidemark) -> f64 {
    let page = node.metrics();
    let failed = page.lines().filter_map(metrics::Series::parse).filter(|series| {
        series.name == "tidemark_transfers_total"
            && series.label("direction") == Some("in")
            && series.label("result") != Some("ok")
    });
    failed.map(|series| series.value).sum()
}

/// First copy, edits, an edit while the secondary is away, and edits after the primary was away.
fn follow(start: Start) {
    let [primary_addr, addr] = ports::reserve_many();
    let mut primary = start(primary_addr, &[Zone::primary("example.", version(1)).notify(&[addr])]);
    let mut node = tidemark::start(addr, &[Zone::secondary("example.", &[primary_addr])]);
    let observer = Observer::watch(addr, "example.");
    observer.await_serial(1, LIMIT);
    assert_same(&primary, addr);
    assert_eq!((transfers(&node, "axfr"), transfers(&node, "ixfr")), (1.0, 0.0));

    for serial in 2..=4 {
        let edited = Instant::now();
        primary.publish("example.", &version(serial));
        let seen = observer.await_serial(serial, LIMIT);
        assert!(seen.at - edited < AT_ONCE, "serial {serial} took {:?}", seen.at - edited);
        assert_same(&primary, addr);
    }
    assert_eq!((transfers(&node, "axfr"), transfers(&node, "ixfr")), (1.0, 3.0), "{}", node.daemon.log());
    assert!(node.metric("tidemark_notifies_total", &[("direction", "in"), ("result", "ok")]).unwrap() >= 3.0);

    // The secondary is away for a version: it serves what it has at once, and gets what it missed as IXFR.
    node.daemon.kill();
    primary.publish("example.", &version(5));
    primary.await_serial("example.", 5, LIMIT);
    node.daemon.restart();
    observer.await_serial(5, LIMIT);
    assert_same(&primary, addr);
    assert_eq!((transfers(&node, "axfr"), transfers(&node, "ixfr")), (0.0, 1.0), "{}", node.daemon.log());

    // The primary is away: what it gave last is served on, and is asked for again.
    primary.stop();
    let before = failed_polls(&node);
    let refresh = tidemark::command().args(["refresh", "--control"]).arg(node.control()).output().unwrap();
    assert!(refresh.status.success(), "{}", String::from_utf8_lossy(&refresh.stderr));
    await_until("a poll of the absent primary to fail", LIMIT, || failed_polls(&node) > before);
    assert_eq!(dig::soa_serial(addr, "example."), Some(5));
    assert_eq!(dig::short(addr, &["www.example.", "A"]), ["198.51.100.5"]);
    // Edited when it is back: BIND does not load a file that changed behind the back of its journal.
    primary.restart();
    primary.publish("example.", &version(6));
    observer.await_serial(6, LIMIT);
    assert_same(&primary, addr);
    let mut serials = observer.serials();
    serials.dedup();
    assert_eq!(serials, [1, 2, 3, 4, 5, 6], "{:?}", observer.transitions());
}

fn assert_same(primary: &Daemon, addr: SocketAddr) {
    let expected = dig::file_records("example.", &primary.zone_file("example."));
    assert_eq!(dig::axfr(addr, "example."), expected);
}

#[test]
fn tidemark_follows_bind() {
    follow(bind::start);
}

#[test]
fn tidemark_follows_knot() {
    follow(knot::start);
}

#[test]
fn tidemark_follows_nsd() {
    follow(nsd::start);
}

#[test]
fn a_chain_of_makes_carries_every_version() {
    let [first, second, third, fourth] = ports::reserve_many();
    let secondary = |of, notify: &[SocketAddr]| Zone::secondary("example.", &[of]).notify(notify);
    let primary = bind::start(first, &[Zone::primary("example.", version(1)).notify(&[second])]);
    let middle = tidemark::start(second, &[secondary(first, &[third])]);
    let knot = knot::start(third, &[secondary(second, &[fourth])]);
    let last = tidemark::start(fourth, &[secondary(third, &[])]);
    let observers = [first, second, third, fourth].map(|addr| Observer::watch(addr, "example."));
    for serial in 1..=4 {
        if serial > 1 {
            primary.publish("example.", &version(serial));
        }
        for observer in &observers {
            observer.await_serial(serial, LIMIT);
        }
        [second, third, fourth].iter().for_each(|addr| assert_same(&primary, *addr));
    }
    for (name, node) in [("middle", &middle), ("last", &last)] {
        assert_eq!((transfers(node, "axfr"), transfers(node, "ixfr")), (1.0, 3.0), "{name}");
    }
    let whole = primary.zone_file("example.").metadata().unwrap().len() / 2;
    let pulled = knot.transfers_received();
    assert_eq!(pulled.iter().filter(|bytes| **bytes > whole).count(), 1, "{pulled:?} bytes");
}

/// The only zone of a node, by its API.
fn zone(node: &Tidemark) -> Value {
    let page = http::get(node.http, "/api/v1/zones").unwrap();
    let mut page: Value = serde_json::from_str(&page.body).unwrap();
    page["zones"][0].take()
}

/// How stale `lag` says that these servers are, by the best figure.
fn stale(servers: [SocketAddr; 2]) -> [Value; 2] {
    let servers = servers.map(|server| server.to_string());
    let lag = process::run(tidemark::command().args([
        "lag",
        "example.",
        "--json",
        "--at",
        &servers[0],
        &servers[1],
    ]));
    let lag: Value = serde_json::from_str(&lag).unwrap();
    servers.map(|server| {
        let told = lag["zones"][0]["servers"].as_array().unwrap();
        let told = told.iter().find(|told| told["server"] == server.as_str()).unwrap();
        told["staleness"]["estimate"].clone()
    })
}

#[test]
fn who_believes_bind_calls_no_other_server_current() {
    let lease = |of| Zone::secondary("example.", &[of]).lease("3s");
    let mut head = tidemark::start(ports::reserve(), &[Zone::primary("example.", version(1))]);
    let direct = tidemark::start(ports::reserve(), &[lease(head.daemon.addr)]);
    let bind = bind::start(ports::reserve(), &[Zone::secondary("example.", &[head.daemon.addr])]);
    bind.await_serial("example.", 1, LIMIT);
    let behind = tidemark::start(ports::reserve(), &[lease(bind.addr)]);
    let chained = tidemark::start(ports::reserve(), &[lease(behind.daemon.addr)]);
    let cache =
        tidemark::start_cache(ports::reserve(), &[("example.", &[direct.daemon.addr, behind.daemon.addr])]);
    let await_state = |node: &Tidemark, state: &str| {
        await_until(&format!("{} to be {state}", node.daemon.addr), LIMIT, || zone(node)["state"] == state);
    };
    for node in [&direct, &behind, &chained, &cache] {
        await_state(node, "current");
    }

    // BIND does not ask for half an hour, and is believed for some minutes.
    head.daemon.stop();
    await_state(&direct, "unverified");
    await_state(&cache, "unverified");
    for believer in [&behind, &chained] {
        // Right after its transfer BIND looked like the source.
        let asked = || stale([direct.daemon.addr, believer.daemon.addr]);
        await_until("its word about others to be over", LIMIT, || asked()[0] == Value::Null);
        for _ in 0..5 {
            assert_eq!(asked(), [Value::Null, 0.0.into()]);
            assert_eq!(
                (&zone(believer)["state"], &zone(&cache)["state"]),
                (&"current".into(), &"unverified".into())
            );
        }
    }
}
