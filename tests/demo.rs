//! `tidemark demo` as a newcomer runs it: in a folder with `zones/`, on its fixed ports.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use support::await_until::{await_until, becomes_true};
use support::observer::Observer;
use support::process::{self, Process};
use support::{dig, http, metrics, soa, tidemark, zones};

const LIMIT: Duration = Duration::from_secs(30);
/// What is promised from an edit to the chained secondary.
const PROMISE: Duration = Duration::from_secs(1);

const PORTS: [u16; 4] = [5301, 5302, 5303, 5300];
const HTTP_PORTS: [u16; 4] = [9301, 9302, 9303, 9300];
/// The TTL of `www.example.`, in seconds.
const TTL: u64 = 5;

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(loopback(port)).is_ok() && UdpSocket::bind(loopback(port)).is_ok()
}

fn www(port: u16) -> Vec<String> {
    dig::short(loopback(port), &["www.example.", "A"])
}

fn metric(port: u16, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    metrics::value(&http::get(loopback(port), "/metrics").unwrap().body, name, labels)
}

/// Replaces a text in the zone file and returns when the file was in place.
fn edit(file: &Path, old: &str, new: &str) -> Instant {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(old), "no `{old}` in {}", file.display());
    let begun = Instant::now();
    zones::write(file, &text.replacen(old, new, 1));
    begun
}

