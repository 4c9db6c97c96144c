//! What servers say of their lag when they cannot know: a secondary whose primary is gone, and those behind it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use support::await_until::await_until;
use support::fake_primary::notify;
use support::tidemark::{self, Tidemark};
use support::zones::{self, Zone};
use support::{dig, http, nsd, ports, process};

const LIMIT: Duration = Duration::from_secs(20);
const ZONE: &str = "example.";
/// Asked for every second, and served for eight without an answer.
const TEXT: &str = "$ORIGIN example.\n@ 60 SOA ns hostmaster 1 1 1 8 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n";

fn await_state(node: &Tidemark, state: &str) {
    let is_so = || node.metric("tidemark_zones", &[("state", state)]) == Some(1.0);
    await_until(&format!("the zone at {} to be {state}", node.daemon.addr), LIMIT, is_so);
}

fn longest(node: &Tidemark) -> f64 {
    node.metric("tidemark_zone_staleness_max_seconds", &[("zone", ZONE)]).unwrap()
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// The only zone of a node, by its API.
fn zone(node: &Tidemark) -> Value {
    let page = http::get(node.http, "/api/v1/zones").unwrap();
    let mut page: Value = serde_json::from_str(&page.body).unwrap();
    page["zones"][0].take()
}

#[test]
fn who_is_cut_off_says_since_when_and_so_do_those_behind_it() {
    let mut head = tidemark::start(ports::reserve(), &[Zone::primary(ZONE, TEXT)]);
    let middle = tidemark::start(ports::reserve(), &[Zone::secondary(ZONE, &[head.daemon.addr])]);
    let tail = tidemark::start(ports::reserve(), &[Zone::secondary(ZONE, &[middle.daemon.addr])]);
    let nodes = [&middle, &tail];
    nodes.iter().for_each(|node| await_state(node, "current"));

    head.daemon.stop();
    let (cut, cut_at) = (Instant::now(), SystemTime::now());
    for node in nodes {
        await_state(node, "unverified");
        let since = cut.elapsed().as_secs_f64();
        assert!(longest(node) >= since, "{} s, cut off for {since} s", longest(node));
        let zone = zone(node);
        assert_eq!((&zone["state"], &zone["staleness"]["estimate"]), (&"unverified".into(), &Value::Null));
        let verified = node.metric("tidemark_zone_verified_timestamp_seconds", &[("zone", ZONE)]);
        assert!(verified.unwrap() <= seconds(cut_at), "{zone}");
        // The same moment, as people write it.
        assert!(zone["verified"].as_str().unwrap().ends_with('Z'), "{zone}");
        assert_eq!(node.metric("tidemark_zone_staleness_seconds", &[("zone", ZONE)]), Some(0.0));
    }
    let addresses = nodes.map(|node| node.daemon.addr.to_string());
    let lag = ["lag", ZONE, "--json", "--at", &addresses[0], &addresses[1]];
    let since = cut.elapsed().as_secs_f64();
    let lag: Value = serde_json::from_str(&process::run(tidemark::command().args(lag))).unwrap();
    for server in lag["zones"][0]["servers"].as_array().unwrap() {
        assert_eq!(server["staleness"]["estimate"], Value::Null, "{server}");
        assert!(server["staleness"]["high"].as_f64().unwrap() >= since, "{server}");
    }

    let late = |most: &str| {
        let mut lag = tidemark::command();
        lag.args(["lag", ZONE, "--max-stale", most, "--at", &addresses[0], &addresses[1]]);
        let output = lag.stdout(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = late("1s");
    assert_eq!(code, Some(1), "who is cut off is not known to be in time");
    for address in &addresses {
        let why = format!("{ZONE} at {address}: it is not verified since ");
        assert!(said.contains(&why) && said.starts_with("error: "), "{said}");
    }
    assert_eq!(late("1h"), (Some(0), String::new()));

    // Nobody is told any less of a zone that has expired.
    for node in nodes {
        await_state(node, "expired");
        let since = cut.elapsed().as_secs_f64();
        assert!(longest(node) >= since);
        let zone = zone(node);
        assert_eq!((&zone["state"], &zone["staleness"]["estimate"]), (&"expired".into(), &Value::Null));
        assert!(zone["problem"]["what"].as_str().is_some_and(|what| what.contains("primary")), "{zone}");
    }
    head.daemon.restart();
    for node in nodes {
        await_state(node, "current");
        assert!(longest(node) < cut.elapsed().as_secs_f64());
        assert_eq!(zone(node)["staleness"]["estimate"], 0.0);
    }
}

#[test]
fn a_cache_says_of_a_zone_what_its_servers_know() {
    let mut head = tidemark::start(ports::reserve(), &[Zone::primary(ZONE, TEXT)]);
    let node = tidemark::start(ports::reserve(), &[Zone::secondary(ZONE, &[head.daemon.addr]).lease("1s")]);
    await_state(&node, "current");
    let cache = tidemark::start_cache(ports::reserve(), &[(ZONE, &[node.daemon.addr])]);
    let await_stub = |state| await_until("the stub zone", LIMIT, || zone(&cache)["state"] == state);
    await_stub("current");
    let server = node.daemon.addr.to_string();
    let longest = || {
        let labels = [("zone", ZONE), ("server", server.as_str())];
        cache.metric("tidemark_observed_staleness_max_seconds", &labels).unwrap()
    };
    head.daemon.stop();
    let cut = Instant::now();
    await_stub("unverified");
    let since = cut.elapsed().as_secs_f64();
    assert!(longest() >= since, "{} s, cut off for {since} s", longest());
    assert_eq!(zone(&cache)["staleness"]["estimate"], Value::Null);
    // A cache is not asked for a zone that it only asks about.
    let config = cache.daemon.dir().join("tidemark.toml");
    let lag = process::run(tidemark::command().args(["lag", "--json", "--config"]).arg(config));
    let lag: Value = serde_json::from_str(&lag).unwrap();
    let servers = lag["zones"][0]["servers"].as_array().unwrap();
    assert_eq!(servers.iter().map(|it| it["server"].as_str().unwrap()).collect::<Vec<_>>(), [&server]);
}

#[test]
fn who_knew_that_it_was_behind_knows_it_after_a_restart() {
    let mut head = tidemark::start(ports::reserve(), &[Zone::primary(ZONE, TEXT)]);
    let mut node = tidemark::start(ports::reserve(), &[Zone::secondary(ZONE, &[head.daemon.addr])]);
    await_state(&node, "current");
    head.daemon.stop();
    notify("127.0.0.1", node.daemon.addr, ZONE, 2);
    let heard = Instant::now();
    await_until("the primary to be missed", LIMIT, || !zone(&node)["problem"].is_null());
    node.daemon.stop();
    node.daemon.restart();
    let since = heard.elapsed().as_secs_f64();
    let zone = zone(&node);
    assert_eq!((&zone["serial"], &zone["newer"], &zone["state"]), (&1.into(), &2.into(), &"behind".into()));
    let stale = node.metric("tidemark_zone_staleness_seconds", &[("zone", ZONE)]).unwrap();
    assert!(stale >= since, "{stale} s, behind for {since} s");
}

#[test]
fn who_is_cut_off_says_after_a_restart_when_it_was_verified_and_bounds_nothing_by_that() {
    let mut head = tidemark::start(ports::reserve(), &[Zone::primary(ZONE, zones::text(ZONE, 1, &[]))]);
    let mut node = tidemark::start(ports::reserve(), &[Zone::secondary(ZONE, &[head.daemon.addr])]);
    await_state(&node, "current");
    head.daemon.stop();
    let before = SystemTime::now();
    node.daemon.stop();
    node.daemon.restart();
    let zone = zone(&node);
    let verified = node.metric("tidemark_zone_verified_timestamp_seconds", &[("zone", ZONE)]).unwrap();
    assert!(zone["verified"].is_string() && verified <= seconds(before), "{zone}");
    // The clock may have been set while the node was away.
    assert_eq!(zone["staleness"]["high"], Value::Null, "{zone}");
    assert!(longest(&node).is_infinite());
}

/// A journal that was written anew holds nothing of the content.
#[test]
fn a_zone_that_has_expired_says_since_when_after_a_restart_too() {
    let mut head = tidemark::start(ports::reserve(), &[Zone::primary(ZONE, TEXT)]);
    let mut node = tidemark::start(ports::reserve(), &[Zone::secondary(ZONE, &[head.daemon.addr])]);
    await_state(&node, "current");
    head.daemon.stop();
    await_state(&node, "expired");
    let since = zone(&node)["expires"].clone();
    assert!(since.is_string(), "{since}");
    // What was removed is noticed, and made of what is known now.
    let journal = node.data_dir().join("journal");
    fs::remove_file(&journal).unwrap();
    await_until("the journal to be written anew", LIMIT, || journal.exists());
    for _ in 0..2 {
        node.daemon.stop();
        node.daemon.restart();
        await_state(&node, "expired");
        let zone = zone(&node);
        assert_eq!((&zone["expires"], &zone["serial"]), (&since, &Value::Null), "{zone}");
        let status = tidemark::command().args(["status", "--control"]).arg(node.control()).output().unwrap();
        let told = String::from_utf8(status.stdout).unwrap();
        let line = format!("{ZONE} is not served since {}", since.as_str().unwrap());
        assert!(told.contains(&line) && status.status.code() == Some(1), "{told}");
    }
    head.daemon.restart();
    await_state(&node, "current");
    assert_ne!(zone(&node)["expires"], since);
}

#[test]
fn what_no_notify_told_of_is_found_within_a_lease() {
    let text = zones::text(ZONE, 1, &[]);
    let mut head = tidemark::start(ports::reserve(), &[Zone::primary(ZONE, text)]);
    let primaries = [head.daemon.addr];
    let node = tidemark::start(ports::reserve(), &[Zone::secondary(ZONE, &primaries).lease("2s")]);
    await_state(&node, "current");
    zones::write(&head.daemon.dir().join("example.zone"), &zones::text(ZONE, 2, &["www A 192.0.2.2"]));
    await_until("the edit to be served", LIMIT, || zone(&head)["serial"] == 2);
    let edited = Instant::now();
    await_until("the edit to arrive", LIMIT, || zone(&node)["serial"] == 2);
    assert!(edited.elapsed() < Duration::from_secs(3), "after {:?}; REFRESH is 1800 s", edited.elapsed());
    // A word holds for half a lease longer, however long it takes to hear nothing.
    assert!(longest(&node) < 3.0);
    head.daemon.stop();
    let cut = Instant::now();
    await_state(&node, "unverified");
    assert!(cut.elapsed() < Duration::from_secs(4), "after {:?}", cut.elapsed());
    head.daemon.restart();
    await_state(&node, "current");
    let log = node.daemon.log();
    assert_eq!(log.matches("soa failed").count(), 1, "{log}");
    assert!(log.contains("the primary answers again"), "{log}");
}

#[test]
fn lag_is_right_though_the_clock_of_the_primary_is_ten_seconds_ahead() {
    let text = |serial| zones::text(ZONE, serial, &[]);
    let [p, s, old] = ports::reserve_many();
    let primary = tidemark::start_ahead(p, &[Zone::primary(ZONE, text(1)).notify(&[s])], 10);
    let secondary = tidemark::start(s, &[Zone::secondary(ZONE, &[p]).lease("1s")]);
    let _laggard = nsd::start(old, &[Zone::primary(ZONE, text(1))]);
    await_state(&secondary, "current");
    let offset = |part: &str| {
        secondary.metric(&format!("tidemark_zone_clock_offset{part}_seconds"), &[("zone", ZONE)])
    };
    await_until("the clock to be known", LIMIT, || offset("").is_some());
    let edited = Instant::now();
    primary.daemon.publish(ZONE, &text(2));
    secondary.daemon.await_serial(ZONE, 2, LIMIT);
    let published = Instant::now();
    await_state(&secondary, "current");

    let error = offset("_error").unwrap();
    assert!((offset("").unwrap() - 10.0).abs() <= error + 0.01 && error < 0.5, "{:?} +- {error}", offset(""));
    let counted = |name: &str| secondary.metric(name, &[("hop", "publish_to_applied")]).unwrap();
    assert_eq!(counted("tidemark_propagation_backwards_total"), 0.0);
    assert_eq!(counted("tidemark_propagation_duration_seconds_count"), 1.0);
    let took = counted("tidemark_propagation_duration_seconds_sum");
    assert!(took <= edited.elapsed().as_secs_f64(), "{took}");
    assert_eq!(zone(&secondary)["clock_offset"]["seconds"].as_f64().map(f64::round), Some(10.0));

    let at = [p, old].map(|addr| addr.to_string());
    let lag = |more: &[&str]| {
        process::run(tidemark::command().args(["lag", ZONE, "--at", &at[0], &at[1]]).args(more))
    };
    let asked = published.elapsed().as_secs_f64();
    let told: Value = serde_json::from_str(&lag(&["--json"])).unwrap();
    let told = &told["zones"][0];
    let stale = told["servers"].as_array().unwrap().iter().find(|server| server["serial"] == 1).unwrap();
    let estimate = stale["staleness"]["estimate"].as_f64().unwrap();
    let error = told["clock_offset"]["error"].as_f64().unwrap();
    assert!(
        (asked - error..=edited.elapsed().as_secs_f64() + error).contains(&estimate),
        "{estimate} s for more than {asked} s, give or take {error} s"
    );
    let said = "example. the clock of the node that publishes it is ";
    let table = lag(&[]);
    assert!(table.contains(said) && table.contains("s ahead of this machine's, give or take "), "{table}");
}

#[test]
fn one_serial_with_two_contents_is_current_for_nobody() {
    let text = |serial, address: &str| zones::text(ZONE, serial, &[&format!("www A {address}")]);
    let [addr, watched] = ports::reserve_many();
    let node = tidemark::start(addr, &[Zone::primary(ZONE, text(1, "192.0.2.1")).notify(&[watched])]);
    // It publishes when it has waited in vain for what the other has.
    await_state(&node, "current");
    let other = tidemark::start(watched, &[Zone::primary(ZONE, text(1, "192.0.2.66"))]);
    let fault = "other content under the same serial";
    let seen = |field: &str| zone(&node)["servers"][0][field].clone();
    await_until("the other content to be seen", LIMIT, || seen("fault") == fault);
    assert_eq!((seen("serial"), &seen("staleness")["estimate"]), (1.into(), &Value::Null));
    assert_eq!(node.metric("tidemark_zone_digest_mismatches_total", &[("zone", ZONE)]), Some(1.0));
    assert!(node.daemon.log().contains("compare the two by `dig AXFR`"), "{}", node.daemon.log());

    let at = [node.daemon.addr, other.daemon.addr].map(|addr| addr.to_string());
    let lag = ["lag", ZONE, "--json", "--at", &at[0], &at[1]];
    let lag: Value = serde_json::from_str(&process::run(tidemark::command().args(lag))).unwrap();
    for server in lag["zones"][0]["servers"].as_array().unwrap() {
        assert_eq!(server["fault"], fault, "{server}");
        assert_eq!((&server["serial"], &server["staleness"]["estimate"]), (&1.into(), &Value::Null));
    }
    let wait = |serial: &str, timeout: &str| {
        let args = ["wait", ZONE, "--serial", serial, "--timeout", timeout, "--at", &at[0], &at[1]];
        let output = tidemark::command().args(args).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (status, said) = wait("1", "500ms");
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains(&format!("{}: serial 1 with other content than {}", at[0], at[1])), "{said}");

    for daemon in [&node.daemon, &other.daemon] {
        daemon.publish(ZONE, &text(2, "192.0.2.2"));
    }
    let (status, said) = wait("2", "20s");
    assert_eq!(status, Some(0), "{said}");
    await_until("the same content to be seen", LIMIT, || seen("up") == true && seen("serial") == 2);
}

/// A cache whose servers are at two versions: its clients do not go back and forth between these.
#[test]
fn of_more_zones_than_have_series_those_in_trouble_have_them() {
    const ZONES: usize = 1_010;
    let [addr, silent] = ports::reserve_many();
    let name = |number: usize| format!("z{number}.");
    let text = |number| zones::text(&name(number), 1, &[]);
    let configured: Vec<Zone> =
        (0..ZONES).map(|it| Zone::primary(&name(it), text(it)).notify(&[silent])).collect();
    let node = tidemark::start(addr, &configured);
    let is_told = |series: &str| {
        let page = http::get(node.http, "/metrics").unwrap().body;
        page.lines().filter(|line| line.starts_with(series) && line.ends_with(" 0")).count()
    };
    await_until("the silent server to be told of", LIMIT, || is_told("tidemark_observed_up{") == 1_000);
    node.daemon.publish(&name(7), "z7. SOA broken\n");
    await_until("the broken file to be told of", LIMIT, || {
        is_told("tidemark_zone_file_ok{zone=\"z7.\"}") == 1
    });
    node.daemon.publish(&name(7), &zones::text(&name(7), 2, &[]));
    await_until("no broken file", LIMIT, || is_told("tidemark_zone_file_ok{") == 0);
}

#[test]
fn what_a_client_of_a_cache_has_seen_the_cache_tells_of() {
    let [server, cache] = ports::reserve_many();
    let version = |serial: u32| zones::text(ZONE, serial, &[&format!("* 1 A 192.0.2.{serial}")]);
    let server = tidemark::start(server, &[Zone::primary(ZONE, version(1))]);
    let cache = tidemark::start_cache(cache, &[(ZONE, &[server.daemon.addr])]);
    await_until("the cache to have asked its server", LIMIT, || zone(&cache)["serial"] == 1);
    // Its turn comes again in ten seconds.
    let asked = Instant::now();
    server.daemon.publish(ZONE, &version(2));
    server.daemon.await_serial(ZONE, 2, LIMIT);
    let client = dig::short(cache.daemon.addr, &[&format!("new.{ZONE}"), "A"]);
    assert_eq!(client, ["192.0.2.2"]);
    await_until("the cache to say so", LIMIT, || zone(&cache)["serial"] == 2);
    assert!(asked.elapsed() < Duration::from_secs(6), "it waited for {:?}", asked.elapsed());
}

#[test]
fn a_cache_that_has_seen_a_version_of_a_stub_zone_does_not_go_back() {
    const NAMES: usize = 300;
    let [newer, older, cache] = ports::reserve_many();
    let version = |serial: u32| zones::text(ZONE, serial, &[&format!("* 1 A 192.0.2.{serial}")]);
    let _newer = tidemark::start(newer, &[Zone::primary(ZONE, version(2))]);
    let _older = tidemark::start(older, &[Zone::primary(ZONE, version(1))]);
    let _cache = tidemark::start_cache(cache, &[(ZONE, &[newer, older])]);
    let shown: Vec<String> = (0..NAMES)
        .map(|number| dig::short(cache, &[&format!("n{number}.{ZONE}"), "A"]).join(" "))
        .skip_while(|shown| shown == "192.0.2.1")
        .collect();
    // A server is tried at random for one question in sixteen.
    assert!(shown.len() > NAMES / 2, "{shown:?}");
    assert!(shown.iter().all(|shown| shown == "192.0.2.2"), "{shown:?}");
}
