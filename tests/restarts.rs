//! What a primary knows after a crash: content that is served before it is written down, and files that are edited while nobody
//! watches.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use rand::RngExt;

use support::await_until::await_until;
use support::tidemark::{self, Tidemark};
use support::zones::{self, Zone};
use support::{dig, nsd, ports, process, seed, soa};

const LIMIT: Duration = Duration::from_secs(30);
const ZONE: &str = "example.";
/// More records than are written into the journal itself.
const HOSTS: u32 = 20_000;

fn text(serial: u32, last: &str) -> String {
    let hosts: Vec<String> = (0..HOSTS).map(|host| format!("h{host} A 192.0.2.{}", host % 250)).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).chain([last]).collect();
    zones::text(ZONE, serial, &hosts)
}

/// Whether a large content is written down, beside the journal.
fn has_content(node: &Tidemark) -> bool {
    let files = fs::read_dir(node.data_dir().join("content"));
    files
        .is_ok_and(|files| files.flatten().any(|file| !file.file_name().to_string_lossy().starts_with("new")))
}

/// A node that was killed after it served a zone and before it wrote that down.
fn killed_early(first: &str) -> Tidemark {
    let mut node = tidemark::start(ports::reserve(), &[Zone::primary(ZONE, first)]);
    node.daemon.kill();
    // However soon that was: nothing but the stamp was written.
    fs::remove_dir_all(node.data_dir().join("content")).ok();
    node
}

#[test]
fn content_that_is_not_written_down_yet_keeps_its_serial() {
    let first = text(1, "www A 192.0.2.1");
    let mut node = killed_early(&first);

    // As it was: the same version, under the same stamp.
    node.daemon.restart();
    assert_eq!(soa::serial(node.daemon.addr, ZONE), Some(1));
    node.daemon.kill();

    // Edited meanwhile, and the serial forgotten.
    zones::write(&node.daemon.zone_file(ZONE), &text(1, "www A 192.0.2.2"));
    node.daemon.restart();
    assert_eq!(soa::serial(node.daemon.addr, ZONE), Some(2));
    node.daemon.kill();

    // And taken back: that is no version 1, which had other content at other servers for a while.
    zones::write(&node.daemon.zone_file(ZONE), &first);
    node.daemon.restart();
    assert_eq!(soa::serial(node.daemon.addr, ZONE), Some(3));
    assert_eq!(dig::short(node.daemon.addr, &["www.example.", "A"]), ["192.0.2.1"]);
}

#[test]
fn differences_go_on_across_a_restart_once_the_content_is_written_down() {
    let mut node = killed_early(&text(1, "www A 192.0.2.1"));
    node.daemon.restart();
    // A change that is written down before the content it changes.
    zones::write(&node.daemon.zone_file(ZONE), &text(2, "www A 192.0.2.2"));
    node.daemon.await_serial(ZONE, 2, LIMIT);
    await_until("the content to be written down", LIMIT, || has_content(&node));
    node.daemon.kill();

    zones::write(&node.daemon.zone_file(ZONE), &text(3, "www A 192.0.2.3"));
    node.daemon.restart();
    assert_eq!(soa::serial(node.daemon.addr, ZONE), Some(3));
    let sent = dig::ixfr(node.daemon.addr, ZONE, 1);
    assert!(sent.len() < 20, "{} records instead of differences", sent.len());
    let addresses: Vec<&str> =
        sent.iter().filter_map(|record| record.strip_prefix("www.example. ")).collect();
    assert_eq!(addresses.len(), 4, "{sent:?}");

    // The content is written down: with a file that is broken it is served all the same.
    node.daemon.kill();
    zones::write(&node.daemon.zone_file(ZONE), "@ SOA ns.example. broken\n");
    node.daemon.restart();
    assert_eq!(soa::serial(node.daemon.addr, ZONE), Some(3));
}

