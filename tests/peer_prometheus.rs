//! Prometheus scrapes a primary, a secondary and a cache: every promised metric is there, and lag can be asked for.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use support::await_until::await_until;
use support::metrics::Series;
use support::process::{program, run};
use support::prometheus::Prometheus;
use support::tidemark::{self, Tidemark};
use support::zones::{self, Zone};
use support::{dig, http, ports};

const LIMIT: Duration = Duration::from_secs(30);

/// A promised metric: name, type, labels besides those of Prometheus itself, and on which nodes it has series.
struct Promise(&'static str, &'static str, &'static [&'static str], On);

#[derive(Clone, Copy, PartialEq)]
enum On {
    Every,
    Authoritative,
    /// Also a cache, for the zones whose servers it is told.
    Following,
    /// A secondary and a cache, of which another node publishes the zones.
    Downstream,
    Primary,
    Secondary,
    Watching,
    Cache,
}

/// The contract with dashboards and alert rules, as far as its features are built.
const PROMISES: &[Promise] = &[
    Promise("tidemark_build_info", "gauge", &["version"], On::Every),
    Promise("tidemark_queries_total", "counter", &["transport", "family"], On::Every),
    Promise("tidemark_responses_total", "counter", &["rcode"], On::Every),
    Promise("tidemark_dropped_total", "counter", &[], On::Every),
    Promise("tidemark_query_duration_seconds", "histogram", &["path"], On::Every),
    Promise("tidemark_zone_serial", "gauge", &["zone"], On::Following),
    Promise("tidemark_zone_records", "gauge", &["zone"], On::Authoritative),
    Promise("tidemark_zone_published_timestamp_seconds", "gauge", &["zone"], On::Following),
    Promise("tidemark_zone_applied_timestamp_seconds", "gauge", &["zone"], On::Authoritative),
    Promise("tidemark_zone_verified_timestamp_seconds", "gauge", &["zone"], On::Secondary),
    Promise("tidemark_zone_clock_offset_seconds", "gauge", &["zone"], On::Downstream),
    Promise("tidemark_zone_clock_offset_error_seconds", "gauge", &["zone"], On::Downstream),
    Promise("tidemark_zone_expire_timestamp_seconds", "gauge", &["zone"], On::Secondary),
    Promise("tidemark_zone_staleness_seconds", "gauge", &["zone"], On::Following),
    Promise("tidemark_zone_staleness_max_seconds", "gauge", &["zone"], On::Following),
    Promise("tidemark_propagation_duration_seconds", "histogram", &["hop"], On::Every),
    Promise("tidemark_propagation_backwards_total", "counter", &["hop"], On::Every),
    Promise("tidemark_observed_serial", "gauge", &["zone", "server"], On::Watching),
    Promise("tidemark_observed_staleness_seconds", "gauge", &["zone", "server"], On::Watching),
    Promise("tidemark_observed_unwatched", "gauge", &[], On::Every),
    Promise("tidemark_observed_staleness_max_seconds", "gauge", &["zone", "server"], On::Watching),
    Promise("tidemark_observed_up", "gauge", &["zone", "server"], On::Watching),
    Promise("tidemark_zones", "gauge", &["state"], On::Every),
    Promise("tidemark_not_listening", "gauge", &["state"], On::Every),
    Promise("tidemark_not_read", "gauge", &["what"], On::Every),
    Promise("tidemark_notifies_total", "counter", &["direction", "result"], On::Every),
    Promise("tidemark_transfers_total", "counter", &["direction", "kind", "result"], On::Every),
    Promise("tidemark_transfer_bytes_total", "counter", &["direction", "kind"], On::Every),
    Promise("tidemark_transfer_duration_seconds", "histogram", &["direction", "kind"], On::Authoritative),
    Promise("tidemark_ixfr_fallbacks_total", "counter", &["reason"], On::Every),
    Promise("tidemark_zone_digest_mismatches_total", "counter", &["zone"], On::Authoritative),
    Promise("tidemark_zone_digest_mismatch_timestamp_seconds", "gauge", &["zone"], On::Authoritative),
    Promise("tidemark_zone_file_ok", "gauge", &["zone"], On::Primary),
    Promise("tidemark_config_last_reload_ok", "gauge", &[], On::Every),
    Promise("tidemark_zone_load_failures_total", "counter", &["zone"], On::Authoritative),
    Promise("tidemark_cache_hits_total", "counter", &[], On::Cache),
    Promise("tidemark_cache_misses_total", "counter", &[], On::Cache),
    Promise("tidemark_cache_entries", "gauge", &[], On::Cache),
    Promise("tidemark_cache_stale_answers_total", "counter", &[], On::Every),
    Promise("process_cpu_seconds_total", "counter", &[], On::Every),
    Promise("process_max_fds", "gauge", &[], On::Every),
    Promise("process_open_fds", "gauge", &[], On::Every),
    Promise("process_resident_memory_bytes", "gauge", &[], On::Every),
    Promise("process_start_time_seconds", "gauge", &[], On::Every),
    Promise("process_threads", "gauge", &[], On::Every),
    Promise("process_virtual_memory_bytes", "gauge", &[], On::Every),
];

