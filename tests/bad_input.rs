//! What no well-meaning client sends, what no careful operator writes, and a disk without room.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use support::await_until::await_until;
use support::daemon::{self, Daemon, Reload, words};
use support::http;
use support::process::{Process, program, run};
use support::tidemark::{self, PROGRAM};
use support::zones::{self, Zone};
use support::{dig, ports, seed, soa};

const LIMIT: Duration = Duration::from_secs(30);
/// Packets per kind and transport.
const UDP_PACKETS: usize = 4_000;
const TCP_PACKETS: usize = 1_000;
/// What memory may grow by under all of them: buffers and threads that are made on first use, and no more.
const GROWTH: u64 = 16 << 20;
/// A node that is told to end does so; a start that fails takes less.
const START: Duration = Duration::from_secs(10);

/// A query for www.example. A.
const QUERY: &[u8] =
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x00\x00\x01\x00\x01";

fn version(serial: u32) -> String {
    zones::text("example.", serial, &[&format!("www A 192.0.2.{serial}")])
}

/// What is to come back for a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Due {
    Silence,
    FormErr,
}

/// Every kind of malformed packet once, by hand.
fn malformed() -> Vec<(&'static str, Vec<u8>, Due)> {
    let header = |counts: [u16; 4]| {
        let mut packet = QUERY[..4].to_vec();
        counts.iter().for_each(|count| packet.extend(count.to_be_bytes()));
        packet
    };
    let with = |counts, rest: &[u8]| [&header(counts), rest].concat();
    let question = &QUERY[12..];
    let mut response = QUERY.to_vec();
    response[2] |= 0x80;
    let mut packets = vec![
        ("empty question section", header([1, 0, 0, 0]), Due::FormErr),
        ("no question", header([0, 0, 0, 0]), Due::FormErr),
        ("two questions promised, one there", with([2, 0, 0, 0], question), Due::FormErr),
        ("two questions", with([2, 0, 0, 0], &[question, question].concat()), Due::FormErr),
        ("an answer promised", with([1, 1, 0, 0], question), Due::FormErr),
        ("65,535 of everything", with([u16::MAX; 4], question), Due::FormErr),
        ("an additional record promised", with([1, 0, 0, 1], question), Due::FormErr),
        ("trailing bytes", [QUERY, b"tail"].concat(), Due::FormErr),
        ("pointer to itself", with([1, 0, 0, 0], b"\xc0\x0c\x00\x01\x00\x01"), Due::FormErr),
        ("pointer forward", with([1, 0, 0, 0], b"\xc0\x20\x00\x01\x00\x01"), Due::FormErr),
        ("pointer beyond the end", with([1, 0, 0, 0], b"\xff\xff\x00\x01\x00\x01"), Due::FormErr),
        ("half a pointer", with([1, 0, 0, 0], b"\xc0"), Due::FormErr),
        ("loop of a label and a pointer", with([1, 0, 0, 0], b"\x01a\xc0\x0c\x00\x01\x00\x01"), Due::FormErr),
        ("label type 0x40", with([1, 0, 0, 0], b"\x41a\x00\x00\x01\x00\x01"), Due::FormErr),
        ("label type 0x80", with([1, 0, 0, 0], b"\x81a\x00\x00\x01\x00\x01"), Due::FormErr),
        ("label longer than the packet", with([1, 0, 0, 0], b"\x3fabc"), Due::FormErr),
        ("name without an end", with([1, 0, 0, 0], b"\x01a"), Due::FormErr),
        (
            "name of 300 bytes",
            with([1, 0, 0, 0], &[&b"\x3b"[..], &[b'a'; 59]].concat().repeat(5)),
            Due::FormErr,
        ),
        ("no type", with([1, 0, 0, 0], b"\x01a\x00"), Due::FormErr),
        ("no class", with([1, 0, 0, 0], b"\x01a\x00\x00\x01"), Due::FormErr),
        ("two OPT records", with([1, 0, 0, 2], &[question, OPT, OPT].concat()), Due::FormErr),
        ("OPT at a name", with([1, 0, 0, 1], &[question, b"\x01a", OPT].concat()), Due::FormErr),
        (
            "OPT with data that is not there",
            with([1, 0, 0, 1], &[question, &OPT[..9], b"\x00\x40"].concat()),
            Due::FormErr,
        ),
        ("a response", response, Due::Silence),
        ("a response with an error", [&QUERY[..2], b"\x80\x01", &QUERY[4..]].concat(), Due::Silence),
        ("NOTIFY without a question", [&QUERY[..2], b"\x20\x00\0\0\0\0\0\0\0\0"].concat(), Due::FormErr),
    ];
    for length in 0..12 {
        packets.push(("short header", QUERY[..length].to_vec(), Due::Silence));
    }
    for length in 12..QUERY.len() {
        packets.push(("cut query", QUERY[..length].to_vec(), Due::FormErr));
    }
    packets
}

/// An empty OPT record.
const OPT: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";