#[test]
fn a_file_that_is_gone_keeps_no_zone_from_being_served() {
    let other = Zone::primary("example.org.", zones::text("example.org.", 1, &["www A 192.0.2.1"]));
    let mut node =
        tidemark::start(ports::reserve(), &[Zone::primary(ZONE, zones::text(ZONE, 1, &[])), other]);
    let gone = node.daemon.zone_file("example.org.");
    let kept = gone.with_extension("kept");
    node.daemon.kill();
    fs::rename(&gone, &kept).unwrap();
    node.daemon.restart();
    // The last version is in the journal.
    for zone in [ZONE, "example.org."] {
        assert_eq!(soa::serial(node.daemon.addr, zone), Some(1), "{zone}");
    }
    assert!(node.daemon.log().contains("No such file"), "{}", node.daemon.log());
    zones::write(&kept, &zones::text("example.org.", 2, &["www A 192.0.2.2"]));
    fs::rename(&kept, &gone).unwrap();
    await_until("the file to be read when it is back", LIMIT, || {
        soa::serial(node.daemon.addr, "example.org.") == Some(2)
    });
}

#[test]
fn a_primary_that_has_lost_its_data_goes_on_above_its_secondaries() {
    let [primary, own, other] = ports::reserve_many();
    let text = |serial, last| zones::text(ZONE, serial, &[&format!("www A 192.0.2.{last}")]);
    let mut node = tidemark::start(primary, &[Zone::primary(ZONE, text(5, 1)).notify(&[own, other])]);
    let secondary = [Zone::secondary(ZONE, &[primary])];
    let own = (tidemark::start(own, &secondary), own);
    let other = (nsd::start(other, &secondary), other);
    let secondaries = [own.1, other.1];
    let await_all = |serial| {
        for addr in [primary, own.1, other.1] {
            await_until(&format!("{addr} to have serial {serial}"), LIMIT, || {
                soa::serial(addr, ZONE) == Some(serial)
            });
        }
    };
    let lose = |node: &mut Tidemark, file: &str| {
        node.daemon.kill();
        fs::remove_dir_all(node.data_dir()).unwrap();
        zones::write(&node.daemon.zone_file(ZONE), file);
        node.daemon.restart();
    };
    await_all(5);
    // An old file with other content: it is a new version.
    lose(&mut node, &text(1, 2));
    await_all(6);
    for addr in secondaries {
        assert_eq!(dig::short(addr, &["www.example.", "A"]), ["192.0.2.2"]);
    }
    assert!(node.daemon.log().contains("was the data folder lost"), "{}", node.daemon.log());
    // The same content as before under the same old serial: it is the version that it was.
    let pulled = own.0.daemon.log().matches("transferred").count();
    lose(&mut node, &text(1, 2));
    await_all(6);
    assert_eq!(own.0.daemon.log().matches("transferred").count(), pulled);
    // Other content under a serial that others have.
    lose(&mut node, &text(6, 3));
    await_all(7);
    assert_eq!(dig::short(own.1, &["www.example.", "A"]), ["192.0.2.3"]);
}

#[test]
fn a_primary_whose_data_were_put_back_goes_on_above_its_secondaries() {
    let [primary, secondary] = ports::reserve_many();
    let mut node =
        tidemark::start(primary, &[Zone::primary(ZONE, zones::text(ZONE, 1, &[])).notify(&[secondary])]);
    let _behind = tidemark::start(secondary, &[Zone::secondary(ZONE, &[primary])]);
    let await_both = |serial| {
        for addr in [primary, secondary] {
            await_until(&format!("{addr} to have serial {serial}"), LIMIT, || {
                soa::serial(addr, ZONE) == Some(serial)
            });
        }
    };
    edit(&node, 1, 2);
    await_both(3);
    node.daemon.stop();
    let (data, copy) = (node.data_dir(), node.daemon.dir().join("copy"));
    process::run(Command::new("cp").arg("-r").args([&data, &copy]));
    node.daemon.restart();
    edit(&node, 3, 3);
    await_both(6);

    // Edited while it was away, or not: what the file holds is newer than what the copy knows.
    for (text, serial) in [("www A 192.0.2.77", 7), ("www A 192.0.2.77", 8)] {
        node.daemon.kill();
        fs::remove_dir_all(&data).unwrap();
        process::run(Command::new("cp").arg("-r").args([&copy, &data]));
        zones::write(&node.daemon.zone_file(ZONE), &zones::text(ZONE, 1, &[text]));
        node.daemon.restart();
        assert_eq!(soa::serial(primary, ZONE), Some(serial), "{}", node.daemon.log());
        await_both(serial);
        assert_eq!(dig::short(secondary, &["www.example.", "A"]), ["192.0.2.77"]);
    }
    // With an up-to-date folder nothing is asked that would change anything.
    node.daemon.stop();
    node.daemon.restart();
    assert_eq!(soa::serial(primary, ZONE), Some(8));
}

