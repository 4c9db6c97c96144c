//! What an edit of a zone file costs, and how soon it is served, on a host and in a node that have much else to do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::await_until::await_until;
use support::daemon::{Daemon, Reload, prepare, words};
use support::zones::Zone;
use support::{http, ports, process, soa, tidemark, zones};

/// How long the large zone may take to be served.
const LIMIT: Duration = Duration::from_secs(60);
/// Names in the large zone.
const NAMES: u32 = 300_000;
/// The large zone.
const LARGE: &str = "large.";

/// A node with the large zone.
fn start(server: &str, more: &str) -> Daemon {
    let (dir, addr) = (prepare(&[]), ports::reserve());
    zones::write(&dir.path().join("large.zone"), &large(1));
    let config = format!(
        "[server]\nlisten = [\"{addr}\"]\ndata-dir = \"state\"\n{server}\
         [[zone]]\nname = \"{LARGE}\"\nfile = \"large.zone\"\n{more}"
    );
    std::fs::create_dir(dir.path().join("z")).unwrap();
    let file = dir.path().join("tidemark.toml");
    std::fs::write(&file, config).unwrap();
    let command = words([&tidemark::PROGRAM, &"serve", &"--config", &file]);
    let zone = Zone::primary(LARGE, "");
    Daemon::start(dir, addr, &[zone], command, Reload::Watches)
}

fn large(serial: u32) -> String {
    let mut text = zones::text(LARGE, serial, &[]);
    for number in 0..NAMES {
        writeln!(text, "name{number} 60 A 10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255)
            .unwrap();
    }
    text
}

/// What `during` returns, while every core has two other programs to run for as long as they like; and how much processor time
/// each of those had, on average.
fn on_a_busy_host<T>(during: impl FnOnce() -> T) -> (T, Duration) {
    struct End<'e>(&'e AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let ended = AtomicBool::new(false);
    let compute = || {
        while !ended.load(Ordering::Relaxed) {
            black_box(());
        }
        process::thread_cpu()
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().unwrap().get();
        let others: Vec<_> = (0..2 * cores).map(|_| scope.spawn(compute)).collect();
        let end = End(&ended);
        let outcome = during();
        drop(end);
        let count = others.len() as u32;
        let total: Duration = others.into_iter().map(|other| other.join().unwrap()).sum();
        (outcome, total / count)
    })
}

/// An edit is read once, by one reader, and what it took comes back.
#[test]
fn a_large_edit_costs_a_load() {
    // What a host adds to one of them by chance is left out by taking the cheapest of some, in turn.
    const TIMES: u32 = 3;
    // Whoever goes on for nobody once a version is served is to be seen.
    let cost_in_the_end = |node: &mut Daemon, before: Duration| {
        thread::sleep(2 * (node.process().cpu() - before));
        node.process().cpu() - before
    };
    let mut edited = start("", "");
    edited.await_serial(LARGE, 1, LIMIT);
    let mut memory = 0;
    let costs = (2..2 + TIMES).map(|serial| {
        let mut loaded = start("", "");
        loaded.await_serial(LARGE, 1, LIMIT);
        let load = cost_in_the_end(&mut loaded, Duration::ZERO);
        memory = loaded.process().memory();
        let before = edited.process().cpu();
        zones::write(&edited.dir().join("large.zone"), &large(serial));
        edited.await_serial(LARGE, serial, LIMIT);
        (load, cost_in_the_end(&mut edited, before))
    });
    let (loads, edits): (Vec<_>, Vec<_>) = costs.unzip();
    let (load, edit) = (loads.iter().min().unwrap(), edits.iter().min().unwrap());
    println!("loads {loads:?} of CPU, edits {edits:?}");
    assert!(*edit <= load.mul_f64(1.2), "an edit of {edit:?} for a load of {load:?}");
    let is_back = || edited.process().memory() <= memory + memory / 5;
    await_until("the memory that the edit took to be given back", LIMIT, is_back);
}

/// Reading gives way to this node's queries and not to all the programs of the host. What it costs there is not compared with a load:
/// on virtual machines whose memory is in small pages, each access to a page that the processor has not in mind was seen to take up to
/// thirty times longer while the host is busy, and an edit compares with a zone that is all over the memory.
#[test]
fn a_large_edit_on_a_busy_host_gets_its_share() {
    let mut node = start("", "");
    node.await_serial(LARGE, 1, LIMIT);
    let text = large(2);
    let before = node.process().cpu();
    let (cpu, of_each_other) = on_a_busy_host(|| {
        zones::write(&node.dir().join("large.zone"), &text);
        node.await_serial(LARGE, 2, LIMIT);
        node.process().cpu() - before
    });
    println!("an edit of {cpu:?} beside {of_each_other:?} of each other");
    assert!(cpu.mul_f64(4.0) >= of_each_other, "an edit of {cpu:?} beside {of_each_other:?} of each other");
}

/// No zone waits for another.
#[test]
fn a_small_zone_is_served_while_a_large_one_is_read() {
    let small = zones::text("small.", 1, &[]);
    let more = "[[zone-dir]]\npath = \"z\"\n";
    let dir = |node: &Daemon| node.dir().join("z");
    let mut node = start("", more);
    let read = node.process().cpu();
    zones::write(&dir(&node).join("small.zone"), &small);
    node.await_serial("small.", 1, LIMIT);
    zones::write(&node.dir().join("large.zone"), &large(2));
    let mut serial = 1;
    // One edit after the other, until the large one is served.
    while soa::serial(node.addr, LARGE) == Some(1) {
        serial += 1;
        zones::write(&dir(&node).join("small.zone"), &zones::text("small.", serial, &[]));
        node.await_serial("small.", serial, LIMIT);
    }
    println!("{serial} versions of a small zone while a large one of {read:?} was read");
    assert!(serial > 3, "only {serial} versions of a small zone while a large one was read");
}