/// Values that labels with a fixed set of values may have.
const VALUES: &[(&str, &[&str])] = &[
    ("transport", &["udp", "tcp", "tls"]),
    ("family", &["ipv4", "ipv6"]),
    ("path", &["zone", "hit", "miss"]),
    (
        "hop",
        &[
            "edit_to_published",
            "publish_to_applied",
            "publish_to_notified",
            "notified_to_applied",
            "publish_to_observed",
        ],
    ),
    ("direction", &["in", "out"]),
    ("kind", &["axfr", "ixfr", "soa"]),
    (
        "state",
        &[
            "current",
            "unverified",
            "behind",
            "expired",
            "failed",
            // Of addresses.
            "unbound",
            "closed",
            "absent",
            "lost",
        ],
    ),
    ("what", &["folder", "certificate", "cookies"]),
];

/// A primary that watches its secondary, and a cache in front of that.
struct World {
    primary: Tidemark,
    secondary: Tidemark,
    cache: Tidemark,
}

impl World {
    fn start() -> World {
        let [p, s, c] = ports::reserve_many();
        let world = World {
            primary: tidemark::start(p, &[Zone::primary("example.", version(1)).notify(&[s])]),
            secondary: tidemark::start(s, &[Zone::secondary("example.", &[p])]),
            cache: tidemark::start_cache(c, &[("example.", &[s])]),
        };
        world.secondary.daemon.await_serial("example.", 1, LIMIT);
        // A miss and a hit.
        for _ in 0..2 {
            assert_eq!(dig::short(c, &["www.example.", "A"]), ["192.0.2.1"]);
        }
        world.primary.daemon.publish("example.", &version(2));
        world.secondary.daemon.await_serial("example.", 2, LIMIT);
        await_until("the primary to see the secondary follow", LIMIT, || {
            let labels = [("zone", "example."), ("server", &*s.to_string())];
            world.primary.metric("tidemark_observed_serial", &labels) == Some(2.0)
        });
        world
    }

    fn nodes(&self) -> [(&'static str, &Tidemark, &'static [On]); 3] {
        [
            (
                "primary",
                &self.primary,
                &[On::Every, On::Authoritative, On::Following, On::Watching, On::Primary],
            ),
            (
                "secondary",
                &self.secondary,
                &[On::Every, On::Authoritative, On::Following, On::Secondary, On::Downstream],
            ),
            ("cache", &self.cache, &[On::Every, On::Following, On::Watching, On::Cache, On::Downstream]),
        ]
    }
}

fn version(serial: u32) -> String {
    zones::text("example.", serial, &[&format!("www A 192.0.2.{serial}")])
}