#[test]
fn who_is_told_of_a_version_can_have_it() {
    let [primary, secondary] = ports::reserve_many();
    let told = UdpSocket::bind(secondary).unwrap();
    told.set_read_timeout(Some(LIMIT)).unwrap();
    let zone = Zone::primary(ZONE, zones::text(ZONE, 1, &[])).notify(&[secondary]);
    let mut node = tidemark::launch(primary, &[zone]);
    for start in 0..10 {
        // Those that ask for the serial are left without an answer.
        let is_notify = |message: &[u8]| message[2] & 0x78 == 4 << 3;
        let mut message = [0; 512];
        loop {
            let (length, _) = told.recv_from(&mut message).unwrap();
            if is_notify(&message[..length]) {
                break;
            }
        }
        let connected = TcpStream::connect(primary);
        assert!(connected.is_ok(), "start {start}: {connected:?}");
        node.daemon.kill();
        told.set_nonblocking(true).unwrap();
        while told.recv_from(&mut message).is_ok() {}
        told.set_nonblocking(false).unwrap();
        node.daemon.launch();
    }
}

#[test]
fn nobody_waits_for_ever_for_those_who_may_know_more() {
    let [primary, secondary] = ports::reserve_many();
    let mut node =
        tidemark::start(primary, &[Zone::primary(ZONE, zones::text(ZONE, 5, &[])).notify(&[secondary])]);
    let mut behind = tidemark::start(secondary, &[Zone::secondary(ZONE, &[primary])]);
    await_until("the secondary to have the zone", LIMIT, || soa::serial(secondary, ZONE) == Some(5));
    node.daemon.kill();
    behind.daemon.stop();
    let silent = UdpSocket::bind(secondary).unwrap();
    fs::remove_dir_all(node.data_dir()).unwrap();
    zones::write(&node.daemon.zone_file(ZONE), &zones::text(ZONE, 1, &[]));
    let began = Instant::now();
    node.daemon.launch();
    await_until("the zone to be served", LIMIT, || soa::serial(primary, ZONE) == Some(1));
    let took = began.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(6)).contains(&took), "{took:?}");
    assert!(node.daemon.log().contains("its other servers are asked for their serial first"));
    drop(silent);
    behind.daemon.restart();
    await_until("word of it", LIMIT, || {
        node.daemon.log().contains("serves serial 5, which is newer than 1 here")
    });
}

/// Publishes so many versions, each with an address of its own, under the serial 1 that the file has; the last serial.
fn edit(node: &Tidemark, from: u32, edits: u32) -> u32 {
    for number in from + 1..=from + edits {
        node.daemon.publish(ZONE, &zones::text(ZONE, 1, &[&format!("www A 192.0.2.{}", number % 250)]));
        node.daemon.await_serial(ZONE, number, LIMIT);
    }
    from + edits
}

#[test]
fn a_data_folder_that_is_removed_under_a_primary_is_made_again() {
    let first = zones::text(ZONE, 1, &["www A 192.0.2.1"]);
    let mut node = tidemark::start(ports::reserve(), &[Zone::primary(ZONE, first)]);
    let before = edit(&node, 1, 5);
    fs::remove_dir_all(node.data_dir()).unwrap();
    let last = edit(&node, before, 1);
    node.daemon.kill();
    zones::write(&node.daemon.zone_file(ZONE), &zones::text(ZONE, 1, &["other A 192.0.2.1"]));
    node.daemon.restart();
    assert_eq!(soa::serial(node.daemon.addr, ZONE), Some(last + 1));
    assert!(node.daemon.log().contains("was removed or replaced"), "{}", node.daemon.log());
}

/// What is done to the files of a node that was killed.
fn harm(node: &Tidemark, older: &[u8], kind: u32, rng: &mut rand::rngs::StdRng) {
    let path = node.data_dir().join("journal");
    let mut bytes = fs::read(&path).unwrap();
    let at = rng.random_range(0..bytes.len());
    match kind {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => {
            let from = at / 512 * 512;
            let to = bytes.len().min(from + 512);
            bytes[from..to].fill(0);
        }
        2 => bytes.truncate(at),
        3 => bytes = older.to_vec(),
        4 => bytes.fill(0),
        _ => return fs::remove_file(&path).unwrap(),
    }
    fs::write(&path, bytes).unwrap();
}