// One test, because the ports are the same for all.
#[test]
fn the_hierarchy_follows_edits_and_ends_with_the_demo() {
    let busy: Vec<u16> = PORTS.into_iter().chain(HTTP_PORTS).filter(|port| !is_free(*port)).collect();
    assert!(
        busy.is_empty(),
        "the demo needs ports {busy:?} of 127.0.0.1, which are in use: stop what runs there"
    );

    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("zones");
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/zones")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    let file = folder.join("example.zone");
    // The checkout's zones are there to be edited, and may have been.
    let text = fs::read_to_string(&file).unwrap();
    let lines = text.lines().map(|line| match line.split_once("; <- EDIT ME") {
        Some((_, comment)) => format!("www     5       A       192.0.2.80      ; <- EDIT ME{comment}\n"),
        None => format!("{line}\n"),
    });
    fs::write(&file, lines.collect::<String>()).unwrap();
    let mut command: Command = tidemark::command();
    command.arg("demo").current_dir(dir.path());
    let mut demo = Process::start(command, &dir.path().join("log"));
    await_until("the demo to say what to try", LIMIT, || {
        assert!(demo.is_running(), "the demo ended: {}", demo.log());
        demo.log().contains("Ctrl-C stops all of it")
    });
    let said = demo.log();
    assert!(said.contains(&file.canonicalize().unwrap().display().to_string()), "{said}");

    // All four answer, UDP and TCP, and carry metrics.
    for port in PORTS {
        assert_eq!(www(port), ["192.0.2.80"], "port {port}");
        assert_eq!(dig::short(loopback(port), &["www.example.", "A", "+tcp"]), ["192.0.2.80"], "port {port}");
    }
    for port in HTTP_PORTS {
        assert_eq!(http::get(loopback(port), "/health").unwrap().status, 200);
        assert_eq!(http::get(loopback(port), "/ready").unwrap().status, 200);
    }
    let zone = [("zone", "example.")];
    // The cache shows what the servers it asks show, once it has asked.
    await_until("the cache to see its servers", LIMIT, || {
        metric(HTTP_PORTS[3], "tidemark_zone_serial", &zone).is_some()
    });
    for port in &HTTP_PORTS {
        assert_eq!(metric(*port, "tidemark_zone_serial", &zone), Some(2026112101.0), "port {port}");
        assert!(metric(*port, "tidemark_zone_published_timestamp_seconds", &zone).is_some(), "port {port}");
        assert_eq!(metric(*port, "tidemark_zone_staleness_seconds", &zone), Some(0.0), "port {port}");
    }

    // An edit with the serial forgotten: the chained secondary has it within a second, the cache when its TTL ends.
    let chained = Observer::watch(loopback(5303), "example.");
    await_until("the cache to hold a fresh answer", LIMIT, || {
        let ttl = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
        let answer = dig::dig(loopback(5300), &["www.example.", "A", "+noall", "+answer"]);
        ttl(&answer).is_some_and(|ttl| ttl + 1 >= TTL)
    });
    let edited = edit(&file, "192.0.2.80      ; <- EDIT ME", "192.0.2.81      ; <- EDIT ME");
    let seen = chained.await_serial(2026112102, LIMIT);
    println!("an edit was at the chained secondary after {:?}", seen.at - edited);
    assert!(seen.at - edited < PROMISE, "it took {:?}", seen.at - edited);
    assert_eq!(www(5303), ["192.0.2.81"]);
    assert_eq!(www(5300), ["192.0.2.80"], "the cache forgot before the TTL ended");
    let changed = becomes_true(LIMIT, || www(5300) == ["192.0.2.81"]);
    assert!(
        changed && edited.elapsed() < Duration::from_secs(TTL + 3),
        "the cache took {:?}",
        edited.elapsed()
    );
    println!("and at the cache after {:?}", edited.elapsed());

    // A broken edit: the old version stays, and log, status and metrics say so.
    let failures = |port| metric(port, "tidemark_zone_load_failures_total", &zone).unwrap();
    assert_eq!(failures(9301), 0.0);
    edit(&file, "pool    5       A       192.0.2.11", "pool    5       A       192.0.2.411");
    await_until("the broken edit to be noticed", LIMIT, || failures(9301) == 1.0);
    let status = http::get(loopback(9301), "/api/v1/status").unwrap().body;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let example = status["zones"].as_array().unwrap().iter().find(|zone| zone["zone"] == "example.").unwrap();
    assert_eq!(
        (&example["serial"], &example["state"]),
        (&2026112102_u32.into(), &"behind".into()),
        "{example}"
    );
    assert!(
        example["problem"]["what"].as_str().is_some_and(|what| what.contains("example.zone")),
        "{example}"
    );
    assert!(demo.log().contains("192.0.2.411"), "{}", demo.log());
    assert_eq!(www(5301), ["192.0.2.81"]);

    // Mended, with a serial of its own.
    edit(&file, "192.0.2.411", "192.0.2.14");
    let seen = chained.await_serial(2026112103, LIMIT);
    assert_eq!(seen.serial, Some(2026112103));
    assert!(dig::short(loopback(5303), &["pool.example.", "A"]).contains(&"192.0.2.14".to_owned()));
    drop(chained);

    // Ctrl-C ends it, and leaves no process and no port behind, even of a node that was stopped.
    let log = demo.log();
    let stop =
        log.lines().map(str::trim).find(|line| line.starts_with("kill -STOP")).expect("a way to stop a node");
    let (stop, _) = stop.split_once("  ").expect("what comes of it");
    assert_eq!(process::run(Command::new("sh").args(["-c", stop])), "");
    await_until("the secondary to be stopped", LIMIT, || soa::serial(loopback(5302), "example.").is_none());
    let told = Instant::now();
    demo.signal(libc::SIGINT);
    let status = demo.wait(LIMIT);
    assert!(told.elapsed() < Duration::from_secs(5), "after {:?}", told.elapsed());
    assert_eq!(status.code(), Some(0), "{}", demo.log());
    await_until("all ports to be free again", LIMIT, || PORTS.into_iter().chain(HTTP_PORTS).all(is_free));

    // Nor does a demo that cannot say good-bye.
    let mut command: Command = tidemark::command();
    command.arg("demo").current_dir(dir.path());
    let mut demo = Process::start(command, &dir.path().join("log"));
    await_until("a second demo to serve", LIMIT, || soa::serial(loopback(5303), "example.").is_some());
    demo.kill();
    await_until("its nodes to end", LIMIT, || PORTS.into_iter().chain(HTTP_PORTS).all(is_free));
}