#[test]
fn every_promised_metric_is_there_and_nothing_else() {
    let world = World::start();
    for (name, node, roles) in world.nodes() {
        let page = node.metrics();
        // The format: promtool reads it, and has nothing to say about names and help texts.
        lint(&page, name);
        let types: BTreeMap<&str, &str> =
            page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for series in page.lines().filter_map(Series::parse) {
            let Promise(metric, kind, labels, _) = PROMISES
                .iter()
                .find(|promise| belongs(series.name, promise))
                .unwrap_or_else(|| panic!("{name}: {} is not in the contract", series.name));
            *seen.entry(metric).or_default() += 1;
            assert_eq!(types.get(metric), Some(kind), "{name}: type of {metric}");
            let found: BTreeSet<&str> =
                series.labels.iter().map(|label| label.0).filter(|key| *key != "le").collect();
            assert_eq!(found, labels.iter().copied().collect(), "{name}: labels of {}", series.name);
            for (key, value) in &series.labels {
                let allowed = VALUES.iter().find(|(label, _)| label == key);
                assert!(
                    allowed.is_none_or(|(_, values)| values.contains(&&**value)),
                    "{name}: {metric} {key}={value}"
                );
            }
            if let Some(zone) = series.label("zone") {
                assert_eq!(zone, "example.", "{name}: {metric}");
            }
        }
        for Promise(metric, _, _, on) in PROMISES {
            assert_eq!(seen.contains_key(metric), roles.contains(on), "{name}: {metric}");
        }
    }
}

/// Whether a series is of a metric: by its name, or for a histogram by that with its suffixes.
fn belongs(series: &str, Promise(metric, kind, ..): &Promise) -> bool {
    match series.strip_prefix(metric) {
        Some("") => *kind != "histogram",
        Some(suffix) => *kind == "histogram" && ["_bucket", "_sum", "_count"].contains(&suffix),
        None => false,
    }
}

fn lint(page: &str, name: &str) {
    use std::io::Write;
    use std::process::Stdio;
    let mut promtool = Command::new(program("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{name}: {said}");
}

#[test]
fn lag_can_be_asked_for() {
    let world = World::start();
    let prometheus = Prometheus::start(&world.nodes().map(|(_, node, _)| node.http));
    let value = |query: &str, at: SocketAddr| {
        let samples = prometheus.query(query);
        samples.iter().find(|sample| sample.labels["instance"] == at.to_string()).map(|sample| sample.value)
    };
    let (p, s, c) = (world.primary.http, world.secondary.http, world.cache.http);
    await_until("all three to be scraped", LIMIT, || {
        [p, s, c].iter().all(|at| value("up{job=\"tidemark\"}", *at) == Some(1.0))
    });
    for at in [p, s] {
        await_until("the serial by PromQL", LIMIT, || {
            value("tidemark_zone_serial{zone=\"example.\"}", at) == Some(2.0)
        });
        assert_eq!(value("tidemark_zone_staleness_seconds{zone=\"example.\"}", at), Some(0.0));
    }
    // One publication time at both, and a lag that a person believes.
    assert_eq!(
        value("tidemark_zone_published_timestamp_seconds", p),
        value("tidemark_zone_published_timestamp_seconds", s)
    );
    let lag = "tidemark_zone_applied_timestamp_seconds - tidemark_zone_published_timestamp_seconds";
    let lag = value(lag, s).unwrap();
    assert!((0.0..LIMIT.as_secs_f64()).contains(&lag), "{lag}");
    let mean = "tidemark_propagation_duration_seconds_sum{hop=\"publish_to_applied\"} \
                / tidemark_propagation_duration_seconds_count{hop=\"publish_to_applied\"}";
    let mean = value(mean, s).unwrap();
    assert!((mean - lag).abs() < 0.001, "one change: the histogram has {mean}, the timestamps {lag}");
    let edit = |part: &str| {
        let series = format!("tidemark_propagation_duration_seconds_{part}{{hop=\"edit_to_published\"}}");
        value(&series, p).unwrap()
    };
    let (edits, seconds) = (edit("count"), edit("sum"));
    assert!(edits == 1.0 && (0.0..1.0).contains(&seconds), "{edits} edits in {seconds} s");
    println!("the secondary served the change {:.1} ms after its publication", lag * 1e3);
    assert_eq!(value("tidemark_cache_hits_total", c), Some(1.0));
    assert_eq!(value("tidemark_cache_misses_total", c), Some(1.0));

    // A secondary that is cut off: the primary sees it fall behind, and Prometheus tells for how long.
    let mut world = world;
    world.secondary.daemon.process().signal(libc::SIGSTOP);
    world.primary.daemon.publish("example.", &version(3));
    let stale = "tidemark_observed_staleness_seconds{zone=\"example.\"}";
    await_until("the staleness of the stopped secondary", LIMIT, || {
        value(stale, p).is_some_and(|seconds| seconds > 1.0)
    });
    await_until("its silence", LIMIT, || value("tidemark_observed_up", p) == Some(0.0));
    world.secondary.daemon.process().signal(libc::SIGCONT);
    await_until("it to have caught up", LIMIT, || {
        value("tidemark_zone_serial", s) == Some(3.0)
            && value("tidemark_zone_staleness_seconds", s) == Some(0.0)
            && value(stale, p) == Some(0.0)
    });
}

#[test]
fn the_rules_that_are_shipped_are_good() {
    let deploy = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let promtool = |args: &[&str]| run(Command::new(program("promtool")).current_dir(&deploy).args(args));
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["check", "rules", "alerts.yml"]);
    promtool(&["test", "rules", "alerts_test.yml"]);
    // Every metric that they ask for is promised.
    for file in ["alerts.yml", "grafana.json"] {
        let text = std::fs::read_to_string(deploy.join(file)).unwrap();
        let word = |c: char| !(c.is_ascii_lowercase() || c == '_');
        for name in text.split(word).filter(|name| name.starts_with("tidemark_")) {
            assert!(PROMISES.iter().any(|promise| belongs(name, promise)), "{file} asks for {name}");
        }
    }
}