/// Garbage: a good query with bytes changed, cut, doubled, or nothing but chance.
fn garbage(random: &mut StdRng) -> Vec<u8> {
    let mut packet = [QUERY, OPT].concat();
    packet[11] = 1;
    match random.random_range(0..4) {
        0 => return (0..random.random_range(0..600)).map(|_| random.random()).collect(),
        1 => packet.truncate(random.random_range(0..packet.len())),
        2 => packet.extend_from_within(random.random_range(0..packet.len())..),
        _ => {}
    }
    for _ in 0..random.random_range(1..6) {
        if !packet.is_empty() {
            let at = random.random_range(0..packet.len());
            packet[at] = random.random();
        }
    }
    packet
}

/// The RCODE of the reply to a packet, after the reply was found to be one; `None` for silence, which a good query sent
/// after the packet, and one more, prove: one socket is served by one thread, batch after batch.
fn ask(socket: &UdpSocket, packet: &[u8]) -> Option<u8> {
    let mut buffer = [0; 65_535];
    let mut marker = QUERY.to_vec();
    marker[..2].copy_from_slice(&[packet.first().map_or(1, |byte| !byte), 0x77]);
    socket.send(packet).unwrap();
    socket.send(&marker).unwrap();
    let mut code = None;
    let mut markers = 0;
    loop {
        let length = socket.recv(&mut buffer).expect("the good query is answered");
        let reply = &buffer[..length];
        assert!(reply.len() >= 12 && reply[2] & 0x80 != 0, "not a response: {reply:?} to {packet:?}");
        if reply[..2] == marker[..2] {
            assert_eq!(reply[3] & 0xf, 0, "the good query failed after {packet:?}");
            // What arrived together may be answered in any order; what is asked now is answered behind all of it.
            markers += 1;
            if markers == 2 {
                return code;
            }
            socket.send(&marker).unwrap();
            continue;
        }
        assert_eq!(reply[..2], packet[..2], "an answer to something else");
        assert!(code.is_none(), "two replies to {packet:?}");
        code = Some(reply[3] & 0xf);
    }
}

fn connected(addr: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(addr).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

/// Sends a packet over a connection of its own, and returns the RCODE of the reply, `None` when it is closed instead.
fn ask_by_tcp(addr: SocketAddr, packet: &[u8]) -> Option<u8> {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, packet].concat()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut reply = Vec::new();
    match stream.read_to_end(&mut reply) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
        other => drop(other.expect("an answer or the end of the connection")),
    }
    (!reply.is_empty()).then(|| reply[5] & 0xf)
}

/// Resident memory in bytes.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

#[test]
fn malformed_packets_do_no_harm() {
    let mut random = seed::generator();
    let addr = ports::reserve();
    let mut node = tidemark::start(addr, &[Zone::primary("example.", version(1))]);
    let pid = node.daemon.process().pid();
    let socket = connected(addr);
    for (what, packet, due) in malformed() {
        for (way, code) in [("UDP", ask(&socket, &packet)), ("TCP", ask_by_tcp(addr, &packet))] {
            match due {
                Due::Silence => assert_eq!(code, None, "{what} by {way}"),
                Due::FormErr => assert_eq!(code, Some(1), "{what} by {way}"),
            }
        }
    }
    // What is left open in the middle of a message holds nobody up.
    let mut half = TcpStream::connect(addr).unwrap();
    half.write_all(b"\x00\x40half").unwrap();

    let mut round = |packets: usize, by_tcp: bool| {
        for _ in 0..packets {
            let packet = garbage(&mut random);
            if by_tcp {
                ask_by_tcp(addr, &packet);
            } else if packet.len() < 2 || packet[1] != 0x77 {
                ask(&socket, &packet);
            }
        }
    };
    round(UDP_PACKETS / 4, false);
    round(TCP_PACKETS / 4, true);
    let before = resident(pid);
    round(UDP_PACKETS, false);
    round(TCP_PACKETS, true);
    let after = resident(pid);
    println!("resident memory before {} KiB, after {} KiB", before >> 10, after >> 10);
    assert!(after < before + GROWTH, "{before} bytes before, {after} after");
    assert!(node.daemon.process().is_running());
    assert!(!node.daemon.log().contains("panicked"), "{}", node.daemon.log());
    assert_eq!(dig::short(addr, &["www.example.", "A"]), ["192.0.2.1"]);
}