#[test]
fn no_damage_to_the_journal_takes_a_serial_back() {
    const ROUNDS: u32 = 24;
    let mut rng = seed::generator_or(40);
    let first = zones::text(ZONE, 1, &["www A 192.0.2.1"]);
    let mut node = tidemark::start(ports::reserve(), &[Zone::primary(ZONE, first)]);
    let mut served = 1;
    for round in 0..ROUNDS {
        let older = fs::read(node.data_dir().join("journal")).unwrap();
        served = edit(&node, served, 3);
        node.daemon.kill();
        harm(&node, &older, round % 6, &mut rng);
        // The content as it was is the version that it was, and other content another one.
        let (file, next) = match round % 2 {
            0 => (None, served),
            _ => (Some(zones::text(ZONE, 1, &[&format!("round{round} A 192.0.2.1")])), served + 1),
        };
        file.iter().for_each(|file| zones::write(&node.daemon.zone_file(ZONE), file));
        node.daemon.restart();
        let log = || node.daemon.log();
        assert_eq!(soa::serial(node.daemon.addr, ZONE), Some(next), "round {round}: {}", log());
        served = next;
    }
    // Both the journal and what keeps it from going back are gone: that is said.
    node.daemon.kill();
    for file in ["journal", "floors", "floors.copy"] {
        fs::remove_file(node.data_dir().join(file)).unwrap();
    }
    node.daemon.restart();
    assert!(node.daemon.log().contains("both the journal and the floors of serials are gone"));
}

/// A primary's serial went back, with other content: its secondary says so, and takes it when it is told to, for good.
#[test]
fn an_older_serial_is_taken_by_order_and_kept() {
    let [p, s] = ports::reserve_many();
    let small = |serial, last: &str| zones::text(ZONE, serial, &[last]);
    let mut primary = tidemark::start(p, &[Zone::primary(ZONE, small(40, "www A 192.0.2.40"))]);
    let mut secondary = tidemark::start(s, &[Zone::secondary(ZONE, &[p])]);
    secondary.daemon.await_serial(ZONE, 40, LIMIT);
    primary.daemon.stop();
    fs::remove_dir_all(primary.data_dir()).unwrap();
    zones::write(&primary.daemon.zone_file(ZONE), &small(11, "www A 192.0.2.11"));
    primary.daemon.restart();
    assert_eq!(soa::serial(p, ZONE), Some(11));

    let control = secondary.control();
    let refresh = |more: &[&str]| {
        process::run(tidemark::command().args(["refresh", ZONE, "--control"]).arg(&control).args(more))
    };
    refresh(&[]);
    await_until("the secondary to say what is wrong", LIMIT, || {
        secondary
            .daemon
            .log()
            .contains("older than 40, which is served here: raise it at the primary, or take")
    });
    assert_eq!(dig::short(s, &["www.example.", "A"]), ["192.0.2.40"]);
    refresh(&["--force"]);
    secondary.daemon.await_serial(ZONE, 11, LIMIT);
    assert_eq!(dig::short(s, &["www.example.", "A"]), ["192.0.2.11"]);
    assert!(secondary.daemon.log().contains("whatever its serial"), "{}", secondary.daemon.log());

    // It follows from there, by differences, and a restart brings back nothing.
    secondary.daemon.kill();
    secondary.daemon.restart();
    assert_eq!(soa::serial(s, ZONE), Some(11));
    zones::write(&primary.daemon.zone_file(ZONE), &small(12, "www A 192.0.2.12"));
    primary.daemon.await_serial(ZONE, 12, LIMIT);
    refresh(&[]);
    secondary.daemon.await_serial(ZONE, 12, LIMIT);
    secondary.daemon.kill();
    secondary.daemon.restart();
    assert_eq!(soa::serial(s, ZONE), Some(12));
    assert_eq!(dig::short(s, &["www.example.", "A"]), ["192.0.2.12"]);

    // A serial that stood for other content once: who has it is given the whole zone, and no differences from the wrong one.
    for (serial, address) in [(40, "192.0.2.140"), (41, "192.0.2.141")] {
        zones::write(&primary.daemon.zone_file(ZONE), &small(serial, &format!("www A {address}")));
        primary.daemon.await_serial(ZONE, serial, LIMIT);
        refresh(&[]);
        secondary.daemon.await_serial(ZONE, serial, LIMIT);
    }
    let (ip, port) = (s.ip().to_string(), s.port().to_string());
    let ixfr = |from: u32| {
        let asked = format!("IXFR={from}");
        process::run(Command::new("dig").args([&format!("@{ip}"), "-p", &port, ZONE, &asked]))
    };
    assert!(ixfr(12).contains("192.0.2.12"), "{}", ixfr(12));
    assert!(ixfr(40).contains("192.0.2.141") && !ixfr(40).contains("192.0.2.140"), "{}", ixfr(40));

    // An order that cannot be carried out now stands.
    primary.daemon.stop();
    refresh(&["--force"]);
    fs::remove_dir_all(primary.data_dir()).unwrap();
    zones::write(&primary.daemon.zone_file(ZONE), &small(3, "www A 192.0.2.3"));
    primary.daemon.restart();
    secondary.daemon.await_serial(ZONE, 3, LIMIT);
}

