//! The harness itself, without tidemark: foreign servers converge, and what the outsiders report is true.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use support::daemon::Daemon;
use support::observer::{INTERVAL, Observer};
use support::prometheus::Prometheus;
use support::zones::{self, Zone};
use support::{await_until::await_until, bind, dig, http, knot, metrics, nsd, ports};

/// Long against every wait here (Knot's NOTIFY delay of one second is the longest), short enough to be watched.
const LIMIT: Duration = Duration::from_secs(30);

type Start = fn(SocketAddr, &[Zone]) -> Daemon;

fn first() -> String {
    zones::text("example.", 1, &["www A 192.0.2.1", "mail A 192.0.2.25"])
}

fn second() -> String {
    zones::text("example.", 2, &["www A 192.0.2.2", "mail A 192.0.2.25"])
}

/// One primary, the other two makes as secondaries: both versions arrive, the second as IXFR, each seen from outside.
fn converge(start_primary: Start, start_secondaries: [Start; 2]) {
    let [primary_addr, a, b] = ports::reserve_many();
    let primary = start_primary(primary_addr, &[Zone::primary("example.", first()).notify(&[a, b])]);
    let secondaries = [(start_secondaries[0], a), (start_secondaries[1], b)]
        .map(|(start, addr)| start(addr, &[Zone::secondary("example.", &[primary_addr])]));
    let observers = [primary_addr, a, b].map(|addr| Observer::watch(addr, "example."));
    for observer in &observers {
        observer.await_serial(1, LIMIT);
    }
    let expected = dig::file_records("example.", &primary.zone_file("example."));
    secondaries.iter().for_each(|secondary| assert_eq!(dig::axfr(secondary.addr, "example."), expected));

    let edited = Instant::now();
    primary.publish("example.", &second());
    for observer in &observers {
        let seen = observer.await_serial(2, LIMIT);
        assert!(seen.at > edited && seen.after < seen.at, "{seen:?}");
        assert_eq!(observer.serials(), [1, 2]);
        assert!(observer.polls() > 2);
    }
    let expected = dig::file_records("example.", &primary.zone_file("example."));
    assert!(expected.contains("www.example. 60 A 192.0.2.2"), "{expected:?}");
    for server in [&primary].into_iter().chain(&secondaries) {
        assert_eq!(dig::axfr(server.addr, "example."), expected);
        assert_eq!(dig::soa_serial(server.addr, "example."), Some(2));
    }
    assert_eq!(primary.ixfrs_sent(), 2, "{}", primary.log());
    let ixfr = dig::ixfr(primary_addr, "example.", 1);
    assert_eq!(ixfr.iter().filter(|record| record.contains(" SOA ")).count(), 4, "not incremental: {ixfr:?}");
    assert!(ixfr.contains(&"www.example. 60 A 192.0.2.1".to_owned()), "the old record is not in {ixfr:?}");
}

#[test]
fn knot_and_nsd_follow_bind() {
    converge(bind::start, [knot::start, nsd::start]);
}

#[test]
fn bind_and_nsd_follow_knot() {
    converge(knot::start, [bind::start, nsd::start]);
}

#[test]
fn bind_and_knot_follow_nsd() {
    converge(nsd::start, [bind::start, knot::start]);
}

/// A secondary of this make is killed, misses a version, starts again and catches up; the observer saw it go.
fn crash(start: Start) {
    let [primary_addr, addr] = ports::reserve_many();
    let primary = bind::start(primary_addr, &[Zone::primary("example.", first()).notify(&[addr])]);
    let mut secondary = start(addr, &[Zone::secondary("example.", &[primary_addr])]);
    let observer = Observer::watch(addr, "example.");
    observer.await_serial(1, LIMIT);
    secondary.kill();
    await_until("the observer to miss the server", LIMIT, || {
        observer.transitions().last().is_some_and(|last| last.serial.is_none())
    });
    primary.publish("example.", &second());
    primary.await_serial("example.", 2, LIMIT);
    secondary.restart();
    observer.await_serial(2, LIMIT);
    assert_eq!(dig::axfr(addr, "example."), dig::axfr(primary_addr, "example."));
}

#[test]
fn a_killed_bind_comes_back() {
    crash(bind::start);
}

#[test]
fn a_killed_knot_comes_back() {
    crash(knot::start);
}

#[test]
fn a_killed_nsd_comes_back() {
    crash(nsd::start);
}

#[test]
fn the_observer_asks_about_as_often_as_it_says() {
    let addr = ports::reserve();
    let _primary = nsd::start(addr, &[Zone::primary("example.", first())]);
    let observer = Observer::watch(addr, "example.");
    observer.await_serial(1, LIMIT);
    // The clock is read before the count: every question counted had its answer afterwards, and there is a pause before
    // each but the first.
    let begun = Instant::now();
    let before = observer.polls();
    await_until("fifty questions more", LIMIT, || observer.polls() >= before + 50);
    assert!(begun.elapsed() >= INTERVAL * 49, "fifty questions in {:?}", begun.elapsed());
    assert_eq!(observer.serials(), [1]);
}

#[test]
fn prometheus_scrapes_and_answers() {
    let nobody = ports::reserve();
    let prometheus = Prometheus::start(&[nobody]);
    await_until("a scrape of the absent target", LIMIT, || {
        let samples = prometheus.query(&format!("up{{instance=\"{nobody}\"}}"));
        samples.len() == 1 && samples[0].value == 0.0 && samples[0].labels["job"] == "tidemark"
    });
    // Its own page is as good as any for reading the text format.
    let page = http::get(prometheus.addr, "/metrics").unwrap();
    assert_eq!(page.status, 200);
    let ready = |labels: &[(&str, &str)]| {
        metrics::value(&page.body, "prometheus_http_requests_total", labels).is_some_and(|count| count >= 1.0)
    };
    assert!(ready(&[("handler", "/-/ready"), ("code", "200")]), "{}", page.body);
    assert!(!ready(&[("handler", "/-/ready"), ("code", "404")]));
    assert_eq!(http::get(prometheus.addr, "/nowhere").unwrap().status, 404);
}

#[test]
fn dig_and_kdig_agree() {
    let addr = ports::reserve();
    let _primary = bind::start(addr, &[Zone::primary("example.", first())]);
    assert_eq!(dig::short(addr, &["www.example.", "A"]), ["192.0.2.1"]);
    assert_eq!(dig::kdig(addr, &["www.example.", "A", "+short"]).trim(), "192.0.2.1");
}