#[test]
fn health_and_readiness() {
    let [absent, secondary, c] = ports::reserve_many();
    let node = tidemark::start(secondary, &[Zone::secondary("example.", &[absent])]);
    assert_eq!(http::get(node.http, "/health").unwrap().status, 200);
    let ready = http::get(node.http, "/ready").unwrap();
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("example."), "{}", ready.body);
    let _primary = tidemark::start(absent, &[Zone::primary("example.", version(1)).notify(&[secondary])]);
    await_until("the secondary to be ready", LIMIT, || http::get(node.http, "/ready").unwrap().status == 200);
    let cache = tidemark::start_cache(c, &[("example.", &[secondary])]);
    // It answers a moment before it says so.
    await_until("the cache to be ready", LIMIT, || http::get(cache.http, "/ready").unwrap().status == 200);
}

/// The names of all fields within a value.
fn fields(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            into.insert(name.clone());
            fields(value, into);
        }),
        Value::Array(array) => array.iter().for_each(|value| fields(value, into)),
        _ => {}
    }
}

#[test]
fn the_page_about_json_knows_every_field() {
    let world = World::start();
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let get = |node: &Tidemark, path: &str| json(&http::get(node.http, path).unwrap().body);
    let [p, s] = [&world.primary, &world.secondary].map(|node| node.daemon.addr.to_string());
    let control = world.primary.control();
    let command =
        |words: &[&str], more: &[&str]| json(&run(tidemark::command().args(words).arg(&control).args(more)));
    let mut told = BTreeSet::new();
    for value in [
        get(&world.primary, "/api/v1/status"),
        get(&world.primary, "/api/v1/zones?since=0"),
        get(&world.primary, "/api/v1/zones/example./history"),
        get(&world.secondary, "/api/v1/status"),
        get(&world.cache, "/api/v1/status"),
        json(&run(tidemark::command().args(["lag", "example.", "--json", "--at", &p, &s]))),
        json(&run(tidemark::command().args(["wait", "example.", "--json", "--serial", "2", "--at", &p, &s]))),
        command(&["reload", "--json", "--wait", "--control"], &["example."]),
        json(&run(tidemark::command()
            .args(["refresh", "--json", "--control"])
            .arg(world.secondary.control()))),
        json(&run(tidemark::command().args(["check", "--json", "zones/example.zone"]))),
    ] {
        fields(&value, &mut told);
    }
    assert!(told.len() > 40, "{told:?}");
    let page = include_str!("../docs/API.md");
    let unknown: Vec<&String> = told.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(unknown.is_empty(), "docs/API.md does not tell of {unknown:?}");
}