/// Starts a node that must not start: it ends with 1 and says why. Returns what it said.
fn refused(dir: &Path, config: &str) -> String {
    let file = dir.join("tidemark.toml");
    fs::write(&file, config).unwrap();
    let mut command = tidemark::command();
    command.args(["serve", "--config"]).arg(&file).current_dir(dir);
    let log = dir.join("said");
    fs::write(&log, "").unwrap();
    let mut process = Process::start(command, &log);
    let status = process.wait(START);
    let said = process.log();
    assert_eq!(status.code(), Some(1), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error")).count(), 1, "one message, not:\n{said}");
    said
}

#[test]
fn configurations_that_cannot_be_served_are_refused_with_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let [addr, busy] = ports::reserve_many();
    fs::write(dir.path().join("example.zone"), version(1)).unwrap();
    let zone = "[[zone]]\nname = \"example.\"\nfile = \"example.zone\"\n";
    let server = format!("[server]\nlisten = [\"{addr}\"]\n");
    let at_line = |line: usize| format!("tidemark.toml:{line}:");

    let unknown = refused(dir.path(), &format!("{server}lissten = []\n{zone}"));
    assert!(unknown.contains("lissten") && unknown.contains(&at_line(3)), "{unknown}");
    assert!(unknown.contains("`listen`"), "no suggestion: {unknown}");

    let twice = refused(dir.path(), &format!("{server}{zone}{zone}"));
    assert!(twice.contains("example.") && twice.contains(&at_line(7)), "{twice}");

    let syntax = refused(dir.path(), "[server\n");
    assert!(syntax.contains(&at_line(1)), "{syntax}");

    let _udp = UdpSocket::bind(busy).unwrap();
    let taken = refused(dir.path(), &format!("[server]\nlisten = [\"{busy}\"]\n{zone}"));
    assert!(taken.contains(&busy.to_string()) && taken.contains("UDP"), "{taken}");
    let _tcp = TcpListener::bind(addr).unwrap();
    let taken = refused(dir.path(), &format!("{server}{zone}"));
    assert!(taken.contains(&addr.to_string()) && taken.contains("TCP"), "{taken}");
    // One of several is enough for a start, and none is not.
    let absent = "192.0.2.77:5300";
    let nowhere =
        refused(dir.path(), &format!("[server]\nlisten = [\"{absent}\", \"{busy}\", \"{addr}\"]\n{zone}"));
    assert!(nowhere.contains(absent) && nowhere.contains("this machine has no such address"), "{nowhere}");

    let mut command = tidemark::command();
    let output =
        command.args(["serve", "--config", "nowhere.toml"]).current_dir(dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere.toml"));
}

/// A node whose journal may not grow beyond `blocks` KiB: writing more fails, as on a full disk.
fn start_limited(addr: SocketAddr, http: SocketAddr, blocks: u32, text: &str) -> Daemon {
    let zones = [Zone::primary("example.", text)];
    let dir = daemon::prepare(&zones);
    let config = dir.path().join("tidemark.toml");
    let toml = format!(
        "[server]\nlisten = [\"{addr}\"]\nhttp = \"{http}\"\n[[zone]]\nname = \"example.\"\nfile = \"example.zone\"\n"
    );
    fs::write(&config, toml).unwrap();
    // A soft limit, so that it can be lifted from outside; the signal ignored, so that writing fails with EFBIG.
    let command = words([
        &program("bash"),
        &"-c",
        &format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" serve --config \"$1\""),
        &PROGRAM,
        &config,
    ]);
    Daemon::start(dir, addr, &zones, command, Reload::Watches)
}

#[test]
fn a_full_disk_loses_nothing() {
    let [addr, http] = ports::reserve_many();
    let large = |serial: u32, hosts: usize| {
        let records: Vec<String> =
            (0..hosts).map(|host| format!("host-{host} TXT \"{}\"", "x".repeat(200))).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        zones::text("example.", serial, &records)
    };
    // 100 hosts take some 25 KiB, 1,000 take 250.
    let mut node = start_limited(addr, http, 64, &large(1, 100));
    node.await_serial("example.", 1, LIMIT);
    let failures = || {
        let page = http::get(http, "/metrics").unwrap().body;
        let labels = [("zone", "example.")];
        support::metrics::value(&page, "tidemark_zone_load_failures_total", &labels).unwrap()
    };
    node.publish("example.", &large(2, 1_000));
    await_until("the failed write to be counted", LIMIT, || failures() > 0.0);
    assert!(node.log().contains("journal"), "{}", node.log());
    let status = http::get(http, "/api/v1/status").unwrap().body;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["zones"][0]["serial"], 1, "{status}");
    assert!(status["zones"][0]["problem"]["what"].is_string(), "{status}");
    assert_eq!(dig::short(addr, &["host-99.example.", "TXT"]).len(), 1);
    assert!(dig::short(addr, &["host-100.example.", "TXT"]).is_empty());

    // A small change still fits, in front of which nothing half-written is left.
    node.publish("example.", &large(3, 101));
    node.await_serial("example.", 3, LIMIT);
    node.publish("example.", &large(4, 1_000));
    let before = failures();
    await_until("the next failed write to be counted", LIMIT, || failures() > before);
    node.kill();
    node.restart();
    assert_eq!(soa::serial(addr, "example."), Some(3), "{}", node.log());

    // Room again: without a new edit the waiting change is published.
    let pid = node.process().pid().to_string();
    run(Command::new(program("prlimit")).args(["--fsize=unlimited", "--pid", &pid]));
    node.await_serial("example.", 4, LIMIT);
    assert_eq!(dig::short(addr, &["host-999.example.", "TXT"]).len(), 1);
    node.kill();
    node.restart();
    assert_eq!(soa::serial(addr, "example."), Some(4));
}