/// Of two primaries one shows an older serial, or the version that an order went back from: that is told, and not followed.
#[test]
fn primaries_at_odds_are_told_of_and_an_order_is_not_undone() {
    let [a, b, s] = ports::reserve_many();
    let text = |serial| zones::text(ZONE, serial, &[&format!("www A 192.0.2.{serial}")]);
    let mut first = tidemark::start(a, &[Zone::primary(ZONE, text(40))]);
    let second = tidemark::start(b, &[Zone::primary(ZONE, text(39))]);
    let secondary = tidemark::start(s, &[Zone::secondary(ZONE, &[a, b]).lease("5s")]);
    secondary.daemon.await_serial(ZONE, 40, LIMIT);
    let control = secondary.control();
    let refresh = |more: &[&str]| {
        process::run(tidemark::command().args(["refresh", ZONE, "--control"]).arg(&control).args(more))
    };
    let status = || -> serde_json::Value {
        let told = process::run(tidemark::command().args(["status", "--json", "--control"]).arg(&control));
        serde_json::from_str::<serde_json::Value>(&told).unwrap()["zones"][0].take()
    };
    let says = |what: &str| status()["problem"]["what"].as_str().is_some_and(|told| told.contains(what));

    // It may be about to follow, for half a minute.
    let older = format!("primary {b} shows serial 39, which is older than 40");
    await_until("word of the older serial", 3 * LIMIT, || says(&older));
    assert_eq!(status()["state"], "current", "{}", status());
    assert!(secondary.daemon.log().contains(&older), "{}", secondary.daemon.log());
    second.daemon.publish(ZONE, &text(40));
    second.daemon.await_serial(ZONE, 40, LIMIT);
    refresh(&[]);
    await_until("no more word of it", LIMIT, || status()["problem"].is_null());

    first.daemon.stop();
    fs::remove_dir_all(first.data_dir()).unwrap();
    zones::write(&first.daemon.zone_file(ZONE), &text(11));
    first.daemon.restart();
    refresh(&["--force"]);
    secondary.daemon.await_serial(ZONE, 11, LIMIT);
    refresh(&[]);
    let left = format!("primary {b} shows serial 40 still, while 11 was taken by order");
    await_until("word of the version that was left", LIMIT, || says(&left));
    assert_eq!(dig::short(s, &["www.example.", "A"]), ["192.0.2.11"]);

    // Other settings of the zone are no reason to take it again.
    let config = secondary.daemon.dir().join("tidemark.toml");
    let settings = fs::read_to_string(&config).unwrap();
    let primaries = format!("primaries = [\"{a}\", \"{b}\"]");
    assert!(settings.contains(&primaries), "{settings}");
    fs::write(&config, settings.replacen(&primaries, &format!("primaries = [\"{b}\", \"{a}\"]"), 1)).unwrap();
    process::run(tidemark::command().arg("reload").arg("--config").arg(&config));
    refresh(&[]);
    await_until("word of the version that was left, with other settings", LIMIT, || says(&left));
    assert_eq!(dig::short(s, &["www.example.", "A"]), ["192.0.2.11"]);
}