/// Before that, whoever asks `/ready` would send queries that nobody answers.
#[test]
fn a_node_is_ready_when_it_answers() {
    let http = ports::reserve();
    let mut node = start(&format!("http = \"{http}\"\n"), "");
    node.stop();
    node.launch();
    let mut early = 0;
    await_until("the node to be ready", LIMIT, || {
        let status = http::get(http, "/ready").map_or(0, |response| response.status);
        early += u32::from(status == 503);
        status == 200
    });
    assert_eq!(soa::serial(node.addr, LARGE), Some(1));
    assert!(early > 0, "it was never asked before");
}

/// They stay, and others come and go by the same connections.
#[test]
fn readers_of_events_leave_room_for_probes_of_health() {
    const READERS: usize = 64;
    let node = tidemark::start(ports::reserve(), &[Zone::primary("small.", zones::text("small.", 1, &[]))]);
    let ask = || http::events(node.http, "/api/v1/events").unwrap();
    let mut readers: Vec<_> = (0..READERS).map(|_| ask()).collect();
    // Each has its turn once it is told of a change.
    node.daemon.publish("small.", &zones::text("small.", 2, &[]));
    for reader in &mut readers {
        assert!(reader.any(|event| event.contains("\"serial\":2,")), "{}", node.daemon.log());
    }
    for _ in 0..2 * READERS {
        let refused = http::get(node.http, "/api/v1/events").unwrap();
        assert_eq!(refused.status, 503);
        assert!(refused.body.contains("?since="), "{}", refused.body);
    }
    assert_eq!(http::get(node.http, "/health").unwrap().status, 200);
}

/// Connections per listener.
const PLACES: usize = 128;

#[test]
fn who_holds_connections_shuts_nobody_out() {
    let node = tidemark::start(ports::reserve(), &[Zone::primary("small.", zones::text("small.", 1, &[]))]);
    await_until("the node to be ready", LIMIT, || http::get(node.http, "/ready").unwrap().status == 200);
    let probe = || {
        for page in ["/health", "/ready", "/metrics"] {
            assert_eq!(http::get(node.http, page).unwrap().status, 200, "{page}");
        }
    };
    let silent: Vec<TcpStream> = (0..2 * PLACES).map(|_| TcpStream::connect(node.http).unwrap()).collect();
    probe();
    drop(silent);
    // They take what they are told and ask for nothing more.
    let ask = |_| {
        let mut reader = TcpStream::connect(node.http).unwrap();
        reader.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: tidemark\r\n\r\n").unwrap();
        reader
    };
    let readers: Vec<TcpStream> = (0..2 * PLACES).map(ask).collect();
    probe();
    drop(readers);

    let socket = node.daemon.dir().join("state/tidemark.sock");
    let silent: Vec<UnixStream> = (0..2 * PLACES).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let asked = Instant::now();
    process::run(tidemark::command().args(["status", "--control"]).arg(&socket));
    // After that long those who say nothing would be closed anyway.
    assert!(asked.elapsed() < Duration::from_secs(9), "{:?}", asked.elapsed());
    drop(silent);
}

#[test]
fn a_query_that_is_not_understood_is_refused() {
    let node = tidemark::start(ports::reserve(), &[Zone::primary("small.", zones::text("small.", 1, &[]))]);
    for (path, named) in [
        ("zones?limit=0", "`limit` is a whole number from 1"),
        ("zones?foo=1", "it may be `after` or `zone` or `since` or `limit`"),
        ("zones?zone=%zz", "`%zz` in the query is no escape"),
        ("zones?since=now", "`since=now`"),
        ("zones?since=5&zone=small.", "`zone` and `since` do not go together"),
        ("status?zone=small.", "takes no query"),
        ("events?since=1", "takes no query"),
        ("zones/small./history?from=x", "`from` is a serial number"),
    ] {
        let refused = http::get(node.http, &format!("/api/v1/{path}")).unwrap();
        assert_eq!(refused.status, 400, "{path}: {}", refused.body);
        assert!(refused.body.contains(named), "{path}: {}", refused.body);
    }
    let mut control = UnixStream::connect(node.daemon.dir().join("state/tidemark.sock")).unwrap();
    control.write_all(b"POST /api/v1/refresh?force=maybe HTTP/1.0\r\nHost: tidemark\r\n\r\n").unwrap();
    let mut answer = String::new();
    control.read_to_string(&mut answer).unwrap();
    assert!(answer.lines().next().unwrap().contains(" 400 "), "{answer}");
    assert!(answer.contains("`force` is `true` or `false`"), "{answer}");
}

/// What changes in quick succession goes together, and nothing else waits.
#[test]
fn readers_of_events_hear_of_a_change_at_once() {
    /// Events of one reader are so far apart.
    const GAP: Duration = Duration::from_millis(200);
    let small = |serial| zones::text("small.", serial, &[]);
    let node = tidemark::start(ports::reserve(), &[Zone::primary("small.", small(1))]);
    let mut events = http::events(node.http, "/api/v1/events").unwrap();
    let mut waits = Vec::new();
    for serial in 2..9 {
        thread::sleep(GAP + GAP / 4);
        let edited = Instant::now();
        node.daemon.publish("small.", &small(serial));
        let shown = format!("\"serial\":{serial},");
        assert!(events.any(|event| event.contains(&shown)), "{}", node.daemon.log());
        waits.push(edited.elapsed());
    }
    waits.sort();
    println!("an event came {:?} after the edit", waits[waits.len() / 2]);
    assert!(waits[waits.len() / 2] < GAP / 2, "{waits:?}");
}
